#if !$P_HAS_MVE
/* Weights are in blocks of four channels, their rows, steps of 16 values, and there as many vectors
 * as the width needs. Each lane is a stream of the weights of neighboring channels and steps, the first one in
 * the lowest bits; with `carries` a byte is the sum of its weights, each times its place. With `flat`
 * the four biases follow, lowest byte first, and with `each` the four shifts. */
$P_FUNCTION void $P_pixels_plain($P_pixels *b, int32_t n_pixels, int32_t bits, int32_t carries, int32_t unrolled,
    int32_t flat, int32_t each)
{
    int32_t steps = b->loops * unrolled, row_vectors = (4 * steps * bits + 7) / 8, rows = 0;
    while (b->rows[2 * rows]) {
        rows++;
    }
    for (int32_t c = 0; c < b->channels; c++) {
        int32_t vectors = rows * row_vectors;
        const uint8_t *weights = b->weights + c / 4 * ((vectors + flat) * 16 + 4 * each);
        const uint8_t *bias = weights + vectors * 16 + c % 4 * 4;
        int32_t shift = each ? (int8_t)weights[(vectors + flat) * 16 + c % 4] : b->shift;
        for (int32_t p = 0; p < n_pixels; p++) {
            uint32_t acc = flat ? bias[0] | (uint32_t)bias[1] << 8 | (uint32_t)bias[2] << 16 | (uint32_t)bias[3] << 24
                                : (uint32_t)b->bias[p][c];
            for (int32_t i = 0; i < rows * steps * 16; i++) {
                int32_t row = i / (16 * steps), k = i % (16 * steps), at = (k / 16 * 4 + c % 4) * bits;
                const uint8_t *from = weights + (row * row_vectors + at / 8) * 16 + k % 16;
                int32_t half = 1 << (bits - 1), field = (int8_t)from[0], w = 0;
                if (!carries) {
                    field = (from[0] | (at % 8 + bits > 8 ? from[16] << 8 : 0)) >> at % 8;
                    w = ((field + half) & (2 * half - 1)) - half;
                }
                for (int32_t place = 0; carries && place <= at % 8; place += bits) {
                    w = ((field + half) & (2 * half - 1)) - half;
                    field = (field - w) >> bits;
                }
                acc += (uint32_t)(w * b->rows[2 * row + p][k]);
            }
            b->y[p * b->pixel_bytes + c] = $P_shifted(acc, shift, b);
        }
    }
}
#endif
