/* The same for a product that needs 64 bits. */
$P_FUNCTION int32_t $P_requantize_wide(int64_t acc, int32_t shift, const $P_to *to)
{
    if (shift > 0) {
        $ROUND
    } else {
        if (acc > (to->max >> -shift)) {
            return to->max;
        }
        if (acc < -(-to->min >> -shift)) {
            return to->min;
        }
        acc *= (int64_t)1 << -shift;
    }
    return acc < to->min ? to->min : acc > to->max ? to->max : (int32_t)acc;
}
