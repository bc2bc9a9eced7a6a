
typedef union {
    uint64_t align;
    uint8_t bytes[$N_ARENA_SIZE];
} $P_working_memory;

$N_ARENA static $P_working_memory $P_memory;
static $P_working_memory *const arena = &$P_memory;
