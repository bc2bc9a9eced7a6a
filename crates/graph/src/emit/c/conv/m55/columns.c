/* Neighboring pairs of output pixels whose windows are contiguous and at most two vectors long. */
typedef struct {
    const int8_t *x;        /* window of the first pixel */
    int32_t step;           /* from one window to the next */
    uint8_t *y;
    int32_t channels;
    const uint8_t *weights;
    int32_t min, max;       /* for the plain code; the other has them in its instructions */
    int32_t pairs;
} $P_windows;

/* A convolution with few inputs for an output: the rows that its windows meet lie column by column, so
 * that every window is contiguous. */
typedef struct {
    void (*single)($P_pixels *b); /* for the last pixel of an odd row */
    void (*pairs)($P_windows *w);
    const uint8_t *weights;
    int32_t min, max;
    uint16_t h, row_bytes, oh, ow;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t n, first, bytes;     /* bytes used of an input row, the place of the first, of all columns */
    uint16_t step, channels, shift, flip;
    uint16_t taps, column;        /* bytes of a column of a row and of all rows, as they are copied */
    uint16_t row;                 /* from one row to the next */
    uint16_t loops;
} $P_columns8;

static void $P_slide_columns8(const $P_columns8 *l, const void *input, void *output, uint8_t *scratch)
{
    int8_t *columns = (int8_t *)scratch;
    uint8_t *y = output;
#if $P_HAS_MVE
    uint8_t places[16] = {0};
    int32_t group = 16 / l->taps * l->taps, group_step = 16 / l->taps * l->column;
    for (int32_t i = 0, at = 0; i < group; at += l->column) {
        for (int32_t tap = 0; tap < l->taps; tap++, i++) {
            places[i] = (uint8_t)(at + tap);
        }
    }
    uint8x16_t offsets = vldrbq_u8(places), flips = vdupq_n_u8((uint8_t)l->flip);
    mve_pred16_t whole = vctp8q((uint32_t)group);
#endif
    $P_fill_padding(columns, l->bytes + $SLACK, (uint8_t)l->flip);
    for (int32_t oy = 0; oy < l->oh; oy++) {
        for (int32_t i = 0; i < l->kernel_h; i++) {
            int32_t row = oy * l->stride_h + i - l->pad_h, n = l->n;
            int32_t is_there = row >= 0 && row < l->h;
            const uint8_t *x = (const uint8_t *)input + (is_there ? row * l->row_bytes : 0);
            int8_t *to = columns + l->first + i * l->row;
#if $P_HAS_MVE
            if (is_there) {
                for (; n >= group; n -= group, x += group, to += group_step) {
                    uint8x16_t bytes = veorq_u8(vldrbq_z_u8(x, whole), flips);
                    vstrbq_scatter_offset_p_u8((uint8_t *)to, offsets, bytes, whole);
                }
                mve_pred16_t p = vctp8q((uint32_t)n);
                vstrbq_scatter_offset_p_u8((uint8_t *)to, offsets, veorq_u8(vldrbq_z_u8(x, p), flips), p);
            } else {
                for (; n > 0; n -= group, to += group_step) {
                    mve_pred16_t p = n < group ? vctp8q((uint32_t)n) : whole;
                    vstrbq_scatter_offset_p_u8((uint8_t *)to, offsets, flips, p);
                }
            }
#else
            for (int32_t at = 0; at < n; at++) {
                to[at / l->taps * l->column + at % l->taps] = (int8_t)((is_there ? x[at] : 0) ^ l->flip);
            }
#endif
        }
        if (l->ow > 1) {
            $P_windows w = {columns, l->step, y, l->channels, l->weights, l->min, l->max, l->ow / 2};
            l->pairs(&w);
        }
        if (l->ow % 2) {
            const int8_t *last = columns + (l->ow - 1) * l->step;
            const int8_t *const rows[3] = {last, last, 0};
            $P_pixels b = {rows, l->weights, {0, 0}, y + (l->ow - 1) * l->channels, 0, l->channels, l->loops,
                -(int32_t)l->shift, l->min, l->max, 0, 0};
            l->single(&b);
        }
        y += l->ow * l->channels;
    }
}
