/* n bytes of padding: zeros as the copies of inputs have them. */
$P_FUNCTION void $P_fill_padding(int8_t *to, int32_t n, uint8_t flip)
{
#if $P_HAS_MVE
    __asm__ volatile("wlstp.8 lr, %1, 2f\n1: vstrb.8 %q2, [%0], #16; letp lr, 1b\n2:"
                     : "+r"(to)
                     : "r"(n), "w"(vdupq_n_u8(flip))
                     : "lr", "cc", "memory");
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = (int8_t)flip;
    }
#endif
}
