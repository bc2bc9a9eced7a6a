/* Integers of 4 bits, two to a byte, to int16_t; n is even. */
$P_FUNCTION void $P_widen_each_$S(const void *x, int16_t *to, int32_t n, int32_t shifted)
{
    const uint8_t *from = (const uint8_t *)x;
    (void)shifted;
    for (int32_t i = 0; i < n; i += 2) {
        int32_t both = from[i / 2];
        to[i] = (int16_t)(((both & 15)$EXTEND);
        to[i + 1] = (int16_t)(((both >> 4)$EXTEND);
    }
}
