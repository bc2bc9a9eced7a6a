
/* Working memory; it keeps no data between two runs. */
typedef union {
    uint64_t align;
    uint8_t bytes[$N_ARENA_SIZE];
} $P_arena;

