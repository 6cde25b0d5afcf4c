/* gc__os_spill_registers(function, call, a, b): the System V ABI's callee-saved
 * registers are rbx, rbp, r12-r15. Pushed, they lie on the stack at or above
 * the stack pointer that the function is given; the other arguments stand in
 * their places already. No vector register survives a call, so none can hold
 * the only pointer here. */
    .text
    .globl  gc__os_spill_registers
    .hidden gc__os_spill_registers
    .type   gc__os_spill_registers, @function
    .balign 16
gc__os_spill_registers:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset %rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register %rbp
    pushq   %rbx
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    pushq   $0                      /* the stack pointer is a multiple of 16 at a call */
    movq    %rdi, %rax
    movq    %rsp, %rdi
    call    *%rax
    leaveq                          /* none of the saved registers was changed */
    .cfi_def_cfa %rsp, 8
    ret
    .cfi_endproc
    .size   gc__os_spill_registers, . - gc__os_spill_registers
    .section .note.GNU-stack, "", @progbits
