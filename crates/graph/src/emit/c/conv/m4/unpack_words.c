/* The next digits of four fractions, two in each word, behind those that are there at the bottom of their bytes. */
$P_INLINE uint32_t $P_digits(uint32_t word, uint32_t *even, uint32_t *odd)
{
    uint32_t e = *even * 3, o = *odd * 3;
    *even = e & 0x00ff00ffu;
    *odd = o & 0x00ff00ffu;
    return word << 2 | (e ^ *even) >> 8 | (o ^ *odd);
}

/* Five words of packed weights of two bits from each four that are stored, n times: a byte of these has the digits of
 * a fraction, one for each of the five words, 2 for -1. */
$P_FUNCTION void $P_unpack_words(const uint32_t *from, uint32_t *to, int32_t n)
{
    for (; n > 0; n--, to += 5) {
        uint32_t a = 0, b = 0, c = 0, d = 0, e = 0;
        for (int32_t i = 0; i < 4; i++) {
            uint32_t even = *from & 0x00ff00ffu, odd = *from >> 8 & 0x00ff00ffu;
            from++;
            a = $P_digits(a, &even, &odd);
            b = $P_digits(b, &even, &odd);
            c = $P_digits(c, &even, &odd);
            d = $P_digits(d, &even, &odd);
            e = $P_digits(e, &even, &odd);
        }
        to[0] = a | (a >> 1 & 0x55555555u);
        to[1] = b | (b >> 1 & 0x55555555u);
        to[2] = c | (c >> 1 & 0x55555555u);
        to[3] = d | (d >> 1 & 0x55555555u);
        to[4] = e | (e >> 1 & 0x55555555u);
    }
}
