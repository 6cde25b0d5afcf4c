/* gc__raw_call(number, a, b, c, d, e, f): a system call, past the C library, which would write
 * errno. Returns what the kernel does: -4095 to -1 are errors. */
    .text
    .globl  gc__raw_call
    .hidden gc__raw_call
    .type   gc__raw_call, @function
    .balign 16
gc__raw_call:
    .cfi_startproc
    endbr64
    movq    %rdi, %rax
    movq    %rsi, %rdi
    movq    %rdx, %rsi
    movq    %rcx, %rdx
    movq    %r8, %r10
    movq    %r9, %r8
    movq    8(%rsp), %r9
    syscall
    ret
    .cfi_endproc
    .size   gc__raw_call, . - gc__raw_call
    .section .note.GNU-stack, "", @progbits
