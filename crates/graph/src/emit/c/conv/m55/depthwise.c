/* Depthwise, two pixels: eight channels at a time. Weights are in blocks of eight channels, and there those of each
 * channel are a stream of $BITS bits a tap in a byte of its own, the first one in the lowest bits; biases of the
 * even channels of a block precede those of the odd ones, and so do the shifts after a block's weights
 * where channels have their own. */
$P_FUNCTION void $P_depthwise8$KIND_w$BITS($P_pixels *b)
{
    const uint8_t *weights = b->weights;
    const int32_t *bias0 = b->bias[0], *bias1 = b->bias[1];
    for (int32_t c = 0; c < b->channels; c += 8, bias0 += 8, bias1 += 8) {
        int32_t left = 0;
#if $P_HAS_MVE
        int32x4_t e0 = vldrwq_s32(bias0), o0 = vldrwq_s32(bias0 + 4);
        int32x4_t e1 = vldrwq_s32(bias1), o1 = vldrwq_s32(bias1 + 4);
        int32x4_t low = vdupq_n_s32(b->min), high = vdupq_n_s32(b->max);
        int16x8_t word = vdupq_n_s16(0);
        mve_pred16_t p = vctp16q((uint32_t)(b->channels - c));
        for (const int8_t *const *rows = b->rows; *rows; rows += 2) {
            const int8_t *x0 = rows[0] + c, *x1 = rows[1] + c;
            for (int32_t tap = 0; tap < b->taps; tap++, x0 += b->tap_bytes, x1 += b->tap_bytes) {
                int16x8_t w, x = vldrbq_s16(x0);
                if (left < $BITS) {
#if 8 % $BITS == 0
                    word = vldrbq_s16((const int8_t *)weights);
#else
                    uint16x8_t next = vshlq_r_u16(vldrbq_u16(weights), left);
                    word = vorrq_s16(word, vreinterpretq_s16_u16(next));
#endif
                    weights += 8;
                    left += 8;
                }
                left -= $BITS;
#if $BITS == 8
                w = word;
#else
                w = vshrq_n_s16(vshlq_n_s16(word, 16 - $BITS), 16 - $BITS);
                word = vreinterpretq_s16_u16(vshrq_n_u16(vreinterpretq_u16_s16(word), $BITS));
#endif
                e0 = vaddq_s32(e0, vmullbq_int_s16(x, w));
                o0 = vaddq_s32(o0, vmulltq_int_s16(x, w));
                x = vldrbq_s16(x1);
                e1 = vaddq_s32(e1, vmullbq_int_s16(x, w));
                o1 = vaddq_s32(o1, vmulltq_int_s16(x, w));
            }
        }
#if $EACH
        int32x4_t even = vldrbq_s32((const int8_t *)weights), odd = vldrbq_s32((const int8_t *)weights + 4);
        e0 = vshlq_s32(e0, even);
        o0 = vshlq_s32(o0, odd);
        e1 = vshlq_s32(e1, even);
        o1 = vshlq_s32(o1, odd);
        weights += 8;
#else
        e0 = vshlq_r_s32(e0, b->shift);
        o0 = vshlq_r_s32(o0, b->shift);
        e1 = vshlq_r_s32(e1, b->shift);
        o1 = vshlq_r_s32(o1, b->shift);
#endif
        e0 = vminq_s32(vmaxq_s32(e0, low), high);
        o0 = vminq_s32(vmaxq_s32(o0, low), high);
        e1 = vminq_s32(vmaxq_s32(e1, low), high);
        o1 = vminq_s32(vmaxq_s32(o1, low), high);
        if (b->pixel_bytes) {
            vstrbq_p_s16((int8_t *)b->y + b->pixel_bytes + c, vmovntq_s32(vreinterpretq_s16_s32(e1), o1), p);
        }
        vstrbq_p_s16((int8_t *)b->y + c, vmovntq_s32(vreinterpretq_s16_s32(e0), o0), p);
#else
        uint32_t acc[2][8];
        int32_t word[8] = {0};
        for (int32_t i = 0; i < 8; i++) {
            acc[0][i] = (uint32_t)bias0[i % 2 * 4 + i / 2];
            acc[1][i] = (uint32_t)bias1[i % 2 * 4 + i / 2];
        }
        for (const int8_t *const *rows = b->rows; *rows; rows += 2) {
            for (int32_t tap = 0; tap < b->taps; tap++, left -= $BITS) {
                for (int32_t i = 0; i < 8; i++) {
                    int32_t half = 1 << ($BITS - 1), w;
                    if (left < $BITS) {
                        word[i] |= weights[i] << left;
                    }
                    w = ((word[i] + half) & (2 * half - 1)) - half;
                    word[i] >>= $BITS;
                    acc[0][i] += (uint32_t)(w * rows[0][tap * b->tap_bytes + c + i]);
                    acc[1][i] += (uint32_t)(w * rows[1][tap * b->tap_bytes + c + i]);
                }
                if (left < $BITS) {
                    weights += 8;
                    left += 8;
                }
            }
        }
        for (int32_t i = 0; i < 8 && c + i < b->channels; i++) {
            int32_t shift = $EACH ? (int8_t)weights[i % 2 * 4 + i / 2] : b->shift;
            if (b->pixel_bytes) {
                b->y[b->pixel_bytes + c + i] = $P_shifted(acc[1][i], shift, b);
            }
            b->y[c + i] = $P_shifted(acc[0][i], shift, b);
        }
        weights += 8 * $EACH;
#endif
    }
}
