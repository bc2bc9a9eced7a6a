$P_FUNCTION void $P_unpack_$BITS(const uint8_t *weights, int32_t first, int32_t n, $W *to)
{
    for (int32_t i = 0; i < n; i++) {
        to[i] = ($W)$P_weight_$BITS(weights, first + i);
    }
}
