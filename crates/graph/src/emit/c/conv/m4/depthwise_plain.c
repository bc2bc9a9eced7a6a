#if !$P_HAS_DSP
/* What a strip of a depthwise convolution computes; taps in the order in which the weights lie. */
typedef struct {
    int32_t pixels, pixel, taps, channels, classes;
    int32_t bits, stored, shift, min, max, each;
} $P_depthwise_plan;

$P_FUNCTION void $P_depthwise_plain(const int16_t *const *rows, const uint32_t *weights, const void *bias,
    void *y, const $P_depthwise_plan *s, const uint8_t *tap_rows, const uint16_t *tap_offsets)
{
    int32_t taps = s->taps;
    int32_t words = $P_words((taps + 1) / 2, s->bits);
    for (int32_t o = 0; o < s->channels; o++) {
        const uint32_t *w = weights + o / 2 * (words + s->each);
        for (int32_t p = 0; p < s->pixels; p++) {
            const int32_t *b = s->classes ? ((const int32_t *const *)bias)[p] : (const int32_t *)bias;
            int32_t acc = b[o];
            for (int32_t i = 0; i < taps; i++) {
                int32_t x = rows[tap_rows[i]][tap_offsets[i] + p * s->pixel + o];
                acc += x * $P_lane(w, i / 2, i & 1, o & 1, s->bits, 0, 1);
            }
            acc *= $P_point(w + words, o & 1, s->each);
            $P_finish(y, p * s->channels + o, acc, s->stored, s->shift, s->min, s->max);
        }
    }
}
#endif
