$P_INLINE void $P_put_$S($T *y, int32_t i, int32_t value)
{
    y[i] = ($T)value;
}
