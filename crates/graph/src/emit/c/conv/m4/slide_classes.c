                for (int32_t p = 0; l->classes && p < s->pixels; p++) {
                    const uint8_t *columns = l->classes + l->oh + ox;
                    biases[p] = $OWN + (l->classes[oy] * l->column_classes + columns[p]) * l->bias_step;
                }
