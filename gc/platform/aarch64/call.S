/* gc__raw_call(number, a, b, c, d, e, f): a system call, past the C library, which would write
 * errno. Returns what the kernel does: -4095 to -1 are errors. */
    .text
    .globl  gc__raw_call
    .hidden gc__raw_call
    .type   gc__raw_call, %function
    .balign 16
gc__raw_call:
    .cfi_startproc
    hint    #34                     /* bti c */
    mov     x8, x0
    mov     x0, x1
    mov     x1, x2
    mov     x2, x3
    mov     x3, x4
    mov     x4, x5
    mov     x5, x6
    svc     #0
    ret
    .cfi_endproc
    .size   gc__raw_call, . - gc__raw_call
    .section .note.GNU-stack, "", @progbits
