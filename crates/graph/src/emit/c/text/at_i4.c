/* Two to a byte, the first in the lower half. */
$P_INLINE int32_t $P_at_i4(const uint8_t *x, int32_t i)
{
    return ((x[i >> 1] >> (i & 1) * 4 & 15) ^ 8) - 8;
}
