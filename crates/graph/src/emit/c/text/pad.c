/* An image [h, rows of run elements] inside one of [oh, rows of orun elements]. */
$P_FUNCTION void $P_pad_$S(const $X *x, $Y *y, int32_t h, int32_t run, const $P_rows *range, int32_t orun,
    int32_t top, int32_t left, int32_t value)
{
    int32_t n = 0;
    for (int32_t i = range->first; i < range->end; i++) {
        for (int32_t j = 0; j < orun; j++) {
            int32_t row = i - top, at = j - left;
            int inside = row >= 0 && row < h && at >= 0 && at < run;
            $P_put_$Y4(y, n++, inside ? $P_at_$X4(x, (row - range->top) * run + at) : value);
        }
    }
}
