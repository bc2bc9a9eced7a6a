/* Requantization of an accumulator: a rounding shift, then a clamp. */
typedef struct {
    int16_t min, max; /* of the output, including the activation */
    int8_t shift;     /* right shift; left shift if negative */
$SLOPE} $P_to;

$P_INLINE int32_t $P_clamp(int32_t value, const $P_to *to)
{
    return value < to->min ? to->min : value > to->max ? to->max : value;
}
