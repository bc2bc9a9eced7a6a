/* How two values meet: the steps of three loops, and how far one goes in each value. */
typedef struct {
    int32_t n[3], a[3], b[3];
} $P_broadcast;
