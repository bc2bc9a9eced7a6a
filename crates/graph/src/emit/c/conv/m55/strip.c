/* $N pixels, two filters at a time, 32 values of each. */
static void $P_mve_strip_$S(const $P_mve *l, const uint8_t *columns, const int32_t *const *bias,
    void *output)
{
    $Y *y = output;
    int32_t channels = l->channels;
#if $P_HAS_MVE
    const uint8_t *w = l->weights;
    int32_t depth = l->depth, blocks = l->blocks;
$MASK#endif
    for (int32_t o = 0; o < channels; o += 2) {
        int32_t $SUMS;
#if $P_HAS_MVE
        $POINTERS
        __asm__ volatile(
            "dls lr, %[n]\n"
            "1:\n"
$BLOCK
            "le lr, 1b\n"
            : $OUTPUTS, [w] "+r"(w)
            : [n] "r"(blocks)$MASK_INPUT
            : "lr", "q0", "q1", "q2", "q3", "q4", "memory");
#else
$PLAIN
#endif
$FIRST
        if (o + 1 < channels) {
$SECOND
        }
    }
}
