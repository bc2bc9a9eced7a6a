/* n weights of three values, five digits of a fraction to a byte; 0 is minus a power of two. */
$P_FUNCTION void $P_unpack_three(const uint8_t *from, int32_t n, int32_t power, int8_t *to)
{
    int32_t unit = (int32_t)1 << power, rest;
    for (; n >= 5; n -= 5, to += 5) {
        rest = *from++ * 3;
        to[0] = (int8_t)((rest >> 8) * unit - unit);
        rest = (rest & 255) * 3;
        to[1] = (int8_t)((rest >> 8) * unit - unit);
        rest = (rest & 255) * 3;
        to[2] = (int8_t)((rest >> 8) * unit - unit);
        rest = (rest & 255) * 3;
        to[3] = (int8_t)((rest >> 8) * unit - unit);
        rest = (rest & 255) * 3;
        to[4] = (int8_t)((rest >> 8) * unit - unit);
    }
    rest = n > 0 ? *from : 0;
    for (; n > 0; n--) {
        rest *= 3;
        *to++ = (int8_t)((rest >> 8) * unit - unit);
        rest &= 255;
    }
}
