/* The next n weights of a stream of codes; n is even. */
$P_FUNCTION void $P_decode(const $P_code *code, $P_reader *reader, int32_t n, int8_t *to)
{
    const int8_t *table = code->table, *end = to + n;
    const uint16_t *from = reader->from;
    uint32_t bits = reader->bits, mask = code->mask;
    int32_t filled = reader->filled;
    for (; to != end; to += 2) {
        int32_t entry;
        if (filled < 16) {
            bits |= (uint32_t)*from++ << filled;
            filled += 16;
        }
        entry = table[bits & mask];
        bits >>= entry & 15;
        filled -= entry & 15;
        to[0] = (int8_t)(entry >> 4);
        entry = table[bits & mask];
        bits >>= entry & 15;
        filled -= entry & 15;
        to[1] = (int8_t)(entry >> 4);
    }
    reader->from = from;
    reader->bits = bits;
    reader->filled = filled;
}
