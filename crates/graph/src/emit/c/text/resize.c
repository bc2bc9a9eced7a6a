/* Weighted sums of the pixels around places of an image of iw columns and c channels. */
$P_FUNCTION void $P_resize_$S(const $X *x, $Y *y, const $P_between *rows,
    const $P_rows *range, int32_t bits_h,
    const $P_between *columns, int32_t w, int32_t bits_w, int32_t iw, int32_t c, const $P_to *to)
{
    int32_t n = 0;
    for (int32_t i = range->first; i < range->end; i++) {
        int32_t lower = rows[i].weight, upper = ((int32_t)1 << bits_h) - lower;
        int32_t top = (rows[i].first - range->top) * iw, below = lower > 0 ? iw * c : 0;
        for (int32_t j = 0; j < w; j++) {
            int32_t right = columns[j].weight, left = ((int32_t)1 << bits_w) - right;
            int32_t at = (top + columns[j].first) * c, next = right > 0 ? c : 0;
            for (int32_t k = 0; k < c; k++, at++) {
                int32_t above = $P_at_$X4(x, at) * left + $P_at_$X4(x, at + next) * right;
                int32_t under =
                    $P_at_$X4(x, at + below) * left + $P_at_$X4(x, at + below + next) * right;
                $P_put_$Y4(y, n++, $P_$REQUANTIZE(above * upper + under * lower, to));
            }
        }
    }
}
