    int8_t slope_shift;
    int32_t slope; /* slope below zero of a leaky ReLU, times 2^slope_shift */
