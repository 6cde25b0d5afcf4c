/* hidden.h - addresses that the collector does not see, and what became of the
 * objects there.
 *
 * A stack word that nobody meant may hold any object, so what must be
 * reclaimed is counted: nearly all of many objects. */
#ifndef TEST_HIDDEN_H
#define TEST_HIDDEN_H

#include <broom.h>

#include <stddef.h>
#include <stdint.h>

/* Complemented, no address is one. */
struct hidden {
    uintptr_t bits;
};

static inline struct hidden hide(const void *address)
{
    return (struct hidden){~(uintptr_t)address};
}

static inline void *reveal(struct hidden hidden)
{
    return (void *)~hidden.bits;
}

static inline bool is_alive(struct hidden hidden)
{
    return gc_base(reveal(hidden)) == reveal(hidden);
}

/* Wipes what earlier calls left below this frame, also what a sanitizer takes
 * to be out of bounds there. */
static __attribute__((noinline, unused, no_sanitize("address"))) void clear_stack(void)
{
    volatile uintptr_t below[(32 << 10) / sizeof(uintptr_t)];

    for (size_t i = 0; i < sizeof below / sizeof below[0]; i++)
        below[i] = 0;
}

static inline void collect_with_clear_stack(void)
{
    clear_stack();
    gc_collect();
}

static inline size_t count_alive(const struct hidden *hidden, size_t count)
{
    size_t alive = 0;

    for (size_t i = 0; i < count; i++)
        alive += is_alive(hidden[i]);
    return alive;
}

#endif
