/* finalizable.h - objects with finalizers that note when they run, and in which
 * order. */
#ifndef TEST_FINALIZABLE_H
#define TEST_FINALIZABLE_H

#include "test/nearly.h"
#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <stdatomic.h>

enum { MANY = 400 };

struct node {
    uint64_t number;
    struct node *next;
    uint64_t sum; /* number, complemented */
};

static atomic_size_t runs;
static size_t order[MANY * 4]; /* numbers, as they were finalized */
static unsigned times[MANY * 4];

static inline void note(void *object, void *data)
{
    struct node *node = object;

    (void)data;
    cr_assert(gc_base(node) == node && node->sum == ~node->number, "a finalizer's object is not whole");
    times[node->number]++;
    order[runs++] = node->number;
}

static inline struct node *new_node(uint64_t number, struct node *next)
{
    struct node *node = gc_malloc(number % 5 == 0 ? 50000 : sizeof *node);

    *node = (struct node){number, next, ~number};
    return node;
}

static gc_finalizer_queue *queue;

static inline void prepare(void)
{
    make_roots();
    queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
    cr_assert_not_null(queue);
}

/* For tests that need to know when there is a collection. */
static inline void prepare_undisturbed(void)
{
    without_stress();
    prepare();
}

static inline void set(void *object, gc_finalizer finalizer, void *data, enum gc_finalizer_order how)
{
    cr_assert_eq(gc_set_finalizer_in(queue, object, finalizer, data, how), 0);
}

static __attribute__((noinline, unused)) void make_dead(size_t first, size_t count, enum gc_finalizer_order how)
{
    for (size_t i = first; i < first + count; i++)
        set(new_node(i, NULL), note, NULL, how);
}

static __attribute__((noinline, unused)) void make_living(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        root_words()[i] = (uintptr_t)new_node(i, NULL);
        set((void *)root_words()[i], note, NULL, GC_FINALIZE_ORDERED);
    }
}

static inline void collect_and_run(void)
{
    clear_stack();
    gc_collect_and_finalize(queue);
}

#endif
