$P_INLINE void $P_put_$S(uint8_t *y, int32_t i, int32_t value)
{
    int32_t at = (i & 1) * 4;
    y[i >> 1] = (uint8_t)((y[i >> 1] & (15 << (4 - at))) | (value & 15) << at);
}
