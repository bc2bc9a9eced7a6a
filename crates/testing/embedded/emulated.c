/* Start-up and semihosting for any Cortex-M and for 32-bit RISC-V, without a libc. */
#include "device.h"

extern uint32_t image_stack_top[], image_bss_start[], image_bss_end[];
extern uint32_t image_data_load[], image_data_start[], image_data_end[];
int main(void);

#if defined(__arm__)
static int32_t semihost(int32_t operation, const void *argument)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
#else
int32_t semihost(int32_t operation, const void *argument); /* In assembly below. */
#endif

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };

__attribute__((used, noreturn)) static void leave(int code)
{
    uint32_t block[2] = { 0x20026u /* The application asked for it. */, (uint32_t)code };
    semihost(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

static int32_t opened(int32_t *file, const char *name, uint32_t length, uint32_t mode)
{
    if (*file < 0) {
        uint32_t block[3] = { (uint32_t)(uintptr_t)name, mode, length };
        *file = semihost(SYS_OPEN, block);
        if (*file < 0) {
            device_print("a file cannot be opened\n");
            leave(97);
        }
    }
    return *file;
}

size_t device_read(void *to, size_t size)
{
    static int32_t file = -1;
    uint32_t block[3] = { (uint32_t)opened(&file, "in.bin", 6, 1), (uint32_t)(uintptr_t)to, size };
    return size - (size_t)semihost(SYS_READ, block);
}

void device_write(const void *from, size_t size)
{
    static int32_t file = -1;
    uint32_t block[3] = { (uint32_t)opened(&file, "out.bin", 7, 5), (uint32_t)(uintptr_t)from, size };
    if (semihost(SYS_WRITE, block) != 0) {
        device_print("the output cannot be written\n");
        leave(97);
    }
}

void device_print(const char *text)
{
    semihost(SYS_WRITE0, text);
}

/* The functions a compiler may call even without a libc. */
void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    while (n--)
        *d++ = *s++;
    return to;
}
void *memmove(void *to, const void *from, size_t n)
{
    uint8_t *d = to;
    const uint8_t *s = from;
    if ((uintptr_t)d < (uintptr_t)s)
        while (n--)
            *d++ = *s++;
    else
        while (n--)
            d[n] = s[n];
    return to;
}
void *memset(void *to, int value, size_t n)
{
    uint8_t *d = to;
    while (n--)
        *d++ = (uint8_t)value;
    return to;
}
int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *x = a, *y = b;
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

__attribute__((used, noreturn)) static void start(void)
{
    uint32_t *from = image_data_load, *to;
    if (from != image_data_start)
        for (to = image_data_start; to < image_data_end;)
            *to++ = *from++;
    for (to = image_bss_start; to < image_bss_end;)
        *to++ = 0;
    leave(main());
}

#if defined(__arm__)
/* The coprocessors must be on before any compiled C: the compiler may vectorize `start`. */
__attribute__((used, naked, noreturn)) void reset(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    __asm__ volatile("ldr r0,=0xE000ED88\n ldr r1,[r0]\n ldr r2,=0xF00000\n orrs r1,r2\n str r1,[r0]\n dsb\n isb");
#endif
    __asm__ volatile("ldr r0,=start\n bx r0\n .ltorg");
}
static void fault(void)
{
    device_print("FAULT\n");
    leave(99);
}
__attribute__((used, section(".vectors"))) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)image_stack_top, reset, fault, fault, fault, fault, fault, fault,
    0, 0, 0, fault, fault, 0, fault, fault
};
#else
/* The three instructions of a RISC-V semihosting call must not be compressed and lie in one page. */
__asm__(".section .vectors,\"ax\"\n.option arch,+zicsr\n.globl _start\n_start:\n"
        ".option push\n.option norelax\nla gp,__global_pointer$\n.option pop\n"
        "la sp,image_stack_top\nla t0,trapped\ncsrw mtvec,t0\nj start\n"
        ".balign 4\ntrapped: li a0,98\nj leave\n"
        ".balign 16\n.globl semihost\nsemihost:\n.option push\n.option norvc\n.option norelax\n"
        "slli x0,x0,0x1f\nebreak\nsrai x0,x0,7\nret\n.option pop\n.text\n");
#endif
