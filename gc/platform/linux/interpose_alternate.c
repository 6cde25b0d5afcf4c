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

static uint64_t place_of(const stack_t *stack)
{
    return (uintptr_t)stack->ss_sp >> PLACE_SHIFT;
}

static uint64_t note_of(const stack_t *stack)
{
    return place_of(stack) << THREAD_BITS | (uint64_t)gc__os_thread_id();
}

static bool is_of_another(uint64_t note, const stack_t *stack)
{
    long thread_id = (long)(note & ((1 << THREAD_BITS) - 1));

    return note >> THREAD_BITS == place_of(stack) && thread_id != gc__os_thread_id() &&
           gc__os_thread_exists(gc__os_process_id(), thread_id);
}

/* Before the kernel knows of it: a stop may come at once. Returns what was noted there. */
static uint64_t note(const stack_t *stack)
{
    uint64_t before = atomic_exchange(&noted[place_of(stack) % NOTED], note_of(stack));

    if (is_of_another(before, stack))
        gc__os_stop_on_no_alternate_stack();
    return before;
}

static void take_back(const stack_t *stack, uint64_t before)
{
    uint64_t mine = note_of(stack);

    atomic_compare_exchange_strong(&noted[place_of(stack) % NOTED], &mine, before);
}

static bool is_set(const stack_t *stack)
{
    return stack != NULL && (stack->ss_flags & SS_DISABLE) == 0;
}

__attribute__((visibility("default"))) int sigaltstack(const stack_t *stack, stack_t *old)
{
    stack_t before = {.ss_flags = SS_DISABLE};
    uint64_t noted_before = is_set(stack) ? note(stack) : 0;
    int result = (int)syscall(SYS_sigaltstack, stack, &before);

    if (is_set(stack) && result != 0)
        take_back(stack, noted_before);
    if (stack != NULL && result == 0 && is_set(&before) && !(is_set(stack) && place_of(stack) == place_of(&before)))
        take_back(&before, 0);
    if (result == 0 && stack != NULL && ((unsigned)stack->ss_flags & SS_AUTODISARM) != 0)
        gc__disarming_stack = gc__alternate_stack(stack);
    if (old != NULL && result == 0)
        *old = before; /* they may be the same */
    return result;
}
