/* $P: $MODEL as an integer network. Written by fixedwise export; changes here are lost.
 *
 * Input:  $INPUT_H x $INPUT_W x $INPUT_C integers, rows of pixels, channels last; $INPUT_FORMAT.
 * Output: $OUTPUT_H x $OUTPUT_W x $OUTPUT_C integers in the same order; $OUTPUT_FORMAT.
 * An integer q stands for the real value q * 2^-F, F as below.
 *
 * No heap, no floating point, no library. */
#ifndef $N_H
#define $N_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define $N_INPUT_H $INPUT_H
#define $N_INPUT_W $INPUT_W
#define $N_INPUT_C $INPUT_C
#define $N_INPUT_SIZE ($N_INPUT_H * $N_INPUT_W * $N_INPUT_C)
#define $N_INPUT_BITS $INPUT_BITS
#define $N_INPUT_FRAC ($INPUT_FRAC)

#define $N_OUTPUT_H $OUTPUT_H
#define $N_OUTPUT_W $OUTPUT_W
#define $N_OUTPUT_C $OUTPUT_C
#define $N_OUTPUT_SIZE ($N_OUTPUT_H * $N_OUTPUT_W * $N_OUTPUT_C)
#define $N_OUTPUT_BITS $OUTPUT_BITS
#define $N_OUTPUT_FRAC ($OUTPUT_FRAC)

/* Bytes of working memory and of constants (code comes on top). */
#define $N_ARENA_SIZE $ARENA
#define $N_CONSTANT_SIZE $CONSTANTS

typedef $X $P_input;
typedef $Y $P_output;
$ARENA_TYPE
/* Runs the network on one input. $OVERLAP */
void $P_run(const $P_input *input, $P_output *output$PARAMETER);

/* The index of the largest output, the first among equals: the class a classifier says. */
int32_t $P_argmax(const $P_output *output);

#ifdef $N_DEBUG
/* Yours to define: sees each intermediate value, right after it was computed; README.md has the numbers of
 * nodes. */
void $P_dump(int32_t node, const void *values, int32_t bytes);
#endif

#ifdef __cplusplus
}
#endif

#endif
