/* Straight lines between the values of integers that are 2^shift apart, the first of them first. */
$P_FUNCTION void $P_lines_$S(const $X *x, $Y *y, int32_t n, const $T *values, int32_t first,
    int32_t shift, int32_t guard, int32_t min, int32_t max)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t from = $P_at_$X4(x, i) - first;
        int32_t line = from >> shift, rest = from & (((int32_t)1 << shift) - 1);
        int32_t low = values[line];
        int32_t acc = (values[line + 1] - low) * rest;
        acc = low + ((acc + ((int32_t)1 << (shift - 1))) >> shift); /* ties up */
        acc = (acc + ((int32_t)1 << (guard - 1))) >> guard;
        $P_put_$Y4(y, i, acc < min ? min : acc > max ? max : acc);
    }
}
