/* roots.h - words that are a root by gc_add_roots, and to which nothing else
 * leads: objects that they hold are held from nowhere else. */
#ifndef TEST_ROOTS_H
#define TEST_ROOTS_H

#include "test/effort.h"
#include "test/hidden.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <sys/mman.h>

enum { ROOTS = 4096 };

static uintptr_t *roots; /* complemented: not even these are found by it */

static inline uintptr_t *root_words(void)
{
    return reveal((struct hidden){(uintptr_t)roots});
}

static inline void make_roots(void)
{
    uintptr_t *words = mmap(NULL, ROOTS * sizeof *words, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(words != MAP_FAILED && gc_add_roots(words, words + ROOTS) == 0);
    roots = (uintptr_t *)hide(words).bits;
}

static inline void make_roots_without_stress(void)
{
    without_stress();
    make_roots();
}

static inline void drop_roots(void)
{
    for (size_t i = 0; i < ROOTS; i++)
        root_words()[i] = 0;
}

static inline struct gc_stats stats_now(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

#endif
