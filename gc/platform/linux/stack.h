/* stack.h - what the stop signal's handler knows of stacks. */
#ifndef GC_PLATFORM_LINUX_STACK_H
#define GC_PLATFORM_LINUX_STACK_H

#include "gc/platform/platform.h"

#include <signal.h>
#include <ucontext.h>

/* Empty if there is none. */
struct gc__range gc__alternate_stack(const stack_t *alternate);

/* What a thread that stands at `sp` is told of its alternate stack; if it is on one of which the
 * kernel does not say so, that one. */
struct gc__range gc__alternate_stack_at(const stack_t *alternate, uintptr_t sp);

/* The last that the calling thread set of those of which the kernel does not say that they
 * are in use (interpose_alternate.c). */
extern _Thread_local struct gc__range gc__disarming_stack;

/* A coroutine of the calling thread has a stack within the thread's (interpose_context.c). */
extern _Thread_local bool gc__has_stacks_within;

/* From now on the stop signal's handler runs on the stack on which a thread runs. */
void gc__os_stop_on_no_alternate_stack(void);

/* A thread that is not the process's first may fork, and is the first of the child. Told
 * before a fork, and in the child, by the thread that forks. */
void gc__stack_note_fork(void);
void gc__stack_note_child(void);

/* The stack pointer of what a signal interrupted. */
static inline uintptr_t gc__interrupted_sp(const ucontext_t *interrupted)
{
#if defined __x86_64__
    return (uintptr_t)interrupted->uc_mcontext.gregs[REG_RSP];
#else
    return (uintptr_t)interrupted->uc_mcontext.sp;
#endif
}

#endif
