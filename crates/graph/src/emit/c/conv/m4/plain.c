#if !$P_HAS_DSP
/* Weights are packed in fours, two pairs of 16-bit lanes: this is lane `e` of pair `c` of the four number `i`. Each
 * byte of the words that lie `stride` apart, or each half where `lanes` is not 0, is a stream, the most significant
 * bits first. Of a weight that two bytes share, the low bits are the lowest of the first one, the others the highest
 * of the second one. Fewer than 8 bits come out as the top of a byte, or of the lane; one bit is a sign, and the bit
 * after it is set. */
$P_INLINE int32_t $P_lane(const uint32_t *words, int32_t i, int32_t c, int32_t e, int32_t bits,
    int32_t lanes, int32_t stride)
{
    int32_t size = lanes ? 16 : 8, from = lanes ? 16 * e : 8 * (c + 2 * e);
    int32_t at = (lanes ? 2 * i + c : i) * bits, above = at % size, rest = above + bits - size;
    uint32_t field;
    if (bits == 16) {
        return (int16_t)(words[2 * i + c] >> (16 * e));
    }
    words += at / size * stride;
    field = words[0] >> from;
    if (rest > 0) {
        field = (field & (255u >> above)) << (8 - bits) | (words[stride] >> from & 255u >> (8 - rest) << (8 - rest));
    } else {
        field <<= above;
    }
    field = (field & (0xffffu << (size - bits))) | (bits == 1 ? 1u << (size - 2) : 0);
    return lanes ? (int16_t)field : (int8_t)field;
}

/* Words that n fours take. */
$P_INLINE int32_t $P_words(int32_t n, int32_t bits)
{
    return bits == 16 ? 2 * n : (n * bits + 7) / 8;
}

/* What a sum of a channel is multiplied with where each has its own bits: a byte of the word after the
 * weights of those that are computed together. */
$P_INLINE int32_t $P_point(const uint32_t *word, int32_t channel, int32_t each)
{
    return each ? (int32_t)1 << (*word >> (8 * channel) & 31) : 1;
}

/* Writes output i of `stored` bits: the sum shifted and clamped. */
$P_INLINE void $P_finish(void *y, int32_t i, int32_t acc, int32_t stored, int32_t shift, int32_t min,
    int32_t max)
{
    acc >>= shift;
    acc = acc < min ? min : acc > max ? max : acc;
    if (stored == 4) {
        uint8_t *both = (uint8_t *)y + i / 2;
        *both = (uint8_t)(i & 1 ? (*both & 15) | (acc & 15) << 4 : (*both & 240) | (acc & 15));
    } else if (stored == 8) {
        ((uint8_t *)y)[i] = (uint8_t)acc;
    } else {
        ((int16_t *)y)[i] = (int16_t)acc;
    }
}
#endif
