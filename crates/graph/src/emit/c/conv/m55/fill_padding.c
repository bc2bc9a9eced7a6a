/* n bytes of padding: zeros as the copies of inputs have them. */
static void $P_fill_padding(int8_t *to, int32_t n, uint8_t flip)
{
#if $P_HAS_MVE
    uint8x16_t flips = vdupq_n_u8(flip);
    for (; n > 0; n -= 16, to += 16) {
        vstrbq_p_u8((uint8_t *)to, flips, vctp8q((uint32_t)n));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = (int8_t)flip;
    }
#endif
}
