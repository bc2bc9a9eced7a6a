/* The largest number whose square is not above x, which is below 2^62. */
$P_FUNCTION int64_t $P_root(int64_t x)
{
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 60; bit > 0; bit >>= 2) {
        int64_t both = root + bit;
        root >>= 1;
        if (x >= both) {
            x -= both;
            root += bit;
        }
    }
    return root;
}
