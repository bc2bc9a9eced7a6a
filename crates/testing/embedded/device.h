/* What a test program may ask of its device: input, output, and a marked region whose executed
 * instructions are counted. The same program compiles for an emulated core and for the host. */
#ifndef DEVICE_H
#define DEVICE_H
#include <stddef.h>
#include <stdint.h>

/* The next `size` bytes of the input; returns how many there were. */
size_t device_read(void *to, size_t size);
/* Appends to the output. */
void device_write(const void *from, size_t size);
/* Text for whoever reads the log. */
void device_print(const char *text);

/* Everything between the two is counted. Each is one instruction that every core takes for a NOP. */
#if defined(__arm__)
#define DEVICE_BEGIN() __asm__ volatile(".inst.n 0xbf80" ::: "memory")
#define DEVICE_END() __asm__ volatile(".inst.n 0xbf90" ::: "memory")
#elif defined(__riscv)
#define DEVICE_BEGIN() __asm__ volatile("slti x0,x0,1" ::: "memory")
#define DEVICE_END() __asm__ volatile("slti x0,x0,2" ::: "memory")
#else
#define DEVICE_BEGIN() ((void)0)
#define DEVICE_END() ((void)0)
#endif
#endif
