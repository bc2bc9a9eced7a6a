        const uint8_t *from = (const uint8_t *)added + block * c->added;
        $P_added own = *a;
        own.channels = c->channels;
        own.lefts = own.lefts ? own.lefts + block * c->channels : 0;
