/* $N pixels, two filters at a time, 32 values of each; $CHANNELS filters of $BLOCKS times 32 values. */
static void $P_mve_strip_$S(const $P_mve *l, const uint8_t *columns, const int32_t *const *bias,
    void *output)
{
    $Y *y = output;
#if $P_HAS_MVE
    const uint8_t *w = l->weights;
    $BIASES
$MASK    for (int32_t o = 0; o < $CHANNELS; o += 2, y += 2) {
        int32_t $SUMS;
        $POINTERS
        $COPIES
        __asm__ volatile(
            "dls lr, %[n]\n"
            "1:\n"
$BLOCK
            "le lr, 1b\n"
            : $OUTPUTS, [w] "+r"(w)
            : [n] "r"($BLOCKS)$MASK_INPUT
            : "lr", "q0", "q1", "q2", "q3", "q4", "memory");
$STORES
    }
#else
    $P_mve_plain_$BITS(l, columns, bias, $N, y);
#endif
}
