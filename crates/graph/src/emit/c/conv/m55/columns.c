/* A row of output pixels whose windows are contiguous and at most two vectors long. */
typedef struct {
    const int8_t *x;               /* window of the first pixel */
    uint8_t *y;
    const uint8_t *weights, *end;  /* of all channels */
    const uint8_t *places;
    int32_t min, max;
} $P_windows;

/* A convolution with few inputs for an output: the rows that its windows meet lie column by column, so
 * that every window is contiguous. */
typedef struct {
    void (*row)(const $P_windows *w);
    void (*copies[2])(const uint8_t *x, int8_t *to, const uint8_t *places); /* one row; several */
    $MEMBER;
    const uint8_t *places; /* of the outputs that are stored at once, from the first; 16 times min, and max;
                            * of the bytes of a row that are copied at once, and of the next rows' */
    int32_t min, max;
    uint16_t weight_bytes;
    uint16_t h, row_bytes, oh;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t first, bytes;     /* the place of the first byte copied, of all columns */
    uint16_t output_row, flip;
    uint16_t row_step, to_step; /* from a copied row to the next, from a copied vector to the next */
    uint16_t n, at_once;       /* bytes that are copied of a row, and rows of `copies[1]` */
} $P_columns8;

#if !$P_HAS_MVE
/* Four vectors of weights make a block of channels: those of each channel follow each other, and each lane is a
 * stream of them, the first one in the lowest bits. Its biases follow, lowest byte first. */
$P_FUNCTION void $P_row_plain(const $P_windows *w, int32_t bits, int32_t steps, int32_t step, int32_t pixel_bytes,
    int32_t width, int32_t shift)
{
    int32_t channels = 4 / steps, half = 1 << (bits - 1), bytes = (4 * bits + 7) / 8 * 16;
    uint8_t *y = w->y;
    for (const uint8_t *weights = w->weights; weights < w->end; weights += bytes + 4 * channels) {
        for (int32_t c = 0; c < channels; c++, y++) {
            const uint8_t *bias = weights + bytes + c * 4;
            for (int32_t p = 0; p < width; p++) {
                uint32_t acc = bias[0] | (uint32_t)bias[1] << 8 | (uint32_t)bias[2] << 16 | (uint32_t)bias[3] << 24;
                for (int32_t k = 0; k < 16 * steps; k++) {
                    int32_t at = (c * steps + k / 16) * bits;
                    const uint8_t *from = weights + at / 8 * 16 + k % 16;
                    int32_t field = (from[0] | (at % 8 + bits > 8 ? from[16] << 8 : 0)) >> at % 8;
                    acc += (uint32_t)((((field + half) & (2 * half - 1)) - half) * w->x[p * step + k]);
                }
                int32_t result = (int32_t)acc >> shift;
                result = result < w->min ? w->min : result > w->max ? w->max : result;
                y[p * pixel_bytes] = (uint8_t)result;
            }
        }
    }
}

$P_FUNCTION void $P_columns_plain(const uint8_t *x, int8_t *to, const uint8_t *places, int32_t rows, int32_t row_bytes,
    int32_t step, int32_t to_step, int32_t n, int32_t flip)
{
    for (; n > 0; n -= 16, x += step, to += to_step) {
        for (int32_t i = 0; i < rows; i++) {
            for (int32_t tap = 0; tap < 16 && tap < n; tap++) {
                to[places[16 * i + tap]] = (int8_t)(x[i * row_bytes + tap] ^ flip);
            }
        }
    }
}
#endif

/* A row of padding, as it is copied. */
$P_FUNCTION void $P_pad_columns(int8_t *to, const uint8_t *places, int32_t to_step, int32_t n, uint8_t flip)
{
    for (; n > 0; n -= 16, to += to_step) {
#if $P_HAS_MVE
        vstrbq_scatter_offset_p_u8((uint8_t *)to, vldrbq_u8(places), vdupq_n_u8(flip), vctp8q((uint32_t)n));
#else
        for (int32_t tap = 0; tap < 16 && tap < n; tap++) {
            to[places[tap]] = (int8_t)flip;
        }
#endif
    }
}

$P_FUNCTION void $P_slide_columns8(const $P_columns8 *l, const void *input, void *output, uint8_t *scratch,
    const $P_rows *range)
{
    const uint8_t *x = (const uint8_t *)input;
    int8_t *columns = (int8_t *)scratch, *to = columns + l->first;
    const uint8_t *places = l->places + 48;
    $P_windows w;
    w.x = columns;
    w.y = (uint8_t *)output;
    w.weights = $WEIGHTS;
    w.end = w.weights + l->weight_bytes;
    w.places = l->places;
    w.min = l->min;
    w.max = l->max;
    $P_fill_padding(columns, l->bytes, (uint8_t)l->flip);
    for (int32_t oy = range->first; oy < range->end; oy++, w.y += l->output_row) {
        int32_t top = oy * l->stride_h - l->pad_h;
        if (l->at_once == l->kernel_h && top >= 0 && top + l->kernel_h <= l->h) {
            l->copies[1](x + (top - range->top) * l->row_bytes, to, places);
        } else {
            for (int32_t i = 0; i < l->kernel_h; i++) {
                int32_t row = top + i;
                if (row >= 0 && row < l->h) {
                    l->copies[0](x + (row - range->top) * l->row_bytes, to + i * l->row_step, places);
                } else if (row >= l->h) {
                    $P_pad_columns(to + i * l->row_step, places, l->to_step, l->n, (uint8_t)l->flip);
                }
            }
        }
        l->row(&w);
    }
}
