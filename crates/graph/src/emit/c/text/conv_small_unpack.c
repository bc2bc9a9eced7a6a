/* n integers of so many bits from bit `first` of a stream on, least significant bits first; one bit is the sign of
 * -1 or +1. */
$P_FUNCTION void $P_unpack_$S(const uint8_t *from, int32_t first, int32_t n, int32_t bits, $W *to)
{
    int32_t filled = 8 - (first & 7), sign = (int32_t)1 << (bits - 1), odd = bits == 1;
    uint32_t field = (uint32_t)from[first >> 3] >> (first & 7);
    from += (first >> 3) + 1;
    for (int32_t i = 0; i < n; i++) {
        for (; filled < bits; filled += 8) {
            field |= (uint32_t)*from++ << filled;
        }
        to[i] = ($W)(((((int32_t)field & (2 * sign - 1)) ^ sign) - sign) | odd);
        field >>= bits;
        filled -= bits;
    }
}
