int32_t $P_argmax$SUFFIX(const $P_$L *output)
{
    int32_t best = 0;
    for (int32_t i = 1; i < $N_$U_SIZE; i++) {
        best = output[i] > output[best] ? i : best;
    }
    return best;
}
