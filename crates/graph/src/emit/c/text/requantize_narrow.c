$INLINE int32_t $P_requantize(int32_t acc, const $P_to *to)
{
    if (to->shift > 0) {
        $ROUND
    } else if (to->shift < 0) {
        int32_t left = -to->shift;
        if (acc > (to->max >> left)) {
            return to->max;
        }
        if (acc < -(-to->min >> left)) {
            return to->min;
        }
        acc *= (int32_t)1 << left;
    }
    return $P_clamp(acc, to);
}
