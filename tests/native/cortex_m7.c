/* What a Cortex-M7 starts with: stack, reset, and its floating-point unit on. */
extern void _start(void);

static void reset(void)
{
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    _start();
}

__attribute__((section(".vectors"), used)) static const struct {
    unsigned stack;
    void (*reset)(void);
} vectors = {0x20400000, reset};
