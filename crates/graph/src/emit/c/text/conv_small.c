/* A convolution or a dense layer: its constants and how they are stored. */
typedef struct {
    $P_window window;
    $P_to to;
    $MEMBER;
    const void *bias;
    const uint8_t *classes; /* of output rows, then of columns, or 0 */
    const int8_t *shifts;   /* of output channels that have their own, or 0 */
    int16_t groups, column_classes;
    uint8_t weight_bits, bias_bits;
} $P_layer;
