/* gc__os_spill_registers(function, call, a, b): AAPCS64's callee-saved registers
 * are x19-x29 and the low halves of v8-v15, which compilers also use for
 * pointers in copies. */
    .text
    .globl  gc__os_spill_registers
    .hidden gc__os_spill_registers
    .type   gc__os_spill_registers, %function
    .balign 16
gc__os_spill_registers:
    .cfi_startproc
    hint    #34                     /* bti c */
    stp     x29, x30, [sp, #-160]!
    .cfi_def_cfa_offset 160
    .cfi_offset x29, -160
    .cfi_offset x30, -152
    mov     x29, sp
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    mov     x9, x0
    mov     x0, sp                  /* the other arguments stand in their places */
    blr     x9
    ldp     x29, x30, [sp], #160    /* none of the saved registers was changed */
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size   gc__os_spill_registers, . - gc__os_spill_registers
    .section .note.GNU-stack, "", %progbits
