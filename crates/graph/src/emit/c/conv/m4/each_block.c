        uint8_t *row = y;
        for (int32_t block = 0; block < n->blocks; block++) {
            const int32_t *own = l->bias + block * n->channels;
            $P_unpack_words($STORED + 4 * n->fives * block, words, n->fives);
            s = l->strips;
            bias = l->classes ? (const void *)biases : (const void *)own;
            y = row + block * n->bytes;
