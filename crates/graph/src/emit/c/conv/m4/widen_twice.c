/* $X to int16_t, one after another, and the same once more `shifted` bytes on: two values at an odd
 * place of the first lie at an even one of the second. */
#if $P_HAS_DSP
$P_ASSEMBLY void $P_widen_twice_$S($P_UNUSED const void *x, $P_UNUSED int16_t *to, $P_UNUSED int32_t n,
    $P_UNUSED int32_t shifted)
{
    __asm__ volatile(
        "subs r2, #4; blt 2f\n"
        "1: .rept 4\n $LOAD r12, [r0], #$BYTES; strh r12, [r1, r3]; strh r12, [r1], #2\n .endr\n"
        "subs r2, #4; bge 1b\n"
        "2: adds r2, #4; beq 4f\n"
        "3: $LOAD r12, [r0], #$BYTES; strh r12, [r1, r3]; strh r12, [r1], #2; subs r2, #1; bne 3b\n"
        "4: bx lr\n");
}
#else
$P_FUNCTION void $P_widen_twice_$S(const void *x, int16_t *to, int32_t n, int32_t shifted)
{
    const $X *from = (const $X *)x;
    for (int32_t i = 0; i < n; i++) {
        to[i] = from[i];
        to[i + shifted / 2] = from[i];
    }
}
#endif
