/* From a sum to an output: a rounding shift, then a clamp. */
typedef struct {
    int16_t min, max; /* of the output, the activation included */
    int8_t shift;     /* to the right; to the left where negative */
    int8_t slope;     /* below zero, in 128ths, where the activation is a leaky ReLU */
} $P_to;

static inline int32_t $P_clamp(int32_t value, const $P_to *to)
{
    return value < to->min ? to->min : value > to->max ? to->max : value;
}
