/* $COMMENT, requantized; an element may go with several of the other value. */
$P_FUNCTION void $P_broadcast_$NAME_$S(const $A *a, const $B *b, $Y *y, const $P_broadcast *g,
    $LEFTconst $P_to *to)
{
    int32_t n = 0;
    for (int32_t i = 0; i < g->n[0]; i++) {
        for (int32_t j = 0; j < g->n[1]; j++) {
            int32_t at_a = i * g->a[0] + j * g->a[1];
            int32_t at_b = i * g->b[0] + j * g->b[1];
            for (int32_t k = 0; k < g->n[2]; k++) {
                int32_t sum = $FIRST;
                $COMBINE
                $P_put_$Y4(y, n++, $P_$REQUANTIZE(sum, to));
                at_a += g->a[2];
                at_b += g->b[2];
            }
        }
    }
}
