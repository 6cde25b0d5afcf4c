/* stack.h - what the stop signal's handler knows of stacks. */
#ifndef GC_PLATFORM_LINUX_STACK_H
#define GC_PLATFORM_LINUX_STACK_H

#include "gc/platform/platform.h"

#include <signal.h>
#include <ucontext.h>

/* Empty if there is none. */
struct gc__range gc__alternate_stack(const stack_t *alternate);

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
