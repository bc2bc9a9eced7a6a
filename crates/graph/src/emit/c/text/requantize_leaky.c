/* The same with a slope below zero. */
$P_FUNCTION int32_t $P_requantize_leaky(int32_t acc, const $P_to *to)
{
    if (acc < 0) {
        return $P_requantize_wide((int64_t)acc * to->slope, to->shift + to->slope_shift, to);
    }
    return $P_requantize(acc, to);
}
