
/* Working memory: its content need not be kept between two runs. */
typedef union {
    uint64_t align;
    uint8_t bytes[$N_ARENA_SIZE];
} $P_arena;

