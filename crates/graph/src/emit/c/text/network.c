/* $P: $MODEL as an integer network. Written by fixedwise export; changes here are lost. */
#include "$P.h"

/* The right shift of a negative integer keeps its sign. */
typedef char $P_needs_arithmetic_shift[(-1 >> 1) == -1 ? 1 : -1];

#ifdef $N_DEBUG
#define $N_DUMP(node, values, bytes) $P_dump(node, values, bytes)
#else
#define $N_DUMP(node, values, bytes) ((void)0)
#endif

$ITEMS
$ARENA_ITEM
void $P_run(const $P_input *input, $P_output *output$PARAMETER)
{
    uint8_t *memory = arena->bytes;
    (void)memory;
$BODY}

int32_t $P_argmax(const $P_output *output)
{
    int32_t best = 0;
    for (int32_t i = 1; i < $N_OUTPUT_SIZE; i++) {
        best = output[i] > output[best] ? i : best;
    }
    return best;
}
