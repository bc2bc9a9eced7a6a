#if !$P_HAS_DSP
/* What a block of a dense layer computes: `blocks` times `channels` outputs of `n` fours of inputs. */
typedef struct {
    int32_t channels, blocks, n, bits, lanes, stored, shift, min, max, each;
} $P_dense_plan;

$P_INLINE int32_t $P_dense_value(const void *x, int32_t i, int32_t c, int32_t e, int32_t kind)
{
    /* Bytes are widened in the order 0, 2, 1, 3. */
    return kind == 16 ? ((const int16_t *)x)[4 * i + 2 * c + e]
        : kind == 8   ? ((const uint8_t *)x)[4 * i + c + 2 * e]
                      : ((const int8_t *)x)[4 * i + c + 2 * e];
}

$P_FUNCTION void $P_dense_plain(const void *x, const uint32_t *weights, const int32_t *bias, void *y,
    const $P_dense_plan *s, int32_t kind)
{
    int32_t words = $P_words(s->n, s->bits);
    for (int32_t o = 0; o < s->channels * s->blocks; o++) {
        const uint32_t *block = weights + o / s->channels * (s->channels * words + s->each);
        const uint32_t *w = block + o % s->channels;
        int32_t acc = bias[o];
        for (int32_t i = 0; i < s->n; i++) {
            /* Words of the block's channels lie in turn. */
            for (int32_t c = 0; c < 2; c++) {
                for (int32_t e = 0; e < 2; e++) {
                    int32_t weight = $P_lane(w, i, c, e, s->bits, s->lanes, s->channels);
                    acc += $P_dense_value(x, i, c, e, kind) * weight;
                }
            }
        }
        acc *= $P_point(block + s->channels * words, o % s->channels, s->each);
        $P_finish(y, o, acc, s->stored, s->shift, s->min, s->max);
    }
}
#endif
