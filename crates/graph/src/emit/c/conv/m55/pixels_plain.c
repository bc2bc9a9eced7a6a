#if !$P_HAS_MVE
/* Weights are in blocks of four channels, their rows, steps of 16 values, and there as many vectors
 * as the width needs: a byte has the weights of neighboring channels, the first one lowest. With
 * `carries` a byte is their sum, each times its place, and else they stand side by side. With `flat`
 * the four biases follow, lowest byte first, and with `each` the four shifts. */
$P_FUNCTION void $P_pixels_plain($P_pixels *b, int32_t n_pixels, int32_t bits, int32_t carries, int32_t unrolled,
    int32_t flat, int32_t each)
{
    int32_t steps = b->loops * unrolled, per_byte = 8 / bits, rows = 0;
    while (b->rows[2 * rows]) {
        rows++;
    }
    for (int32_t c = 0; c < b->channels; c++) {
        int32_t vectors = rows * steps * 4 / per_byte;
        const uint8_t *weights = b->weights + c / 4 * ((vectors + flat) * 16 + 4 * each);
        const uint8_t *bias = weights + vectors * 16 + c % 4 * 4;
        int32_t shift = each ? (int8_t)weights[(vectors + flat) * 16 + c % 4] : b->shift;
        for (int32_t p = 0; p < n_pixels; p++) {
            uint32_t acc = flat ? bias[0] | (uint32_t)bias[1] << 8 | (uint32_t)bias[2] << 16 | (uint32_t)bias[3] << 24
                                : (uint32_t)b->bias[p][c];
            for (int32_t i = 0; i < rows * steps * 16; i++) {
                int32_t byte = (int8_t)weights[(i / 16 * 4 / per_byte + c % 4 / per_byte) * 16 + i % 16];
                int32_t half = 1 << (bits - 1), w = 0;
                for (int32_t digit = 0; digit <= c % per_byte; digit++) {
                    w = ((byte + half) & (2 * half - 1)) - half;
                    byte = (carries ? byte - w : byte) >> bits;
                }
                acc += (uint32_t)(w * b->rows[2 * (i / (16 * steps)) + p][i % (16 * steps)]);
            }
            b->y[p * b->pixel_bytes + c] = $P_shifted(acc, shift, b);
        }
    }
}
#endif
