/* y[i][j][k] = x[i * a + j * b + k * c]: axes in another order. */
$P_FUNCTION void $P_transpose_$S(const $X *x, $Y *y, int32_t n, int32_t m, int32_t l, int32_t a,
    int32_t b, int32_t c)
{
    int32_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < m; j++) {
            for (int32_t k = 0; k < l; k++) {
                $P_put_$Y4(y, count++, $P_at_$X4(x, i * a + j * b + k * c));
            }
        }
    }
}
