/* What is added to the sums of a layer, to become part of its biases. */
typedef struct $P_added {
    void (*biases)(const int32_t *bias, const void *added, int32_t at, const struct $P_added *a, int32_t *to);
    const uint8_t *lefts; /* left shifts of the channels, or 0 */
    uint16_t left, channels;
} $P_added;
