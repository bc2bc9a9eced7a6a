/* $N channels over all pixels, each with its own filter; weights [kernel row, kernel column, $N]. */
static void $P_depthwise_$S(const $X *x, $Y *y, int32_t at, const $P_window *g,
    const $W *weights, const $B *bias, const uint8_t *classes, int32_t column_classes,
    $TO)
{
    int32_t channel = at;
    for (int32_t oy = 0; oy < g->oh; oy++) {
        int32_t y0 = oy * g->stride_h - g->pad_h;
        int32_t first_y = $P_first_tap(y0, g->dilation_h);
        int32_t last_y = $P_last_tap(y0, g->h, g->kernel_h, g->dilation_h);
        for (int32_t ox = 0; ox < g->ow; ox++) {
            int32_t x0 = ox * g->stride_w - g->pad_w;
            int32_t first_x = $P_first_tap(x0, g->dilation_w);
            int32_t last_x = $P_last_tap(x0, g->w, g->kernel_w, g->dilation_w);
            const $B *b = bias;
            if (classes) {
                b += (classes[oy] * column_classes + classes[g->oh + ox]) * g->oc;
            }
            $ACCUMULATORS
            for (int32_t i = first_y; i < last_y; i++) {
                int32_t row = (y0 + i * g->dilation_h) * g->w + x0;
                int32_t p = (row + first_x * g->dilation_w) * g->c + channel;
                const $W *w = weights + (i * g->kernel_w + first_x) * $N;
                for (int32_t j = first_x; j < last_x; j++) {
                    $SUMS
                    p += g->dilation_w * g->c;
                    w += $N;
                }
            }
            $STORES
            at += g->oc;
        }
    }
}
