#include "gc/roots/dead_stack.h"

#include "gc/base/tunables.h"

#include <alloca.h>
#include <string.h>

/* The area is below every live frame, in bounds of what the stack has been. */
static __attribute__((noinline)) void clear_below(size_t bytes)
{
    char *area = alloca(bytes);

    memset(area, 0, bytes);
    __asm__ volatile("" : : "r"(area) : "memory");
}

void gc__dead_stack_clear(struct mutator *mutator)
{
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    uintptr_t deepest = mutator->deepest_sp;
    size_t bytes;

    /* On a signal's or a coroutine's stack nothing is known about what lies below. */
    if (sp < mutator->stack.start || sp >= mutator->stack.end)
        return;
    if (sp <= deepest || deepest == 0) {
        mutator->deepest_sp = sp;
        return;
    }
    bytes = sp - deepest + GC_DEAD_STACK_MARGIN_BYTES;
    clear_below(bytes < GC_DEAD_STACK_MAX_BYTES ? bytes : GC_DEAD_STACK_MAX_BYTES);
    mutator->deepest_sp = sp;
}
