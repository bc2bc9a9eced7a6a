        uint8_t *row = y;
        for (int32_t block = 0; block < n->blocks; block++) {
            $P_unpack_words($STORED + 4 * n->fives * block, words, n->fives);
            s = l->strips;
            bias = l->bias + block * n->channels;
            y = row + block * n->bytes;
