/* Written by fixedwise export. Runs $P on inputs whose results are known; 0 where all integers agree.
 * With $N_TEST_SILENT it needs no library: the result is what main returns. */
#include "$P.h"

#ifndef $N_TEST_SILENT
#include <stdio.h>
#endif

#define TESTS $TESTS

$VECTORS

$DECLARATION
int main(void)
{
    static $P_output output[$N_OUTPUT_SIZE];
    int failed = 0;
    for (int test = 0; test < TESTS; test++) {
        int wrong = 0;
        $P_run(inputs[test], output$ARGUMENT);
        for (int i = 0; i < $N_OUTPUT_SIZE; i++) {
            wrong += output[i] != results[test][i];
        }
        failed += wrong != 0;
#ifndef $N_TEST_SILENT
        printf("input %d: class %d, %d of %d integers differ\n", test, (int)$P_argmax(output), wrong,
            $N_OUTPUT_SIZE);
#endif
    }
#ifndef $N_TEST_SILENT
    printf("%d of %d inputs agree\n", TESTS - failed, TESTS);
#endif
    return failed != 0;
}
