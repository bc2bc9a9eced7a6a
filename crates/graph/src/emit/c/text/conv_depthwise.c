/* $N channels over all pixels, each with its own filter; weights [kernel row, kernel column, $N]. */
$P_FUNCTION void $P_$NAME(const $X *x, $Y *y, int32_t at, const $P_window *g, const $P_rows *range,
    const $W *weights, const $B *bias, const uint8_t *classes, int32_t column_classes,
    $TO)
{
    int32_t channel = at;
$FOR_EACH_WINDOW
            int32_t last_x = $P_last_tap(x0, g->w, g->kernel_w, g->dilation_w);
$BIAS_OF_CLASS
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
$END_FOR_EACH_WINDOW
}
