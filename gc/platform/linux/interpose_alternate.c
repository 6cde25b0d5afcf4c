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
#include "gc/base/align.h"
#include "gc/platform/linux/probe.h"
#include "gc/platform/linux/stack.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SS_AUTODISARM /* Linux 4.7; headers may be older */
#define SS_AUTODISARM (1U << 31)
#endif

/* Who has set which: by the stack's place, among so many next to each other. */
enum { NOTED = 1024, TRIED = 16, PLACE_SHIFT = 11, THREAD_BITS = 22 }; /* 2 KiB: no stack is smaller */

GC_OWN_STATE static _Atomic uint64_t noted[NOTED];

static uint64_t place_of(const stack_t *stack)
{
    return (uintptr_t)stack->ss_sp >> PLACE_SHIFT;
}

static uint64_t note_of(const stack_t *stack)
{
    return place_of(stack) << THREAD_BITS | (uint64_t)gc__os_thread_id();
}

/* Fibonacci hashing: Knuth, The Art of Computer Programming, section 6.4. */
static _Atomic uint64_t *nth(const stack_t *stack, unsigned i)
{
    return &noted[((place_of(stack) * UINT64_C(0x9e3779b97f4a7c15) >> 32) + i) % NOTED];
}

static bool is_over(uint64_t note)
{
    return !gc__os_thread_exists(gc__os_process_id(), (long)(note & ((1 << THREAD_BITS) - 1)));
}

/* Where the calling thread is noted; NULL: nowhere. Notes another one that has the same stack. */
static _Atomic uint64_t *find(const stack_t *stack, bool *is_shared)
{
    _Atomic uint64_t *mine = NULL;

    for (unsigned i = 0; i < TRIED; i++) {
        uint64_t note = *nth(stack, i);

        if (note == note_of(stack))
            mine = nth(stack, i);
        else if (note >> THREAD_BITS == place_of(stack) && note != 0)
            *is_shared |= !is_over(note);
    }
    return mine;
}

/* In place of nobody, or of a thread that is no more. NULL: there is no room. */
static _Atomic uint64_t *take_place(const stack_t *stack)
{
    for (unsigned i = 0; i < TRIED; i++) {
        uint64_t note = *nth(stack, i);

        if ((note == 0 || is_over(note)) && atomic_compare_exchange_strong(nth(stack, i), &note, note_of(stack)))
            return nth(stack, i);
    }
    return NULL;
}

/* Before the kernel knows of it: a stop may come at once. Of two threads that do so at the same
 * time one sees the other. What there is no room to note may be shared. Returns what is to be
 * taken back; NULL: nothing. */
static _Atomic uint64_t *note(const stack_t *stack)
{
    bool is_shared = false;
    _Atomic uint64_t *taken = find(stack, &is_shared) == NULL ? take_place(stack) : NULL;

    if (find(stack, &is_shared) == NULL || is_shared)
        gc__os_stop_on_no_alternate_stack();
    return taken;
}

static void take_back(_Atomic uint64_t *place)
{
    if (place != NULL)
        *place = 0;
}

static bool is_set(const stack_t *stack)
{
    return (stack->ss_flags & SS_DISABLE) == 0;
}

/* Else the kernel says what is wrong. */
static bool can_be_read(const stack_t *stack)
{
    uintptr_t page = gc__os_page_bytes(), start = (uintptr_t)stack, end = start + sizeof *stack - 1;

    return gc__page_is_readable(gc__align_down(start, page)) && gc__page_is_readable(gc__align_down(end, page));
}

__attribute__((visibility("default"))) int sigaltstack(const stack_t *stack, stack_t *old)
{
    stack_t before = {.ss_flags = SS_DISABLE}, wanted;
    _Atomic uint64_t *taken = NULL;
    bool is_shared = false;
    int result;

    if (stack == NULL || !can_be_read(stack))
        return (int)syscall(SYS_sigaltstack, stack, old);
    wanted = *stack; /* the other may lie there */
    if (is_set(&wanted))
        taken = note(&wanted);
    result = (int)syscall(SYS_sigaltstack, stack, old != NULL ? old : &before);
    if (result != 0) {
        take_back(taken);
        return result;
    }
    if (old != NULL)
        before = *old;
    if (is_set(&before) && !(is_set(&wanted) && place_of(&wanted) == place_of(&before)))
        take_back(find(&before, &is_shared));
    if (((unsigned)wanted.ss_flags & SS_AUTODISARM) != 0)
        gc__disarming_stack = gc__alternate_stack(&wanted);
    return 0;
}
