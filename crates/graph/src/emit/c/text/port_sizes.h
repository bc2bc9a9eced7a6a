#define $N_$U_H $PORT_H
#define $N_$U_W $PORT_W
#define $N_$U_C $PORT_C
#define $N_$U_SIZE ($N_$U_H * $N_$U_W * $N_$U_C)
#define $N_$U_BITS $PORT_BITS
#define $N_$U_FRAC ($PORT_FRAC)
