/* The weight file that was taken. */
static const uint8_t *$P_file;

/* The checksum of n bytes, CRC-32. */
$P_FUNCTION uint32_t $P_checksum(const uint8_t *bytes, uint32_t n)
{
    static const uint32_t halves[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u,
        0x6b6b51f4u, 0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u,
        0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
    uint32_t crc = 0xffffffffu;
    for (uint32_t i = 0; i < n; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ halves[crc & 15];
        crc = crc >> 4 ^ halves[crc & 15];
    }
    return ~crc;
}

int32_t $P_load(const void *file, uint32_t bytes)
{
    static const uint32_t first[5] = {$MARK, $VERSION};
    const uint32_t *words = (const uint32_t *)file;
    $P_file = 0;
    if (!file || ((uintptr_t)file & 3) != 0) {
        return $N_FILE_MISPLACED;
    }
    if (bytes < $HEADER) {
        return $N_FILE_FOREIGN;
    }
    for (int32_t i = 0; i < 5; i++) {
        if (words[i] != first[i]) {
            return $N_FILE_FOREIGN;
        }
    }
    if (words[5] != $N_FILE_SIZE || words[6] != $N_FILE_CHECKSUM) {
        return $N_FILE_OTHER;
    }
    if (bytes < $N_FILE_SIZE || $P_checksum((const uint8_t *)file + $HEADER, $N_FILE_SIZE - $HEADER) != $N_FILE_CHECKSUM) {
        return $N_FILE_DAMAGED;
    }
    $P_file = (const uint8_t *)file;
    return 0;
}
