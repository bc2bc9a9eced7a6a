$P_FUNCTION void $P_gather_$S(const $X *x, $Y *y, const $I *source, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        $P_put_$Y4(y, i, $P_at_$X4(x, (int32_t)source[i]));
    }
}
