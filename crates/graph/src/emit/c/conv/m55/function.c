#if $P_HAS_MVE
static __attribute__((naked, noinline, used)) void $P_$NAME($ASSEMBLY_PARAMETERS)
{
    __asm__ volatile(
$ASSEMBLY_TEXT
    );
}
#else
static void $P_$NAME($PARAMETERS)
{
    $PLAIN;
}
#endif
