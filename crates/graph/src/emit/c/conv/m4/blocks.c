/* Blocks of channels whose weights are unpacked for a row: how many, channels of each, their bytes in a pixel, and times
 * five words of their weights. */
typedef struct {
    uint16_t blocks, channels, bytes, fives;
} $P_blocks;
