$P_INLINE int32_t $P_at_$S(const $T *x, int32_t i)
{
    return x[i];
}
