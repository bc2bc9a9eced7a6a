/* exp(-x) of so many steps with 30 fractional bits. */
$P_INLINE uint32_t $P_exponential(uint32_t x, const uint32_t *fine, const uint32_t *coarse)
{
    uint32_t value = fine[x & 255];
    return x < 256 ? value : (uint32_t)(((uint64_t)value * coarse[x >> 8] + 0x20000000u) >> 30);
}
