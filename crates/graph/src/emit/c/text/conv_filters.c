/* $N output channels over all pixels; weights [kernel row, kernel column, input channel, $N]. */
$P_FUNCTION void $P_$NAME(const $X *x, $Y *y, int32_t at, const $P_window *g, const $P_rows *range,
    const $W *weights, const $B *bias, const uint8_t *classes, int32_t column_classes,
    $TO)
{
$FOR_EACH_WINDOW
            int32_t run = ($P_last_tap(x0, g->w, g->kernel_w, 1) - first_x) * g->c;
$BIAS_OF_CLASS
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
$END_FOR_EACH_WINDOW
}
