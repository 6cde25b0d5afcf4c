/* registers.h - functions that run while addresses stand in registers, and
 * nowhere else. */
#ifndef TEST_REGISTERS_H
#define TEST_REGISTERS_H

#include "test/hidden.h"

enum { HELD_REGISTERS = 6 };

/* Calls `function` with the addresses in callee-saved registers. */
void hold_in_registers(const struct hidden hidden[HELD_REGISTERS], void (*function)(void));

/* Calls `function` on the stack that ends at `end`, a multiple of 16. */
void run_on_stack(struct hidden end, void (*function)(void));

#if defined __x86_64__

/* rbx, rbp, r12 ... r15 */
__asm__("    .text\n"
        "    .type hold_in_registers, @function\n"
        "    .globl hold_in_registers\n"
        "hold_in_registers:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    .cfi_def_cfa_offset 64\n"
        "    movq 0(%rdi), %rbx\n"
        "    movq 8(%rdi), %rbp\n"
        "    movq 16(%rdi), %r12\n"
        "    movq 24(%rdi), %r13\n"
        "    movq 32(%rdi), %r14\n"
        "    movq 40(%rdi), %r15\n"
        "    notq %rbx\n"
        "    notq %rbp\n"
        "    notq %r12\n"
        "    notq %r13\n"
        "    notq %r14\n"
        "    notq %r15\n"
        "    callq *%rsi\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    .cfi_def_cfa_offset 8\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size hold_in_registers, . - hold_in_registers\n"

        "    .type run_on_stack, @function\n"
        "    .globl run_on_stack\n"
        "run_on_stack:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    pushq %rbp\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset %rbp, -16\n"
        "    movq %rsp, %rbp\n"
        "    .cfi_def_cfa_register %rbp\n"
        "    notq %rdi\n"
        "    movq %rdi, %rsp\n"
        "    xorl %edi, %edi\n"
        "    callq *%rsi\n"
        "    leaveq\n"
        "    .cfi_def_cfa %rsp, 8\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size run_on_stack, . - run_on_stack\n");

#elif defined __aarch64__

/* x19 ... x24 */
__asm__("    .text\n"
        "    .type hold_in_registers, @function\n"
        "    .globl hold_in_registers\n"
        "hold_in_registers:\n"
        "    .cfi_startproc\n"
        "    hint #34\n"
        "    stp x29, x30, [sp, #-64]!\n"
        "    .cfi_def_cfa_offset 64\n"
        "    .cfi_offset x29, -64\n"
        "    .cfi_offset x30, -56\n"
        "    stp x19, x20, [sp, #16]\n"
        "    stp x21, x22, [sp, #32]\n"
        "    stp x23, x24, [sp, #48]\n"
        "    ldp x19, x20, [x0]\n"
        "    ldp x21, x22, [x0, #16]\n"
        "    ldp x23, x24, [x0, #32]\n"
        "    mvn x19, x19\n"
        "    mvn x20, x20\n"
        "    mvn x21, x21\n"
        "    mvn x22, x22\n"
        "    mvn x23, x23\n"
        "    mvn x24, x24\n"
        "    blr x1\n"
        "    ldp x19, x20, [sp, #16]\n"
        "    ldp x21, x22, [sp, #32]\n"
        "    ldp x23, x24, [sp, #48]\n"
        "    ldp x29, x30, [sp], #64\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    .cfi_def_cfa_offset 0\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size hold_in_registers, . - hold_in_registers\n"

        "    .type run_on_stack, @function\n"
        "    .globl run_on_stack\n"
        "run_on_stack:\n"
        "    .cfi_startproc\n"
        "    hint #34\n"
        "    stp x29, x30, [sp, #-16]!\n"
        "    .cfi_def_cfa_offset 16\n"
        "    .cfi_offset x29, -16\n"
        "    .cfi_offset x30, -8\n"
        "    mov x29, sp\n"
        "    .cfi_def_cfa_register x29\n"
        "    mvn x0, x0\n"
        "    mov sp, x0\n"
        "    mov x0, xzr\n"
        "    blr x1\n"
        "    mov sp, x29\n"
        "    ldp x29, x30, [sp], #16\n"
        "    .cfi_def_cfa sp, 0\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    ret\n"
        "    .cfi_endproc\n"
        "    .size run_on_stack, . - run_on_stack\n");

#endif

#endif
