/* n bytes, each with the bits of `flip` changed: 128 makes of an unsigned byte the signed one that is
 * 128 less. */
$P_FUNCTION void $P_copy_flipped(const uint8_t *x, int8_t *to, int32_t n, uint8_t flip)
{
#if $P_HAS_MVE
    uint8x16_t flips = vdupq_n_u8(flip);
    for (; n > 0; n -= 16, x += 16, to += 16) {
        mve_pred16_t p = vctp8q((uint32_t)n);
        vstrbq_p_u8((uint8_t *)to, veorq_u8(vldrbq_z_u8(x, p), flips), p);
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = (int8_t)(x[i] ^ flip);
    }
#endif
}

/* n bytes, and up to 15 more after them. */
$P_INLINE void $P_copy_run(const int8_t *x, int8_t *to, int32_t n)
{
#if $P_HAS_MVE
    vstrbq_s8(to, vldrbq_s8(x));
    while ((n -= 16) > 0) {
        x += 16;
        to += 16;
        vstrbq_s8(to, vldrbq_s8(x));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = x[i];
    }
#endif
}

/* A convolution whose input rows are copied once into a ring of as many as the kernel has, with the
 * padding in it. */
typedef struct {
    void (*strips[2])($P_pixels *b); /* for one pixel and for two */
    $MEMBER;
    const int32_t *bias;
    const uint8_t *classes;          /* of output rows, then of columns, or 0 */
    int32_t min, max;
    uint16_t h, row_bytes, oh, ow;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t n, first, ring_row;     /* bytes copied of an input row, before them, of a ring's row */
    uint16_t column, channels;       /* bytes from one output pixel to the next in a row */
    uint16_t bias_step, column_classes;
    uint16_t loops, shift, flip;
    uint16_t run, patch;             /* bytes of a kernel row; of a whole window where it is gathered */
    uint16_t taps, tap_bytes;
} $P_sliding8;
