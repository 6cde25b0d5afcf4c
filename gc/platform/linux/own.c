#include "gc/platform/linux/own.h"

#include "gc/platform/platform.h"

#include <stdatomic.h>

/* A record for each thread that runs at the same time, and a dozen more. */
#define MAX_RANGES 1024

/* `end` is 0: free; 1: being written. */
GC_OWN_STATE static struct {
    uintptr_t start;
    _Atomic uintptr_t end;
} own[MAX_RANGES];

GC_OWN_STATE static _Atomic size_t own_count; /* all behind are free */

/* The linker marks the bounds of the section behind GC_OWN_STATE. */
extern char __start_broom_state[] __attribute__((visibility("hidden")));
extern char __stop_broom_state[] __attribute__((visibility("hidden")));

static void raise_count(size_t count)
{
    size_t before = own_count;

    while (before < count && !atomic_compare_exchange_weak(&own_count, &before, count))
        continue;
}

void gc__note_own(uintptr_t start, size_t bytes)
{
    for (size_t i = 0; i < MAX_RANGES; i++) {
        uintptr_t free = 0;

        if (own[i].end != 0 || !atomic_compare_exchange_strong(&own[i].end, &free, 1))
            continue;
        own[i].start = start;
        own[i].end = start + bytes;
        raise_count(i + 1);
        return;
    }
}

void gc__forget_own(uintptr_t start)
{
    for (size_t i = 0; i < own_count; i++)
        if (own[i].end > 1 && own[i].start == start)
            own[i].end = 0;
}

static struct gc__range own_state(void)
{
    return (struct gc__range){(uintptr_t)__start_broom_state, (uintptr_t)__stop_broom_state};
}

void gc__os_each_own(void (*visit)(struct gc__range range, void *argument), void *argument)
{
    visit(own_state(), argument);
    for (size_t i = 0; i < own_count; i++) {
        uintptr_t end = own[i].end;

        if (end > 1)
            visit((struct gc__range){own[i].start, end}, argument);
    }
}
