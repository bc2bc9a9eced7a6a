/* Inner loops are vector code where the core has MVE, elsewhere C that gives the same integers. */
#if defined(__ARM_FEATURE_MVE) && defined(__thumb2__) && !defined(__ARM_BIG_ENDIAN)
#define $P_HAS_MVE 1
#define $P_ASSEMBLY static __attribute__((naked, noinline, used))
#define $P_UNUSED __attribute__((unused))
#include <arm_mve.h>
#else
#define $P_HAS_MVE 0
#endif

/* Some neighboring output pixels with all their channels. Sums wrap; what they wrap to is right, as
 * the whole sum fits. */
typedef struct {
    const int8_t *const *rows; /* of each kernel row the places of two pixels, and a null at the end */
    const uint8_t *weights;
    const int32_t *bias[2];    /* of either pixel */
    uint8_t *y;
    int32_t pixel_bytes;       /* from one output pixel to the next */
    int32_t channels;          /* that are left */
    int32_t loops;             /* turns of the loop over a kernel row */
    int32_t shift;             /* to the left, so not above zero */
    int32_t min, max;
    int32_t taps, tap_bytes;   /* depthwise: of a kernel row, and from one to the next */
} $P_pixels;

#if !$P_HAS_MVE
$P_INLINE uint8_t $P_shifted(uint32_t acc, int32_t shift, const $P_pixels *b)
{
    int32_t y = (int32_t)acc >> -shift;
    return (uint8_t)(y < b->min ? b->min : y > b->max ? b->max : y);
}
#endif
