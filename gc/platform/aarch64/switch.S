/* gc_stack_switch(from, to): the caller's callee-saved registers and stack pointer
 * go to *from, a struct gc__frame, before any of them can change; the rest is
 * gc__stack_switched's, with the same arguments. */
    .text
    .globl  gc_stack_switch
    .hidden gc__stack_switched
    .type   gc_stack_switch, %function
    .balign 16
gc_stack_switch:
    .cfi_startproc
    hint    #34                     /* bti c */
    mov     x2, sp
    cbz     x0, 1f
    stp     x2, x19, [x0]
    stp     x20, x21, [x0, #16]
    stp     x22, x23, [x0, #32]
    stp     x24, x25, [x0, #48]
    stp     x26, x27, [x0, #64]
    stp     x28, x29, [x0, #80]
    stp     d8, d9, [x0, #96]
    stp     d10, d11, [x0, #112]
    stp     d12, d13, [x0, #128]
    stp     d14, d15, [x0, #144]
1:  b       gc__stack_switched
    .cfi_endproc
    .size   gc_stack_switch, . - gc_stack_switch
    .section .note.GNU-stack, "", %progbits
