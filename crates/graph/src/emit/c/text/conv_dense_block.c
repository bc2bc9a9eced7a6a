/* One pixel: 4 sums over all inputs; weights [input, 4] of $BITS bits, unpacked on use. */
$P_FUNCTION void $P_$NAME(const $X *x, $Y *y, int32_t at, int32_t n, const uint8_t *weights,
    const $B *b, $TO)
{
    $ACCUMULATORS
    for (int32_t k = 0; k < n; k++) {
        int32_t value = $P_at_$X4(x, k);
        uint32_t fields = $FIELDS;
        weights += $BYTES;
        $SUMS
    }
    $STORES
}
