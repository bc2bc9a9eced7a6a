            const $B *b = bias;
            if (classes) {
                b += (classes[oy] * column_classes + classes[g->oh + ox]) * g->oc;
            }
