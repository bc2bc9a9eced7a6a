/* The weight at index i of a stream $WHAT, least significant bits first. */
$P_INLINE int32_t $P_weight_$BITS(const uint8_t *weights, int32_t i)
{
    uint32_t at = (uint32_t)i * $BITS;
    uint32_t field = $FIELD;
    return $WEIGHT;
}
