        const int8_t *weights = (const int8_t *)scratch;
        code->decode(code, &reader, (depth + 1) & ~1, (int8_t *)scratch);
