static void $P_gather_$S(const $X *x, $X *y, const $I *source, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = x[source[i]];
    }
}
