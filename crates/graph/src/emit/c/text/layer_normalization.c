/* Differences of c elements each time to their mean, or themselves, divided by the root of their mean square. */
$P_FUNCTION void $P_layer_normalization_$S(const $X *x, $Y *y, int32_t n, int32_t c, int32_t centered,
    int64_t epsilon, const $P_to *to)
{
    for (int32_t first = 0; first < n; first += c) {
        int64_t sum = 0, squares = 0;
        for (int32_t i = first; i < first + c; i++) {
            int32_t value = $P_at_$X4(x, i);
            sum += value;
            squares += (int64_t)value * value;
        }
        if (!centered) {
            sum = 0;
        }
        int64_t variance = c * squares - sum * sum + epsilon;
        int32_t shift = to->shift;
        for (; variance < (int64_t)1 << 60; shift--) {
            variance *= 4;
        }
        int64_t reciprocal = ((int64_t)1 << 61) / $P_root(variance);
        for (int32_t i = first; i < first + c; i++) {
            int64_t difference = (int64_t)c * $P_at_$X4(x, i) - sum;
            $P_put_$Y4(y, i, $P_requantize_wide(difference * reciprocal, shift, to));
        }
    }
}
