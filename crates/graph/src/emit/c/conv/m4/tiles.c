/* Columns of the output that are computed together, and where they begin in the values: bytes. */
typedef struct {
    const $P_sliding *plan;
    uint16_t x, y, added;
} $P_tile;

/* A convolution whose weights have codes: blocks of channels are decoded one after the other. */
typedef struct {
    const $P_code *code;
    const int32_t *bias;
    const $P_tile *tile;
    uint16_t tiles, blocks;
    uint16_t channels, weights; /* of a block */
    uint16_t bytes, added;      /* of a block in a pixel of the output, and of what is added */
} $P_tiles;
