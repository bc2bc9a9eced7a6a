$P_FUNCTION void $P_$DRIVER(const $P_sliding *l, $PARAMETERS,
    const $P_rows *range$TOLD)
{
    const uint8_t *x = (const uint8_t *)input;
    uint8_t *y = (uint8_t *)output;
    int16_t *ring = (int16_t *)(void *)scratch;
    const int16_t *slots[$MAX_ROWS], *rows[$MAX_ROWS];
    $BIASES
    const void *bias = $BY_POSITION;
    int32_t kernel = l->kernel_h, next = 0;
    if (l->is_padded) {
        $P_zero(ring, kernel * l->ring_row);
    }
    rows[kernel] = 0;
    for (int32_t oy = range->first; oy < range->end; oy++) {
        const $P_strips *s = l->strips;
        int32_t top = oy * l->stride_h;
        for (next = next < top ? top : next; next < top + kernel; next++) {
            int16_t *to = ring + next % kernel * l->ring_row;
            int32_t row = next - l->pad_h;
            if (row < 0 || row >= l->h) {
                $P_zero(to, l->ring_row);
                continue;
            }
            for (int32_t i = 0; i < l->pieces; i++) {
                const uint8_t *from = x + (row - range->top) * l->row_bytes + i * l->from_bytes;
                l->widen(from, to + l->first + i * l->to_step, l->n, l->shifted);
            }
        }
        for (int32_t i = 0; i < kernel; i++) {
            slots[i] = ring + (top + i) % kernel * l->ring_row;
        }
$EACH_BLOCK        for (int32_t ox = 0; ox < l->ow; s++) {
            for (; ox < s->end; ox += s->pixels, y += s->pixels * l->pixel_bytes) {
                for (int32_t i = 0; i < kernel; i++) {
                    rows[i] = slots[i] + ox * l->column;
                }
$PIXEL_BIASES
                s->strip(rows, $WEIGHTS, bias, y);
            }
        }
$AFTER_BLOCKS    }
}
