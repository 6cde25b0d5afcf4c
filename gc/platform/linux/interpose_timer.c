/* interpose_timer.c - timer_create and timer_delete. The value that a timer gives to a signal's
 * handler is held by the kernel alone: it is kept here as long as there is the timer. In the
 * library broom-malloc alone.
 *
 * The places are ordinary data, and so roots; they are used again, as numbers of timers are
 * not. A child of fork has none of the timers, and keeps what they had.
 *
 * Threads: any, without a lock; the place of a timer is written by who makes or deletes it. */

#define _GNU_SOURCE
#include "gc/platform/linux/real.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

#define EXPORT __attribute__((visibility("default")))

struct place {
    _Atomic uintptr_t timer; /* as name_of() has it; 0: free */
    _Atomic uintptr_t value;
};

enum { PLACES = 255 }; /* a page */

struct places {
    struct place place[PLACES];
    _Atomic(struct places *) next;
};

static struct places first;

/* The kernel's first one is 0. */
static uintptr_t name_of(timer_t timer)
{
    return (uintptr_t)timer + 1;
}

static struct places *next_of(struct places *places)
{
    struct places *next = atomic_load(&places->next), *mine;

    if (next != NULL)
        return next;
    mine = mmap(NULL, sizeof *mine, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mine == MAP_FAILED)
        return NULL;
    if (atomic_compare_exchange_strong(&places->next, &next, mine))
        return mine;
    munmap(mine, sizeof *mine);
    return next;
}

/* A free one, which has this name now. NULL: there is none. */
static struct place *take(struct places *places, uintptr_t name)
{
    for (size_t i = 0; i < PLACES; i++) {
        uintptr_t free = 0;

        if (atomic_compare_exchange_strong(&places->place[i].timer, &free, name))
            return &places->place[i];
    }
    return NULL;
}

static void keep(timer_t timer, uintptr_t value)
{
    struct place *place = NULL;

    for (struct places *places = &first; place == NULL && places != NULL; places = next_of(places))
        place = take(places, name_of(timer));
    if (place != NULL)
        atomic_store(&place->value, value);
}

static struct place *find(timer_t timer)
{
    for (struct places *places = &first; places != NULL; places = atomic_load(&places->next))
        for (size_t i = 0; i < PLACES; i++)
            if (atomic_load(&places->place[i].timer) == name_of(timer))
                return &places->place[i];
    return NULL;
}

/* Until it is set it sends nothing, and the caller has the value. */
EXPORT int timer_create(clockid_t clock, struct sigevent *event, timer_t *timer)
{
    int result = GC_REAL(timer_create)(clock, event, timer);

    if (result == 0 && event != NULL)
        keep(*timer, (uintptr_t)event->sigev_value.sival_ptr);
    return result;
}

/* It is found before: another thread's may have its number afterwards. */
EXPORT int timer_delete(timer_t timer)
{
    struct place *place = find(timer);
    int result = GC_REAL(timer_delete)(timer);

    if (result == 0 && place != NULL) {
        atomic_store(&place->value, 0);
        atomic_store(&place->timer, 0);
    }
    return result;
}
