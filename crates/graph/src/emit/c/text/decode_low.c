/* The next n weights of a stream of codes, each followed by lower bits. */
$P_FUNCTION void $P_decode_low(const $P_code *code, $P_reader *reader, int32_t n, int8_t *to)
{
    const int8_t *table = code->table, *end = to + n;
    const uint16_t *from = reader->from;
    uint32_t bits = reader->bits, mask = code->mask, low_mask = code->low_mask;
    int32_t filled = reader->filled, above = code->above;
    while (to != end) {
        int32_t entry;
        if (filled < 16) {
            bits |= (uint32_t)*from++ << filled;
            filled += 16;
        }
        entry = table[bits & mask];
        bits >>= entry & 15;
        *to++ = (int8_t)((entry & -16) >> above | (int32_t)(bits & low_mask));
        bits >>= 4 - above;
        filled -= (entry & 15) + 4 - above;
    }
    reader->from = from;
    reader->bits = bits;
    reader->filled = filled;
}
