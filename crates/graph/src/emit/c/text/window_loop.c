    for (int32_t oy = range->first; oy < range->end; oy++) {
        int32_t y0 = oy * g->stride_h - g->pad_h;
        int32_t first_y = $P_first_tap(y0, $DILATION_H);
        int32_t last_y = $P_last_tap(y0, g->h, g->kernel_h, $DILATION_H);
        y0 -= range->top;
        for (int32_t ox = 0; ox < g->ow; ox++) {
            int32_t x0 = ox * g->stride_w - g->pad_w;
            int32_t first_x = $P_first_tap(x0, $DILATION_W);
