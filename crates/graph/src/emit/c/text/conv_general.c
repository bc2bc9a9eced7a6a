/* Any convolution: bias plus the sum over the taps inside the image. */
$P_FUNCTION void $P_conv_$S(const $X *x, $Y *y, const $P_window *g,
    const $P_rows *range, int32_t groups,
    const $W *weights, const $B *bias, const uint8_t *classes, int32_t column_classes, $TO)
{
    int32_t c = g->c / groups, oc = g->oc / groups;
    int32_t n = 0, taps = g->kernel_h * g->kernel_w;
$FOR_EACH_WINDOW
            int32_t last_x = $P_last_tap(x0, g->w, g->kernel_w, g->dilation_w);
$BIAS_OF_CLASS
            for (int32_t o = 0; o < g->oc; o++) {
                int32_t acc = b[o]$ADDED;
                for (int32_t i = first_y; i < last_y; i++) {
                    int32_t row = (y0 + i * g->dilation_h) * g->w + x0;
                    for (int32_t j = first_x; j < last_x; j++) {
                        int32_t p = (row + j * g->dilation_w) * g->c + o / oc * c;
                        int32_t w = (o * taps + i * g->kernel_w + j) * c;
                        for (int32_t k = 0; k < c; k++) {
                            acc += $P_at_$X4(x, p + k) * $WEIGHT;
                        }
                    }
                }
                $P_put_$Y4(y, n++, $RESULT);
            }
$END_FOR_EACH_WINDOW
}
