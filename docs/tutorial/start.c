/* Startup code for the emulated Cortex-M4 of docs/tutorial.md: runs main and ends with its result. */
#include <stdint.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];
int main(void);

/* Ends the emulator with an exit code (semihosting, SYS_EXIT_EXTENDED). */
static void leave(int code)
{
    uint32_t block[2] = { 0x20026u, (uint32_t)code };
    register uint32_t r0 __asm__("r0") = 0x20;
    register uint32_t *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    for (;;) {
    }
}

static void fault(void)
{
    leave(99);
}

void reset(void);
void reset(void)
{
    volatile uint32_t *to;
    const uint32_t *from = data_load;
    for (to = data_start; to < data_end;)
        *to++ = *from++;
    for (to = bss_start; to < bss_end;)
        *to++ = 0;
    leave(main());
}

__attribute__((used, section(".vectors"))) static void (*const vectors[16])(void) = {
    (void (*)(void))(uintptr_t)stack_top, reset, fault, fault, fault, fault, fault
};
