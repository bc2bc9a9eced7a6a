$P_FUNCTION void $P_$DRIVER(const $P_sliding8 *l, $PARAMETERS,
    const $P_rows *range)
{
    const uint8_t *x = (const uint8_t *)input;
    int8_t *ring = (int8_t *)scratch, *patch = ring + l->kernel_h * l->ring_row;
    const int8_t *slots[$MAX_ROWS], *rows[2 * $MAX_ROWS];
    int32_t kernel = l->kernel_h, next = 0;$MADE
    $P_pixels b;
    b.rows = rows;
    b.y = (uint8_t *)output;
    b.loops = l->loops;
    b.shift = -(int32_t)l->shift;
    b.min = l->min;
    b.max = l->max;
    b.taps = l->taps;
    b.tap_bytes = l->tap_bytes;
    $P_fill_padding(ring, kernel * l->ring_row + 2 * l->patch + $SLACK, (uint8_t)l->flip);
    for (int32_t oy = range->first; oy < range->end; oy++) {
        int32_t top = oy * l->stride_h;
        for (next = next < top ? top : next; next < top + kernel; next++) {
            int8_t *to = ring + next % kernel * l->ring_row;
            int32_t row = next - l->pad_h;
            if (row < 0 || row >= l->h) {
                $P_fill_padding(to, l->ring_row, (uint8_t)l->flip);
            } else {
                $P_copy_flipped(x + (row - range->top) * l->row_bytes, to + l->first, l->n, (uint8_t)l->flip);
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
                }$BIASES
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
            b.weights = $WEIGHTS;
            b.channels = l->channels;
            b.pixel_bytes = pixels > 1 ? l->channels : 0;
            l->strips[pixels - 1](&b);
            b.y = y;
            ox += pixels;$NEXT
        }
    }
}
