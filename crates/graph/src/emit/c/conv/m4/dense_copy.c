/* Bytes of `x`, and zeros after them. */
$P_FUNCTION void $P_dense_copy_$S(const void *from, uint8_t *to, int32_t n, int32_t padded)
{
    const uint8_t *x = (const uint8_t *)from;
    for (int32_t i = 0; i < padded; i++) {
        to[i] = i < n ? (uint8_t)$VALUE : 0;
    }
}
