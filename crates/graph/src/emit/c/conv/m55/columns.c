/* A row of output pixels whose windows are contiguous and at most two vectors long. */
typedef struct {
    const int8_t *x;        /* window of the first pixel */
    uint8_t *y;
    const uint8_t *weights;
    int32_t blocks;         /* of channels */
    uint16_t places[8];     /* of the outputs of a group, from the first */
    int16_t min[8], max[8];
} $P_windows;

/* A convolution with few inputs for an output: the rows that its windows meet lie column by column, so
 * that every window is contiguous. */
typedef struct {
    void (*row)($P_windows *w);
    const uint8_t *weights;
    int32_t min, max;
    uint16_t places[8];
    uint16_t h, row_bytes, oh;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t first, bytes;        /* the place of the first byte copied, of all columns */
    uint16_t output_row, blocks, flip;
    uint16_t taps, column;        /* bytes of a column of a row and of all rows, as they are copied */
    uint16_t row_step;            /* from one row to the next */
    uint16_t group, step;         /* bytes that are copied at once, and from one such to the next */
    uint16_t groups, last;        /* how many, and bytes of the last */
} $P_columns8;

#if !$P_HAS_MVE
/* Four vectors of weights make a block of channels: those of each channel follow each other, and those
 * that share bytes stand side by side, the first one lowest. Its biases follow, lowest byte first. */
static void $P_row_plain(const $P_windows *w, int32_t bits, int32_t steps, int32_t step, int32_t pixel_bytes,
    int32_t width, int32_t shift)
{
    int32_t channels = 4 / steps, per_byte = 8 / bits, half = 1 << (bits - 1);
    for (int32_t c = 0; c < w->blocks * channels; c++) {
        const uint8_t *weights = w->weights + c / channels * (64 / per_byte + 4 * channels);
        const uint8_t *bias = weights + 64 / per_byte + c % channels * 4;
        for (int32_t p = 0; p < width; p++) {
            uint32_t acc = bias[0] | (uint32_t)bias[1] << 8 | (uint32_t)bias[2] << 16 | (uint32_t)bias[3] << 24;
            for (int32_t k = 0; k < 16 * steps; k++) {
                int32_t vector = c % channels * steps + k / 16;
                int32_t field = weights[vector / per_byte * 16 + k % 16] >> vector % per_byte * bits;
                acc += (uint32_t)((((field + half) & (2 * half - 1)) - half) * w->x[p * step + k]);
            }
            int32_t y = (int32_t)acc >> shift;
            y = y < w->min[0] ? w->min[0] : y > w->max[0] ? w->max[0] : y;
            w->y[p * pixel_bytes + c] = (uint8_t)y;
        }
    }
}
#endif

static void $P_slide_columns8(const $P_columns8 *l, const void *input, void *output, uint8_t *scratch)
{
    int8_t *columns = (int8_t *)scratch;
    uint8_t *y = output;
    $P_windows w;
    for (int32_t i = 0; i < 8; i++) {
        w.places[i] = l->places[i];
        w.min[i] = (int16_t)l->min;
        w.max[i] = (int16_t)l->max;
    }
#if $P_HAS_MVE
    uint8_t places[16];
    int32_t group_step = l->group / l->taps * l->column;
    for (int32_t i = 0, at = 0; i < 16; at += l->column) {
        for (int32_t tap = 0; tap < l->taps && i < 16; tap++, i++) {
            places[i] = (uint8_t)(at + tap);
        }
    }
    uint8x16_t offsets = vldrbq_u8(places), flips = vdupq_n_u8((uint8_t)l->flip);
#endif
    $P_fill_padding(columns, l->bytes + $SLACK, (uint8_t)l->flip);
    for (int32_t oy = 0; oy < l->oh; oy++) {
        for (int32_t i = 0; i < l->kernel_h; i++) {
            int32_t row = oy * l->stride_h + i - l->pad_h;
            int32_t is_there = row >= 0 && row < l->h;
            const uint8_t *x = (const uint8_t *)input + (is_there ? row * l->row_bytes : 0);
            int8_t *to = columns + l->first + i * l->row_step;
#if $P_HAS_MVE
            /* What is copied beyond a group comes to lie where the next one is written over it; the last
             * one ends with the bytes there are. */
            int32_t n = 16 * (l->groups - 1) + l->last;
            if (is_there) {
                __asm__ volatile("wlstp.8 lr, %2, 2f\n1: vldrb.8 q0, [%0]; add %0, %3; veor q0, q0, %q6\n"
                                 "vstrb.8 q0, [%1, %q5]; add %1, %4; letp lr, 1b\n2:"
                                 : "+r"(x), "+r"(to)
                                 : "r"(n), "r"(l->step), "r"(group_step), "w"(offsets), "w"(flips)
                                 : "q0", "lr", "cc", "memory");
            } else {
                for (; n > 0; n -= 16, to += group_step) {
                    vstrbq_scatter_offset_p_u8((uint8_t *)to, offsets, flips, vctp8q((uint32_t)n));
                }
            }
#else
            for (int32_t j = 0; j < l->groups; j++, x += l->step) {
                int32_t n = j + 1 < l->groups ? l->group : l->last;
                for (int32_t tap = 0; tap < n; tap++) {
                    int32_t place = (j * l->group + tap) / l->taps * l->column + tap % l->taps;
                    to[place] = (int8_t)((is_there ? x[tap] : 0) ^ l->flip);
                }
            }
#endif
        }
        w.x = columns;
        w.y = y;
        w.weights = l->weights;
        w.blocks = l->blocks;
        l->row(&w);
        y += l->output_row;
    }
}
