/* Biases of a pixel: those of all pixels, and what is added to its sums. */
$P_FUNCTION void $P_biases_$S(const int32_t *bias, const void *added, int32_t at, const $P_added *a, int32_t *to)
{
    for (int32_t o = 0; o < a->channels; o++) {
        uint32_t left = a->lefts ? a->lefts[o] : a->left;
        to[o] = (int32_t)((uint32_t)bias[o] + ((uint32_t)$P_at_$S((const $T *)added, at + o) << left));
    }
}
