/* interpose_context.c - the call that makes a coroutine's context. Its stack may be an array in a
 * frame of the thread that makes it: who stands there does not tell how far down the thread's
 * frames reach. And the mask that comes with the context may hold the signal that stops threads.
 * In the library broom-malloc alone. */

#define _GNU_SOURCE
#include "gc/platform/linux/real.h"
#include "gc/platform/linux/stack.h"

#include <stdarg.h>

/* The arguments are words, and what is passed on beyond their count is not looked at. */
enum { MOST_ARGUMENTS = 16 };

static bool is_within_own_stack(const stack_t *stack)
{
    uintptr_t start = (uintptr_t)stack->ss_sp;
    struct gc__range own;
    uint64_t blocked;

    if (start < (uintptr_t)__builtin_frame_address(0)) /* not in a frame of those who call */
        return false;
    blocked = gc__os_hold_signals(); /* the C library may take a lock of the thread's for it */
    own = gc__os_own_stack();
    gc__os_release_signals(blocked);
    return start >= own.start && start < own.end;
}

__attribute__((visibility("default"))) void makecontext(ucontext_t *context, void (*function)(void), int count, ...)
{
    long argument[MOST_ARGUMENTS] = {0};
    va_list arguments;

    if (count > MOST_ARGUMENTS)
        gc__fatal("makecontext: %d arguments; at most %d can be passed on", count, MOST_ARGUMENTS);
    va_start(arguments, count);
    for (int i = 0; i < count; i++)
        argument[i] = va_arg(arguments, long);
    va_end(arguments);
    sigdelset(&context->uc_sigmask, gc__os_stop_signal());
    gc__has_stacks_within = gc__has_stacks_within || is_within_own_stack(&context->uc_stack);
    GC_REAL(makecontext)
    (context, function, count, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5],
     argument[6], argument[7], argument[8], argument[9], argument[10], argument[11], argument[12], argument[13],
     argument[14], argument[15]);
}
