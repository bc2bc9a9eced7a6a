/* Inner loops are assembly where the core has the DSP extension, elsewhere C that gives the same.
 * The compiler must not look into functions that are assembly as a whole. */
#if defined(__ARM_FEATURE_DSP) && defined(__thumb2__) && !defined(__ARM_BIG_ENDIAN)
#define $P_HAS_DSP 1
#define $P_ASSEMBLY static __attribute__((naked, noinline, used))
#define $P_UNUSED __attribute__((unused))
#else
#define $P_HAS_DSP 0
#endif
