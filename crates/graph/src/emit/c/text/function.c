/* The entries of the table for every integer of x; table points to that of 0. */
$P_FUNCTION void $P_function_$S(const $X *x, $Y *y, int32_t n, const $T *table)
{
    for (int32_t i = 0; i < n; i++) {
        $P_put_$Y4(y, i, table[$P_at_$X4(x, i)]);
    }
}
