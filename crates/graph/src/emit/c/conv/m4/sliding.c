/* n zeros; n is even. */
#if $P_HAS_DSP
$P_ASSEMBLY void $P_zero($P_UNUSED int16_t *to, $P_UNUSED int32_t n)
{
    __asm__ volatile(
        "push {r4-r9, lr}\n"
        "movs r2, #0; movs r3, #0; movs r4, #0; movs r5, #0\n"
        "movs r6, #0; movs r7, #0; mov r8, r2; mov r9, r2\n"
        "subs r1, #16; blt 2f\n"
        "1: stmia r0!, {r2-r9}; subs r1, #16; bge 1b\n"
        "2: adds r1, #16; beq 4f\n"
        "3: str r2, [r0], #4; subs r1, #2; bne 3b\n"
        "4: pop {r4-r9, pc}\n");
}
#else
$P_FUNCTION void $P_zero(int16_t *to, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        to[i] = 0;
    }
}
#endif

/* All output channels of some neighboring output pixels: `rows` are the kernel's rows, at the first
 * of them; `bias` is an array, or with classes of positions an array of one pointer a pixel. */
typedef void $P_strip(const int16_t *const *rows, const uint32_t *weights, const void *bias, void *y);

typedef struct {
    $P_strip *strip;
    uint16_t end;   /* the output column after its last */
    uint16_t pixels;
} $P_strips;

/* A convolution whose input rows are widened to int16_t once, into a ring of as many as the kernel
 * has, with the padding in it. */
typedef struct {
    void (*widen)(const void *x, int16_t *to, int32_t n, int32_t shifted);
    $MEMBER;
    const int32_t *bias;
    const uint8_t *classes; /* of output rows, then of columns, or 0 */
    $P_strips strips[2];
    uint16_t h, row_bytes, oh, ow;
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t pieces, n;            /* what is widened of an input row: pieces of n values, */
    uint16_t from_bytes, to_step;  /* and the steps between them */
    uint16_t ring_row, first;      /* int16_t of a row of the ring, and before its first value */
    uint16_t shifted, is_padded;
    uint16_t column, pixel_bytes;  /* int16_t from one output pixel to the next, and its bytes */
    uint16_t bias_step, column_classes;
} $P_sliding;
