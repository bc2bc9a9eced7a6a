/* Residual add: both inputs shifted left to the finer binary point, added, requantized. */
$P_FUNCTION void $P_add_$S(const $A *a, const $B *b, $Y *y, int32_t n, int32_t left_a, int32_t left_b,
    const $P_to *to)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t sum = $P_at_$A4(a, i) * ((int32_t)1 << left_a);
        sum += $P_at_$B4(b, i) * ((int32_t)1 << left_b);
        $P_put_$Y4(y, i, $P_$REQUANTIZE(sum, to));
    }
}
