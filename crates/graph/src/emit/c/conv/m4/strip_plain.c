#if !$P_HAS_DSP
/* What a strip of a convolution computes. */
typedef struct {
    int32_t pixels, offset[4], rows, pairs, channels, pixel_channels, classes, together;
    int32_t bits, lanes, stored, shift, min, max, each;
} $P_strip_plan;

$P_FUNCTION void $P_strip_plain(const int16_t *const *rows, const uint32_t *weights, const void *bias, void *y,
    const $P_strip_plan *s)
{
    /* Rows follow each other without a gap, or each has whole words. */
    int32_t together = s->together, words = $P_words(together ? s->rows * s->pairs : s->pairs, s->bits);
    int32_t block_words = together ? words : s->rows * words;
    for (int32_t o = 0; o < s->channels; o++) {
        for (int32_t p = 0; p < s->pixels; p++) {
            const int32_t *b = s->classes ? ((const int32_t *const *)bias)[p] : (const int32_t *)bias;
            const uint32_t *block = weights + o / 2 * (block_words + s->each);
            int32_t acc = b[o];
            for (int32_t row = 0; row < s->rows; row++) {
                const uint32_t *w = together ? block : block + row * words;
                int32_t first = together ? row * s->pairs : 0;
                const int16_t *x = rows[row] + s->offset[p];
                for (int32_t i = 0; i < s->pairs; i++) {
                    acc += x[2 * i] * $P_lane(w, first + i, o & 1, 0, s->bits, s->lanes, 1);
                    acc += x[2 * i + 1] * $P_lane(w, first + i, o & 1, 1, s->bits, s->lanes, 1);
                }
            }
            acc *= $P_point(block + block_words, o & 1, s->each);
            $P_finish(y, p * s->pixel_channels + o, acc, s->stored, s->shift, s->min, s->max);
        }
    }
}
#endif
