#define $N_$U_H $OUTPUT_H
#define $N_$U_W $OUTPUT_W
#define $N_$U_C $OUTPUT_C
#define $N_$U_SIZE ($N_$U_H * $N_$U_W * $N_$U_C)
#define $N_$U_BITS $OUTPUT_BITS
#define $N_$U_FRAC ($OUTPUT_FRAC)
