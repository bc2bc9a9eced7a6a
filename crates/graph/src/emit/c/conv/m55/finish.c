static inline int32_t $P_mve_finish_$C(int32_t acc, const $P_mve *l)
{
#if $P_HAS_MVE
    $INSTRUCTIONS
#else
    acc >>= l->shift;
    return acc < l->min ? l->min : acc > l->max ? l->max : acc;
#endif
}
