/* n bytes, each with the bits of `flip` changed: 128 makes of an unsigned byte the signed one that is
 * 128 less. */
$P_FUNCTION void $P_copy_flipped(const uint8_t *x, int8_t *to, int32_t n, uint8_t flip)
{
#if $P_HAS_MVE
    uint8x16_t flips = vdupq_n_u8(flip);
    for (; n > 0; n -= 16, x += 16, to += 16) {
        mve_pred16_t p = vctp8q((uint32_t)n);
        vstrbq_p_u8((uint8_t *)to, veorq_u8(vldrbq_z_u8(x, p), flips), p);
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = (int8_t)(x[i] ^ flip);
    }
#endif
}

/* n bytes, and up to 15 more after them. */
$P_INLINE void $P_copy_run(const int8_t *x, int8_t *to, int32_t n)
{
#if $P_HAS_MVE
    vstrbq_s8(to, vldrbq_s8(x));
    while ((n -= 16) > 0) {
        x += 16;
        to += 16;
        vstrbq_s8(to, vldrbq_s8(x));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = x[i];
    }
#endif
}

/* A convolution whose input rows are copied once into a ring of as many as the kernel has, with the
 * padding in it. */
typedef struct {
    void (*strips[2])($P_pixels *b); /* for one pixel and for two */
    const uint8_t *weights;
    const int32_t *bias;
    const uint8_t *classes;          /* of output rows, then of columns, or 0 */
    int32_t min, max;
    uint16_t h, row_bytes, oh, ow;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t n, first, ring_row;     /* bytes copied of an input row, before them, of a ring's row */
    uint16_t column, channels;       /* bytes from one output pixel to the next in a row */
    uint16_t bias_step, column_classes;
    uint16_t loops, shift, flip;
    uint16_t run, patch;             /* bytes of a kernel row; of a whole window where it is gathered */
    uint16_t taps, tap_bytes;
} $P_sliding8;

$P_FUNCTION void $P_slide8(const $P_sliding8 *l, const void *input, void *output, uint8_t *scratch)
{
    const uint8_t *x = input;
    int8_t *ring = (int8_t *)scratch, *patch = ring + l->kernel_h * l->ring_row;
    const int8_t *slots[$MAX_ROWS], *rows[2 * $MAX_ROWS];
    int32_t kernel = l->kernel_h, next = 0;
    $P_pixels b;
    b.rows = rows;
    b.y = output;
    b.loops = l->loops;
    b.shift = -(int32_t)l->shift;
    b.min = l->min;
    b.max = l->max;
    b.taps = l->taps;
    b.tap_bytes = l->tap_bytes;
    $P_fill_padding(ring, kernel * l->ring_row + 2 * l->patch + $SLACK, (uint8_t)l->flip);
    for (int32_t oy = 0; oy < l->oh; oy++) {
        int32_t top = oy * l->stride_h;
        for (next = next < top ? top : next; next < top + kernel; next++) {
            int8_t *to = ring + next % kernel * l->ring_row;
            int32_t row = next - l->pad_h;
            if (row < 0 || row >= l->h) {
                $P_fill_padding(to, l->ring_row, (uint8_t)l->flip);
            } else {
                $P_copy_flipped(x + row * l->row_bytes, to + l->first, l->n, (uint8_t)l->flip);
            }
        }
        for (int32_t i = 0; i < kernel; i++) {
            slots[i] = ring + (top + i) % kernel * l->ring_row;
        }
        for (int32_t ox = 0; ox < l->ow;) {
            int32_t pixels = l->ow - ox > 1 ? 2 : 1;
            uint8_t *y = b.y + pixels * l->channels;
            for (int32_t p = 0; p < 2; p++) {
                int32_t at = p < pixels ? ox + p : ox;
                b.bias[p] = l->bias;
                if (l->classes) {
                    b.bias[p] += (l->classes[oy] * l->column_classes + l->classes[l->oh + at]) * l->bias_step;
                }
                if (l->patch) {
                    int8_t *to = patch + p * l->patch;
                    for (int32_t i = 0; i < kernel && p < pixels; i++) {
                        $P_copy_run(slots[i] + at * l->column, to + i * l->run, l->run);
                    }
                    rows[p] = to;
                    rows[2] = 0;
                } else {
                    for (int32_t i = 0; i < kernel; i++) {
                        rows[2 * i + p] = slots[i] + at * l->column;
                    }
                    rows[2 * kernel] = 0;
                }
            }
            b.weights = l->weights;
            b.channels = l->channels;
            b.pixel_bytes = pixels > 1 ? l->channels : 0;
            l->strips[pixels - 1](&b);
            b.y = y;
            ox += pixels;
        }
    }
}
