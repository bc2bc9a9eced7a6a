/* Average pooling over a whole image of h rows, w columns and c channels, row by row. */
$P_FUNCTION void $P_average_fold_$S(const $X *x, $Y *y, int32_t *sums, int32_t h, int32_t w, int32_t c,
    const $P_rows *range, $RECIPROCALS const $P_to *to)
{
    for (int32_t i = 0; i < c; i++) {
        int32_t sum = range->first > 0 ? sums[i] : 0;
        for (int32_t j = 0; j < w; j++) {
            sum += $P_at_$X4(x, j * c + i);
        }
        sums[i] = sum;
        if (range->end == h) {
            $P_put_$Y4(y, i, $RESULT);
        }
    }
}
