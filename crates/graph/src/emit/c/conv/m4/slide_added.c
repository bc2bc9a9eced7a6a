                for (int32_t p = 0; p < s->pixels; p++, at += $CHANNELS) {
                    int32_t *own = made + p * l->bias_step;
                    biases[p] = $OWN;
                    if (l->classes) {
                        const uint8_t *columns = l->classes + l->oh + ox;
                        biases[p] += (l->classes[oy] * l->column_classes + columns[p]) * l->bias_step;
                    }
                    a->biases(biases[p], added, at, a, own);
                    biases[p] = own;
                }
