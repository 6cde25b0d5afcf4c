/* held.h - objects of a kind, each the only one to know another: whether a word of theirs
 * keeps that. */
#ifndef TEST_HELD_H
#define TEST_HELD_H

#include "test/roots.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>

enum { MANY = 400 };

static inline gc_kind *kind_of(struct gc_kind_options options)
{
    gc_kind *kind = gc_kind_new(&options, sizeof options);

    cr_assert_not_null(kind);
    return kind;
}

static inline gc_kind *layout_of(size_t words, const uint64_t *pointers)
{
    return kind_of((struct gc_kind_options){
        .name = "layout", .tracing = GC_TRACE_LAYOUT, .bytes = words * 8, .pointers = pointers});
}

/* MANY objects of a kind, each the only one to know the `target` that its word
 * leads to, as `encode` says it. */
struct held {
    struct hidden target[MANY];
    struct hidden object[MANY];
};

static struct held held;

static inline uintptr_t plain(uintptr_t address)
{
    return address;
}

static inline uintptr_t into(uintptr_t address)
{
    return address + 8;
}

static __attribute__((noinline, unused)) void hold(gc_kind *kind, size_t bytes, size_t word,
                                                   uintptr_t (*encode)(uintptr_t))
{
    for (size_t i = 0; i < MANY; i++) {
        uintptr_t *object = gc_new_bytes(kind, bytes);
        uintptr_t *target = gc_malloc(16 + i % 7 * 100);

        root_words()[i] = (uintptr_t)object;
        *target = i;
        object[word] = encode((uintptr_t)target);
        held.target[i] = hide(target);
        held.object[i] = hide(object);
    }
}

static inline size_t alive(void)
{
    collect_with_clear_stack();
    cr_assert_eq(count_alive(held.object, MANY), MANY);
    return count_alive(held.target, MANY);
}

static inline void check_held(gc_kind *kind, size_t bytes, size_t word, uintptr_t (*encode)(uintptr_t))
{
    hold(kind, bytes, word, encode);
    cr_assert_eq(alive(), MANY, "word %zu keeps nothing", word);
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(*(uintptr_t *)reveal(held.target[i]), i);
    drop_roots();
}

static inline void check_not_held(gc_kind *kind, size_t bytes, size_t word, uintptr_t (*encode)(uintptr_t))
{
    size_t left;

    hold(kind, bytes, word, encode);
    left = alive();
    cr_assert(left <= MANY / 20, "word %zu keeps %zu of %d", word, left, MANY);
    drop_roots();
}

#endif
