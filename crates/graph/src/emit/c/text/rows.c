/* The rows of a value that a call computes, from first to before end, and the row of its input that x begins with. */
typedef struct {
    int16_t first, end, top;
} $P_rows;
