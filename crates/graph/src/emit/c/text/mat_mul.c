/* Each row of n_matrices matrices by each row of as many others, k elements in each. */
$P_FUNCTION void $P_mat_mul_$S(const $A *a, const $B *b, $Y *y, int32_t n_matrices, int32_t rows,
    int32_t columns, int32_t k, $FACTORconst $P_to *to)
{
    int32_t n = 0;
    for (int32_t matrix = 0; matrix < n_matrices; matrix++) {
        for (int32_t i = matrix * rows; i < (matrix + 1) * rows; i++) {
            for (int32_t j = matrix * columns; j < (matrix + 1) * columns; j++) {
                int32_t sum = 0;
                for (int32_t l = 0; l < k; l++) {
                    sum += $P_at_$A4(a, i * k + l) * $P_at_$B4(b, j * k + l);
                }
                $P_put_$Y4(y, n++, $RESULT);
            }
        }
    }
}
