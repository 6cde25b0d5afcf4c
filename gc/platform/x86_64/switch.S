/* gc_stack_switch(from, to): the caller's callee-saved registers and stack pointer
 * go to *from, a struct gc__frame, before any of them can change; the rest is
 * gc__stack_switched's, with the same arguments. */
    .text
    .globl  gc_stack_switch
    .hidden gc__stack_switched
    .type   gc_stack_switch, @function
    .balign 16
gc_stack_switch:
    .cfi_startproc
    endbr64
    leaq    8(%rsp), %rdx           /* once this has returned */
    testq   %rdi, %rdi
    jz      1f
    movq    %rdx, (%rdi)
    movq    %rbx, 8(%rdi)
    movq    %rbp, 16(%rdi)
    movq    %r12, 24(%rdi)
    movq    %r13, 32(%rdi)
    movq    %r14, 40(%rdi)
    movq    %r15, 48(%rdi)
1:  jmp     gc__stack_switched
    .cfi_endproc
    .size   gc_stack_switch, . - gc_stack_switch
    .section .note.GNU-stack, "", @progbits
