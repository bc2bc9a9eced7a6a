/* Average pooling: the sum of each window times its reciprocal. */
$P_FUNCTION void $P_average_pool_$S(const $X *x, $Y *y, const $P_window *g,
    const $P_rows *range, $RECIPROCALS const $P_to *to)
{
    int32_t n = 0;
$FOR_EACH_WINDOW
            int32_t last_x = $P_last_tap(x0, g->w, g->kernel_w, g->dilation_w);
            for (int32_t c = 0; c < g->c; c++) {
                int32_t sum = 0;
                for (int32_t i = first_y; i < last_y; i++) {
                    int32_t row = ((y0 + i * g->dilation_h) * g->w + x0) * g->c + c;
                    for (int32_t j = first_x; j < last_x; j++) {
                        sum += $P_at_$X4(x, row + j * g->dilation_w * g->c);
                    }
                }
                $P_put_$Y4(y, n++, $RESULT);
            }
$END_FOR_EACH_WINDOW
}
