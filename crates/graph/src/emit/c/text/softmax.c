/* Exponentials of the differences to the largest of c elements each time, divided by their sum. */
$P_FUNCTION void $P_softmax_$S(const $X *x, $Y *y, int32_t n, int32_t c, const uint32_t *fine,
    const uint32_t *coarse, const $P_to *to)
{
    for (int32_t first = 0; first < n; first += c) {
        int32_t largest = $P_at_$X4(x, first);
        for (int32_t i = first + 1; i < first + c; i++) {
            int32_t value = $P_at_$X4(x, i);
            largest = value > largest ? value : largest;
        }
        uint64_t sum = 0;
        for (int32_t i = first; i < first + c; i++) {
            sum += $P_exponential((uint32_t)(largest - $P_at_$X4(x, i)), fine, coarse);
        }
        uint64_t reciprocal = 0x3fffffffffffffffu / sum;
        for (int32_t i = first; i < first + c; i++) {
            uint32_t value = $P_exponential((uint32_t)(largest - $P_at_$X4(x, i)), fine, coarse);
            $P_put_$Y4(y, i, $P_requantize_wide((int64_t)(value * reciprocal), to->shift, to));
        }
    }
}
