/* rewired.h - a heap of nodes, and parcels each of which hangs on one of their slots
 * alone, and what a program may do to it while a collection runs. */
#ifndef TEST_REWIRED_H
#define TEST_REWIRED_H

#include "test/random.h"

#include <broom.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 3000, SLOTS = 4 };

/* Each parcel hangs on one slot alone. */
struct parcel {
    uint64_t stamp;
    struct parcel *inner;
};

struct branch {
    struct branch *next;
    struct parcel *slot[SLOTS];
    uint64_t filler[3];
};

static struct branch *first;
static struct branch **nodes; /* in malloc memory: no root */
static __attribute__((noinline, unused)) struct parcel *new_parcel(void)
{
    struct parcel *parcel = gc_malloc(sizeof *parcel);

    parcel->inner = gc_malloc(random_next() % 8 == 0 ? 5000 : sizeof *parcel);
    parcel->stamp = random_next() | 1;
    parcel->inner->stamp = ~parcel->stamp;
    return parcel;
}

static inline bool is_intact(const struct parcel *parcel)
{
    return (parcel->stamp & 1) != 0 && parcel->inner != NULL && parcel->inner->stamp == ~parcel->stamp;
}

static __attribute__((noinline, unused)) void build(void)
{
    random_begin("concurrent");
    nodes = calloc(NODES, sizeof(struct branch *));
    for (size_t i = 0; i < NODES; i++) {
        struct branch *node = gc_malloc(sizeof *node);

        for (unsigned s = 0; s < SLOTS; s++)
            node->slot[s] = new_parcel();
        node->next = first;
        first = nodes[i] = node;
    }
}

static struct parcel **any_slot(void)
{
    uint64_t random = random_next();

    return &nodes[random % NODES]->slot[(random >> 32) % SLOTS];
}

static __attribute__((noinline, unused)) void swap_slots(void)
{
    struct parcel **a = any_slot(), **b = any_slot();
    struct parcel *parcel = *a;

    *a = *b;
    *b = parcel;
}

static __attribute__((noinline, unused)) void take_out_and_put_back(void)
{
    static struct parcel *in_data;
    struct parcel **a = any_slot();

    if (in_data == NULL) {
        in_data = *a;
        *a = NULL;
    } else if (*a == NULL) {
        *a = in_data;
        in_data = NULL;
    }
}

/* Into something new, and the old way is cut. */
static __attribute__((noinline, unused)) void wrap(void)
{
    struct parcel **a = any_slot();
    struct parcel *outer = gc_malloc(sizeof *outer);

    if (*a == NULL)
        return;
    outer->stamp = (*a)->stamp;
    outer->inner = (*a)->inner;
    *a = outer;
}

static __attribute__((noinline, unused)) void replace(void)
{
    *any_slot() = new_parcel();
}

static __attribute__((noinline, unused)) void free_one(void)
{
    struct parcel **a = any_slot(), *old = *a;

    *a = new_parcel();
    if (old == NULL)
        return;
    gc_free(old->inner);
    gc_free(old);
}

static __attribute__((noinline, unused)) void resize_one(void)
{
    struct parcel **a = any_slot();

    if (*a != NULL)
        (*a)->inner = gc_realloc((*a)->inner, 16 + random_next() % 40000);
}

static inline void make_moves(unsigned count)
{
    static void (*const moves[])(void) = {swap_slots, swap_slots, swap_slots, take_out_and_put_back,
                                          wrap,       replace,    free_one,   resize_one};

    for (unsigned i = 0; i < count; i++)
        moves[random_next() % (sizeof moves / sizeof *moves)]();
}

static __attribute__((noinline, unused)) void litter(size_t bytes)
{
    for (size_t done = 0; done < bytes; done += 32 + 64 + 5008) {
        memset(gc_malloc(16), 0xa4, 16);
        memset(gc_malloc(64), 0xa4, 64);
        memset(gc_malloc(5000), 0xa4, 5000);
    }
}

static inline void check(void)
{
    size_t count = 0;

    for (const struct branch *node = first; node != NULL; node = node->next, count++)
        for (unsigned s = 0; s < SLOTS; s++)
            cr_assert(node->slot[s] == NULL || is_intact(node->slot[s]));
    cr_assert_eq(count, NODES);
}

#endif
