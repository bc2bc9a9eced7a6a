/* $X to int16_t, each four values in the order $ORDER; n is divisible by 4. */
#if $P_HAS_DSP
$P_ASSEMBLY void $P_widen_$S_aligned($P_UNUSED const void *x, $P_UNUSED int16_t *to, $P_UNUSED int32_t n)
{
    __asm__ volatile(
        "push {r4-r11, lr}\n"
        "subs r2, #16; blt 2f\n"
        "1: ldmia r0!, {r4, r6, r8, r10}\n"
$BLOCK
        "stmia r1!, {r4-r11}; subs r2, #16; bge 1b\n"
        "2: adds r2, #16; beq 4f\n"
        "3: ldr r4, [r0], #4\n"
$LAST
        "stmia r1!, {r4, r5}; subs r2, #4; bne 3b\n"
        "4: pop {r4-r11, pc}\n");
}
#endif

$P_FUNCTION void $P_widen_$S(const void *x, int16_t *to, int32_t n, int32_t shifted)
{
    const $X *from = (const $X *)x;
    (void)shifted;
#if $P_HAS_DSP
    if (((uintptr_t)x & 3) == 0) {
        $P_widen_$S_aligned(x, to, n);
        return;
    }
#endif
    for (int32_t i = 0; i < n; i += 4) {
        to[i] = from[i];
        to[i + 1] = from[i + $SECOND];
        to[i + 2] = from[i + $THIRD];
        to[i + 3] = from[i + 3];
    }
}
