#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#include <arm_mve.h>
#define $P_HAS_MVE 1
#else
#define $P_HAS_MVE 0
#endif

/* A convolution as products of pixels and filters: the inputs under the kernel of an output pixel are
 * gathered into a column of signed bytes. */
typedef struct $P_mve $P_mve;

/* All output channels of some pixels, whose columns lie one after another; a bias for each. */
typedef void $P_mve_strip(const $P_mve *l, const uint8_t *columns, const int32_t *const *bias, void *y);

struct $P_mve {
    $P_mve_strip *strip, *one;
    const uint8_t *weights;
    const int32_t *bias;    /* an even number for each class of positions */
    const uint8_t *classes; /* of output rows, then of columns, or 0 */
    uint16_t pixels, oh, ow, h;
    uint16_t row_bytes, copied;  /* of an input row: all, and what gets into the ring */
    uint16_t kernel_h, stride_h, pad_h;
    uint16_t ring_row, first;    /* bytes of a row of the ring, and before its first value; or 0 */
    uint16_t run, column;        /* bytes under a row of the kernel, and between two pixels */
    uint16_t depth, blocks;      /* bytes of a column, and how many times 32 that is */
    uint16_t channels, pixel_bytes, bias_step, column_classes;
    uint8_t flip, pad;           /* what makes values signed, and what a zero is then */
    uint8_t shift;
    int16_t min, max;
};

/* n bytes, with what makes them signed. */
static void $P_mve_take(const uint8_t *from, uint8_t *to, int32_t n, uint8_t flip)
{
#if $P_HAS_MVE
    uint8x16_t flips = vdupq_n_u8(flip);
    for (; n > 0; n -= 16, from += 16, to += 16) {
        mve_pred16_t some = vctp8q((uint32_t)n);
        vstrbq_p_u8(to, veorq_u8(vldrbq_z_u8(from, some), flips), some);
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = (uint8_t)(from[i] ^ flip);
    }
#endif
}

/* At least n bytes; up to 15 more are read and written. */
static inline void $P_mve_copy(const uint8_t *from, uint8_t *to, int32_t n)
{
#if $P_HAS_MVE
    do {
        vstrbq_u8(to, vldrbq_u8(from));
        from += 16;
        to += 16;
        n -= 16;
    } while (n > 0);
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = from[i];
    }
#endif
}

static void $P_mve_fill(uint8_t *to, int32_t n, uint8_t value)
{
#if $P_HAS_MVE
    uint8x16_t values = vdupq_n_u8(value);
    for (; n > 0; n -= 16, to += 16) {
        vstrbq_p_u8(to, values, vctp8q((uint32_t)n));
    }
#else
    for (int32_t i = 0; i < n; i++) {
        to[i] = value;
    }
#endif
}

static void $P_mve_conv(const $P_mve *l, const void *input, void *output, uint8_t *scratch)
{
    const uint8_t *x = input, *slots[$MAX_ROWS];
    uint8_t *y = output, *columns = scratch + l->kernel_h * l->ring_row, *to = columns;
    const int32_t *bias[4];
    int32_t kernel = l->kernel_h, next = 0, n = 0;
    if (l->ring_row) {
        $P_mve_fill(scratch, kernel * l->ring_row, l->pad);
    }
    for (int32_t oy = 0; oy < l->oh; oy++) {
        int32_t top = oy * l->stride_h;
        if (l->ring_row) {
            for (next = next < top ? top : next; next < top + kernel; next++) {
                uint8_t *slot = scratch + next % kernel * l->ring_row;
                int32_t row = next - l->pad_h;
                if (row < 0 || row >= l->h) {
                    $P_mve_fill(slot, l->ring_row, l->pad);
                } else {
                    $P_mve_take(x + row * l->row_bytes, slot + l->first, l->copied, l->flip);
                }
            }
            for (int32_t i = 0; i < kernel; i++) {
                slots[i] = scratch + (top + i) % kernel * l->ring_row;
            }
        } else {
            slots[0] = x + top * l->row_bytes;
        }
        for (int32_t ox = 0; ox < l->ow; ox++) {
            int32_t at = ox * l->column;
            if (l->ring_row) {
                uint8_t *part = to;
                for (int32_t i = 0; i < kernel; i++, part += l->run) {
                    $P_mve_copy(slots[i] + at, part, l->run);
                }
            } else {
                $P_mve_take(slots[0] + at, to, l->run, l->flip);
            }
            bias[n] = l->bias;
            if (l->classes) {
                int32_t class = l->classes[oy] * l->column_classes + l->classes[l->oh + ox];
                bias[n] += class * l->bias_step;
            }
            n++;
            to += l->depth;
            if (n == l->pixels) {
                l->strip(l, columns, bias, y);
                y += n * l->pixel_bytes;
                n = 0;
                to = columns;
            }
        }
    }
    for (int32_t i = 0; i < n; i++, y += l->pixel_bytes) {
        l->one(l, columns + i * l->depth, bias + i, y);
    }
}
