/* interpose_alternate.c - the call that sets an alternate signal stack. In the library
 * broom-malloc alone.
 *
 * Of one that is disarmed while a handler runs on it (SS_AUTODISARM) the kernel then says that
 * there is none: so it is remembered here.
 *
 * Threads may have one together, as long as they need it for nothing but to die there
 * (varnishd's do). Then those that stop must not all do so on it: from then on threads stop on
 * the stacks on which they run. */

#define _GNU_SOURCE
#include "gc/platform/linux/stack.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SS_AUTODISARM /* Linux 4.7; headers may be older */
#define SS_AUTODISARM (1U << 31)
#endif

/* Who has set which, by its place. What does not fit any more is forgotten. */
enum { NOTED = 256, PLACE_SHIFT = 11, THREAD_BITS = 22 }; /* 2 KiB: no stack is smaller */

GC_OWN_STATE static _Atomic uint64_t noted[NOTED];

static bool has_another_set_it(uintptr_t start)
{
    uint64_t place = start >> PLACE_SHIFT;
    uint64_t before = atomic_exchange(&noted[place % NOTED], place << THREAD_BITS | (uint64_t)gc__os_thread_id());
    long thread_id = (long)(before & ((1 << THREAD_BITS) - 1));

    return before >> THREAD_BITS == place && thread_id != gc__os_thread_id() &&
           gc__os_thread_exists(gc__os_process_id(), thread_id);
}

__attribute__((visibility("default"))) int sigaltstack(const stack_t *stack, stack_t *old)
{
    int result;

    if (stack != NULL && (stack->ss_flags & SS_DISABLE) == 0 && has_another_set_it((uintptr_t)stack->ss_sp))
        gc__os_stop_on_no_alternate_stack();
    result = (int)syscall(SYS_sigaltstack, stack, old);
    if (result == 0 && stack != NULL && ((unsigned)stack->ss_flags & SS_AUTODISARM) != 0)
        gc__disarming_stack = gc__alternate_stack(stack);
    return result;
}
