/* Weights lie in the file $P.weights. $P_load takes the address of its bytes, in memory-mapped flash or in RAM,
 * divisible by 4; they must stay there. It checks them once, and returns 0 or why the file is refused: then none is
 * taken. */
#define $N_FILE_SIZE $FILE_BYTESu
#define $N_FILE_CHECKSUM $FILE_CHECKSUM
#define $N_FILE_MISPLACED 1 /* no address, or not divisible by 4 */
#define $N_FILE_FOREIGN 2   /* no weight file of this format, or of another byte order */
#define $N_FILE_OTHER 3     /* weights of another network or plan */
#define $N_FILE_DAMAGED 4   /* it ends early, or its checksum is wrong */
#define $N_FILE_MISSING 5   /* of $P_run and $P_begin: no file was taken, and nothing is computed */
int32_t $P_load(const void *file, uint32_t bytes);

