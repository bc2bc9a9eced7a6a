/* $N output channels over all pixels; weights [kernel row, kernel column, input channel, $N]. */
static void $P_filters_$S(const $X *x, $Y *y, int32_t at, const $P_window *g,
    const $W *weights, const $B *bias, const uint8_t *classes, int32_t column_classes,
    $TO)
{
    for (int32_t oy = 0; oy < g->oh; oy++) {
        int32_t y0 = oy * g->stride_h - g->pad_h;
        int32_t first_y = $P_first_tap(y0, 1);
        int32_t last_y = $P_last_tap(y0, g->h, g->kernel_h, 1);
        for (int32_t ox = 0; ox < g->ow; ox++) {
            int32_t x0 = ox * g->stride_w - g->pad_w;
            int32_t first_x = $P_first_tap(x0, 1);
            int32_t run = ($P_last_tap(x0, g->w, g->kernel_w, 1) - first_x) * g->c;
            const $B *b = bias;
            if (classes) {
                b += (classes[oy] * column_classes + classes[g->oh + ox]) * g->oc;
            }
            $ACCUMULATORS
            for (int32_t i = first_y; i < last_y; i++) {
                int32_t p = ((y0 + i) * g->w + x0 + first_x) * g->c;
                const $W *w = weights + (i * g->kernel_w + first_x) * g->c * $N;
                for (int32_t k = 0; k < run; k++) {
                    int32_t value = $P_at_$X4(x, p + k);
                    $SUMS
                    w += $N;
                }
            }
            $STORES
            at += g->oc;
        }
    }
}
