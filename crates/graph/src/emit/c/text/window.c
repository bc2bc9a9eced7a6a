/* A sliding window over an image [h, w, c] with output [oh, ow, oc]. */
typedef struct {
    int32_t c, oc;
    int16_t h, w, oh, ow;
    int16_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
} $P_window;

/* The taps [first, last) of a kernel inside the image; at is the position of its first tap. */
$P_INLINE int32_t $P_first_tap(int32_t at, int32_t dilation)
{
    return at < 0 ? (dilation - 1 - at) / dilation : 0;
}

$P_INLINE int32_t $P_last_tap(int32_t at, int32_t size, int32_t kernel, int32_t dilation)
{
    int32_t last = size > at ? (size - at + dilation - 1) / dilation : 0;
    return last < kernel ? last : kernel;
}
