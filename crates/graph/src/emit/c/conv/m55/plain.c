#if !$P_HAS_MVE
/* The sum of a column and a filter; weights are $SCALE times what they stand for. */
static int32_t $P_mve_sum_$BITS(const $P_mve *l, const uint8_t *column, int32_t o, int32_t bias)
{
    uint32_t acc = (uint32_t)bias;
    int32_t depth = l->run * l->kernel_h;
    for (int32_t k = 0; k < depth; k++) {
        int32_t block = o / 2 * l->blocks + k / 32, half = k % 32 / 16, lane = k % 16;
        int32_t weight = $WEIGHT;
        acc += (uint32_t)(((int32_t)(column[k] ^ 128) - 128) * ((weight ^ 128) - 128));
    }
    return (int32_t)acc;
}
#endif
