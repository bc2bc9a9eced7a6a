
static union {
    uint64_t align;
    uint8_t bytes[$N_ARENA_SIZE];
} $P_memory, *const arena = &$P_memory;
