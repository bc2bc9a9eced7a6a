/* Where codes of weights are read: bits that were read ahead. */
typedef struct {
    const uint16_t *from;
    uint32_t bits;
    int32_t filled;
} $P_reader;

/* How the weights of a layer are coded. Of the next bits of the stream, as many as the longest code has, the entry of the
 * table has the upper bits of a weight in its upper half and the length of their code in its lower half. */
typedef struct $P_code {
    void (*decode)(const struct $P_code *code, $P_reader *reader, int32_t n, int8_t *to);
    const int8_t *table;
    const uint16_t *weights;
    uint8_t mask, low_mask, above; /* of those bits, of the bits of a weight after its code; four bits without these */
} $P_code;
