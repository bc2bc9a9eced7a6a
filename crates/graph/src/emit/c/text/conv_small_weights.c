        const $W *weights = (const $W *)$WEIGHTS + o * depth;
        if (l->weight_bits != $WIDTH) {
            $P_unpack_$W4((const uint8_t *)$WEIGHTS, o * depth * l->weight_bits, depth, l->weight_bits, ($W *)(void *)scratch);
            weights = (const $W *)(const void *)scratch;
        }
