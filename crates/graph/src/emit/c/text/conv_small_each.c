/* Any convolution, one filter after another over the whole image: each is unpacked once. */
$P_FUNCTION void $P_$NAME(const $P_layer *l, $CODEconst $X *x, $PARAMETER$Y *y, uint8_t *scratch,
    const $P_rows *range)
{
    const $P_window *g = &l->window;
    $P_to to = l->to;
    int32_t c = g->c / l->groups, filters = g->oc / l->groups, depth = g->kernel_h * g->kernel_w * c;
    int32_t is_run = l->groups == 1 && g->dilation_w == 1;$FIRST
    for (int32_t o = 0; o < g->oc; o++) {
        int32_t first = o / filters * c, n = o;
$WEIGHTS
        if (l->shifts) {
            to.shift = l->shifts[o];
        }
$FOR_EACH_WINDOW
            int32_t last_x = $P_last_tap(x0, g->w, g->kernel_w, g->dilation_w);
            int32_t run = c, at = o, acc;
            if (is_run) {
                run *= last_x - first_x;
                last_x = first_x + 1;
            }
            if (l->classes) {
                at += (l->classes[oy] * l->column_classes + l->classes[g->oh + ox]) * g->oc;
            }
            acc = l->bias_bits == 16 ? ((const int16_t *)l->bias)[at] : ((const int32_t *)l->bias)[at];$ADDED
            for (int32_t i = first_y; i < last_y; i++) {
                for (int32_t j = first_x; j < last_x; j++) {
                    const $W *w = weights + (i * g->kernel_w + j) * c;
                    int32_t row = (y0 + i * g->dilation_h) * g->w + x0;
                    int32_t p = (row + j * g->dilation_w) * g->c + first;
                    for (int32_t k = 0; k < run; k++) {
                        acc += $P_at_$X4(x, p + k) * w[k];
                    }
                }
            }
            $P_put_$Y4(y, n, $P_$REQUANTIZE(acc, &to));
            n += g->oc;
$END_FOR_EACH_WINDOW
    }
}
