/* A place between two neighbors: the first, and the weight of the next one. */
typedef struct {
    uint16_t first, weight;
} $P_between;
