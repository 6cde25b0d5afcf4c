/* spin.h - functions that wait in a loop while addresses stand in registers, or
 * below the stack pointer, and nowhere else. */
#ifndef TEST_SPIN_H
#define TEST_SPIN_H

#include "test/hidden.h"

#include <stdatomic.h>

enum { SPIN_HELD = 6 };

struct spin {
    _Atomic uint32_t ready;    /* set by the function: the addresses are in place */
    _Atomic uint32_t released; /* the function waits for this to be set */
};

/* Writes the addresses back, hidden again, at the end. */
typedef void spin_function(struct hidden hidden[SPIN_HELD], struct spin *spin);

#if defined __x86_64__

spin_function spin_callee_saved, spin_caller_saved, spin_vector, spin_wide_vector, spin_red_zone, sleep_red_zone;

#define SPIN_FUNCTION(name, ...)                                                                                       \
    __asm__("    .text\n"                                                                                              \
            "    .type " #name ", @function\n"                                                                         \
            "    .globl " #name "\n" #name ":\n"                                                                       \
            "    .cfi_startproc\n"                                                                                     \
            "    endbr64\n" __VA_ARGS__ "    ret\n"                                                                    \
            "    .cfi_endproc\n"                                                                                       \
            "    .size " #name ", . - " #name "\n")

/* 0 and 4: the fields of struct spin. */
#define SPIN_LOOP                                                                                                      \
    "    movl $1, 0(%rsi)\n"                                                                                           \
    "1:  pause\n"                                                                                                      \
    "    cmpl $0, 4(%rsi)\n"                                                                                           \
    "    je 1b\n"

#define SPIN_TAKE(at, into) "    movq " #at "(%rdi), %" #into "\n    notq %" #into "\n"
#define SPIN_GIVE(at, from) "    notq %" #from "\n    movq %" #from ", " #at "(%rdi)\n"

SPIN_FUNCTION(spin_callee_saved,
              "    pushq %rbx\n    pushq %rbp\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
              "    .cfi_adjust_cfa_offset 48\n"                          //
              SPIN_TAKE(0, rbx) SPIN_TAKE(8, rbp) SPIN_TAKE(16, r12)     //
              SPIN_TAKE(24, r13) SPIN_TAKE(32, r14) SPIN_TAKE(40, r15)   //
              SPIN_LOOP                                                  //
                  SPIN_GIVE(0, rbx) SPIN_GIVE(8, rbp) SPIN_GIVE(16, r12) //
              SPIN_GIVE(24, r13) SPIN_GIVE(32, r14) SPIN_GIVE(40, r15)   //
              "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbp\n    popq %rbx\n"
              "    .cfi_adjust_cfa_offset -48\n");

SPIN_FUNCTION(spin_caller_saved, SPIN_TAKE(0, rax) SPIN_TAKE(8, rcx) SPIN_TAKE(16, rdx) //
              SPIN_TAKE(24, r8) SPIN_TAKE(32, r9) SPIN_TAKE(40, r11)                    //
              SPIN_LOOP                                                                 //
                  SPIN_GIVE(0, rax) SPIN_GIVE(8, rcx) SPIN_GIVE(16, rdx)                //
              SPIN_GIVE(24, r8) SPIN_GIVE(32, r9) SPIN_GIVE(40, r11)                    //
              "    xorl %eax, %eax\n");

/* Both halves of three registers. */
#define SPIN_TAKE_VECTOR(at, into)                                                                                     \
    SPIN_TAKE(at, rax) "    movq %rax, %xmm0\n    pslldq $8, %" #into "\n    por %xmm0, %" #into "\n"
#define SPIN_GIVE_VECTOR(at, from) "    movq %" #from ", %rax\n    psrldq $8, %" #from "\n" SPIN_GIVE(at, rax)

SPIN_FUNCTION(spin_vector,
              "    pxor %xmm1, %xmm1\n    pxor %xmm7, %xmm7\n    pxor %xmm15, %xmm15\n"          //
              SPIN_TAKE_VECTOR(0, xmm1) SPIN_TAKE_VECTOR(8, xmm1) SPIN_TAKE_VECTOR(16, xmm7)     //
              SPIN_TAKE_VECTOR(24, xmm7) SPIN_TAKE_VECTOR(32, xmm15) SPIN_TAKE_VECTOR(40, xmm15) //
              "    pxor %xmm0, %xmm0\n    xorl %eax, %eax\n"                                     //
              SPIN_LOOP                                                                          //
                  SPIN_GIVE_VECTOR(8, xmm1) SPIN_GIVE_VECTOR(0, xmm1) SPIN_GIVE_VECTOR(24, xmm7) //
              SPIN_GIVE_VECTOR(16, xmm7) SPIN_GIVE_VECTOR(40, xmm15) SPIN_GIVE_VECTOR(32, xmm15) //
              "    xorl %eax, %eax\n");

/* The upper halves of three registers, by AVX. */
#define SPIN_LIFT(wide) "    vperm2f128 $8, %" #wide ", %" #wide ", %" #wide "\n"
#define SPIN_LOWER(wide, narrow) "    vextractf128 $1, %" #wide ", %" #narrow "\n"

SPIN_FUNCTION(spin_wide_vector,
              "    pxor %xmm1, %xmm1\n    pxor %xmm7, %xmm7\n    pxor %xmm15, %xmm15\n"          //
              SPIN_TAKE_VECTOR(0, xmm1) SPIN_TAKE_VECTOR(8, xmm1) SPIN_TAKE_VECTOR(16, xmm7)     //
              SPIN_TAKE_VECTOR(24, xmm7) SPIN_TAKE_VECTOR(32, xmm15) SPIN_TAKE_VECTOR(40, xmm15) //
              SPIN_LIFT(ymm1) SPIN_LIFT(ymm7) SPIN_LIFT(ymm15)                                   //
              "    pxor %xmm0, %xmm0\n    xorl %eax, %eax\n"                                     //
              SPIN_LOOP                                                                          //
                  SPIN_LOWER(ymm1, xmm1) SPIN_LOWER(ymm7, xmm7) SPIN_LOWER(ymm15, xmm15)         //
              SPIN_GIVE_VECTOR(8, xmm1) SPIN_GIVE_VECTOR(0, xmm1) SPIN_GIVE_VECTOR(24, xmm7)     //
              SPIN_GIVE_VECTOR(16, xmm7) SPIN_GIVE_VECTOR(40, xmm15) SPIN_GIVE_VECTOR(32, xmm15) //
              "    vzeroall\n    xorl %eax, %eax\n");

#define SPIN_TAKE_BELOW(at, into) SPIN_TAKE(at, rax) "    movq %rax, -" #into "(%rsp)\n"
#define SPIN_GIVE_BELOW(at, from) "    movq -" #from "(%rsp), %rax\n    movq $0, -" #from "(%rsp)\n" SPIN_GIVE(at, rax)

SPIN_FUNCTION(spin_red_zone, SPIN_TAKE_BELOW(0, 8) SPIN_TAKE_BELOW(8, 16) SPIN_TAKE_BELOW(16, 64) //
              SPIN_TAKE_BELOW(24, 72) SPIN_TAKE_BELOW(32, 120) SPIN_TAKE_BELOW(40, 128)           //
              "    xorl %eax, %eax\n"                                                             //
              SPIN_LOOP                                                                           //
                  SPIN_GIVE_BELOW(0, 8) SPIN_GIVE_BELOW(8, 16) SPIN_GIVE_BELOW(16, 64)            //
              SPIN_GIVE_BELOW(24, 72) SPIN_GIVE_BELOW(32, 120) SPIN_GIVE_BELOW(40, 128)           //
              "    xorl %eax, %eax\n");

/* As SPIN_LOOP, in a system call: futex(&released, FUTEX_WAIT, 0, NULL). No word on the stack is
 * written meanwhile. */
#define SLEEP_LOOP                                                                                                     \
    "    movl $1, 0(%rsi)\n"                                                                                           \
    "    movq %rdi, %r8\n"                                                                                             \
    "    movq %rsi, %r9\n"                                                                                             \
    "    leaq 4(%rsi), %rdi\n"                                                                                         \
    "1:  movl $202, %eax\n"                                                                                            \
    "    xorl %esi, %esi\n"                                                                                            \
    "    xorl %edx, %edx\n"                                                                                            \
    "    xorl %r10d, %r10d\n"                                                                                          \
    "    syscall\n"                                                                                                    \
    "    cmpl $0, 4(%r9)\n"                                                                                            \
    "    je 1b\n"                                                                                                      \
    "    movq %r8, %rdi\n"                                                                                             \
    "    movq %r9, %rsi\n"

SPIN_FUNCTION(sleep_red_zone, SPIN_TAKE_BELOW(0, 8) SPIN_TAKE_BELOW(8, 16) SPIN_TAKE_BELOW(16, 64) //
              SPIN_TAKE_BELOW(24, 72) SPIN_TAKE_BELOW(32, 120) SPIN_TAKE_BELOW(40, 128)            //
              "    xorl %eax, %eax\n"                                                              //
              SLEEP_LOOP                                                                           //
                  SPIN_GIVE_BELOW(0, 8) SPIN_GIVE_BELOW(8, 16) SPIN_GIVE_BELOW(16, 64)             //
              SPIN_GIVE_BELOW(24, 72) SPIN_GIVE_BELOW(32, 120) SPIN_GIVE_BELOW(40, 128)            //
              "    xorl %eax, %eax\n");

#endif

#endif
