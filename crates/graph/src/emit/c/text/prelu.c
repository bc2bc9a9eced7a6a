/* Slopes below zero, one for each channel or each element, and their fractional bits. */
$P_FUNCTION void $P_prelu_$S(const $X *x, $Y *y, int32_t n, const $T *slopes, const int8_t *fracs, int32_t count,
    const $P_to *to)
{
    for (int32_t i = 0, j = 0; i < n; i++) {
        int32_t value = $P_at_$X4(x, i);
        $P_put_$Y4(y, i, value < 0
            ? $P_requantize_wide((int64_t)value * slopes[j], to->shift + fracs[j], to)
            : $P_$REQUANTIZE(value, to));
        j = j + 1 < count ? j + 1 : 0;
    }
}
