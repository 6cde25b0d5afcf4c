/* switch.h - the switch between stacks that a runtime writes by hand: what a function must
 * leave as it is goes onto the stack that is left, and of a context nothing remains but
 * its stack pointer. */
#ifndef TEST_SWITCH_H
#define TEST_SWITCH_H

#include <stdint.h>

/* Leaves the running stack, stores in `*from` where, and goes on where `to` was stored. */
void switch_to(void **from, void *to);

#if defined __x86_64__

__asm__("    .text\n"
        "    .type switch_to, @function\n"
        "    .globl switch_to\n"
        "switch_to:\n"
        "    endbr64\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        "    .size switch_to, . - switch_to\n");

enum { SWITCH_WORDS = 8, SWITCH_ENTRY = 6 }; /* registers, where to return to, and a word to align the stack */

#elif defined __aarch64__

__asm__("    .text\n"
        "    .type switch_to, %function\n"
        "    .globl switch_to\n"
        "switch_to:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp]\n    stp x21, x22, [sp, #16]\n    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n    stp x27, x28, [sp, #64]\n    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp]\n    ldp x21, x22, [sp, #16]\n    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n    ldp x27, x28, [sp, #64]\n    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        "    .size switch_to, . - switch_to\n");

enum { SWITCH_WORDS = 22, SWITCH_ENTRY = 11 }; /* the link register is among those that are stored */

#endif

/* What to switch to for a stack that ends at `end`, a multiple of 16, to begin with `entry`. */
static inline void *switch_prepare(void *end, void (*entry)(void))
{
    uintptr_t *frame = (uintptr_t *)end - SWITCH_WORDS;

    for (unsigned i = 0; i < SWITCH_WORDS; i++)
        frame[i] = 0;
    frame[SWITCH_ENTRY] = (uintptr_t)entry;
    return frame;
}

#endif
