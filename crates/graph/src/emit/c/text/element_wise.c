/* $COMMENT, requantized. */
$P_FUNCTION void $P_$NAME_$S(const $A *a, const $B *b, $Y *y, int32_t n, $LEFTconst $P_to *to)
{
    for (int32_t i = 0; i < n; i++) {
        int32_t sum = $FIRST;
        $COMBINE
        $P_put_$Y4(y, i, $P_$REQUANTIZE(sum, to));
    }
}
