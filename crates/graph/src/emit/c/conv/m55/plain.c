#if !$P_HAS_MVE
/* The same for some pixels in plain C; weights are $SCALE times what they stand for. */
static void $P_mve_plain_$BITS_$T(const $P_mve *l, const uint8_t *columns, const int32_t *const *bias,
    int32_t pixels, $Y *y)
{
    int32_t depth = l->run * l->kernel_h;
    for (int32_t p = 0; p < pixels; p++, columns += l->depth) {
        for (int32_t o = 0; o < l->channels; o++) {
            uint32_t sum = (uint32_t)bias[p][o];
            int32_t acc;
            for (int32_t k = 0; k < depth; k++) {
                int32_t block = o / 2 * l->blocks + k / 32, half = k % 32 / 16, lane = k % 16;
                int32_t weight = $WEIGHT;
                int32_t value = (columns[k] ^ 128) - 128;
                sum += (uint32_t)(value * ((weight ^ 128) - 128));
            }
            acc = (int32_t)sum >> l->shift;
            *y++ = ($Y)(acc < l->min ? l->min : acc > l->max ? l->max : acc);
        }
    }
}
#endif
