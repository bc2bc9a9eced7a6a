/* The same with a shift per channel. */
$P_INLINE int32_t $P_$EACH(int32_t acc, int32_t shift, const $P_to *to)
{
    $P_to own = *to;
    own.shift = (int8_t)shift;
    return $P_$REQUANTIZE(acc, &own);
}
