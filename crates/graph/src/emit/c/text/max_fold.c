/* Max-pooling over a whole image of w columns and c channels, row by row. */
$P_FUNCTION void $P_max_fold_$S(const $X *x, $Y *y, int32_t w, int32_t c_all, const $P_rows *range$MINIMUM)
{
    for (int32_t c = 0; c < c_all; c++) {
        int32_t best = range->first > 0 ? $P_at_$Y4(y, c) : $P_at_$X4(x, c);
        for (int32_t j = 0; j < w; j++) {
            int32_t value = $P_at_$X4(x, j * c_all + c);
            best = $BETTER ? value : best;
        }
        $P_put_$Y4(y, c, best);
    }
}
