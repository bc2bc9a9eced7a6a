/* Requantizes runs of an input into every row of the output, starting at at. */
$P_FUNCTION void $P_rescale_$S(const $X *x, $Y *y, int32_t at, int32_t rows, int32_t run, int32_t row,
    const $P_to *to)
{
    for (int32_t i = 0; i < rows; i++) {
        for (int32_t j = 0; j < run; j++) {
            $P_put_$Y4(y, at + i * row + j, $P_$REQUANTIZE($P_at_$X4(x, i * run + j), to));
        }
    }
}
