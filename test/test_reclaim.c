/* test_reclaim.c - what must be reclaimed. Objects are held by the words of a
 * range that is a root; what is dropped there must be gone after a collection,
 * but for the few that a stack word holds by chance. */
#include "test/roots.h"

#include <stdlib.h>

enum { MANY = 1000 };

/* All are alive while the roots hold them; when these are dropped, no more
 * than `chance` percent are. */
static void check_reclaimed(const struct hidden *object, size_t count, size_t chance)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive == count, "%zu of %zu were reclaimed too early", count - alive, count);
    drop_roots();
    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive * 100 <= count * chance, "%zu of %zu were not reclaimed", alive, count);
}

/* ---- Shapes --------------------------------------------------------------------- */

struct node {
    struct node *next;
    struct node *before;
    uint64_t number;
};

static __attribute__((noinline)) struct hidden new_ring(size_t nodes)
{
    struct node *first = gc_malloc(sizeof *first), *last = first;

    for (size_t i = 1; i < nodes; i++) {
        last->next = gc_malloc(sizeof *last);
        last->next->before = last;
        last = last->next;
    }
    last->next = first;
    first->before = last;
    return hide(first);
}

static __attribute__((noinline)) void make_rings(struct hidden *ring, size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        ring[i] = new_ring(nodes);
        root_words()[i] = (uintptr_t)reveal(ring[i]) + i % sizeof(struct node);
    }
}

Test(reclaim, rings, .init = make_roots)
{
    struct hidden ring[MANY];

    make_rings(ring, MANY, 1);
    check_reclaimed(ring, MANY, 2);
    make_rings(ring, MANY, 2);
    check_reclaimed(ring, MANY, 2);
    make_rings(ring, MANY, 30);
    check_reclaimed(ring, MANY, 2);
}

static __attribute__((noinline)) void make_lists(struct hidden *end, size_t count, size_t nodes)
{
    for (size_t i = 0; i < count; i++) {
        struct node *list = gc_malloc(sizeof *list);
        end[i] = hide(list);
        for (size_t j = 1; j < nodes; j++) {
            struct node *node = gc_malloc(sizeof *node);
            node->next = list;
            list = node;
        }
        root_words()[i] = (uintptr_t)list;
    }
}

/* A word by chance holds a list from there to its end, which is looked at. */
Test(reclaim, long_lists, .init = make_roots)
{
    struct hidden end[200];

    make_lists(end, 200, effort(5000));
    check_reclaimed(end, 200, 4);
}

static __attribute__((noinline)) void make_large(struct hidden *object, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        object[i] = hide(gc_malloc((33 << 10) + i * 7777));
        root_words()[i] = (uintptr_t)reveal(object[i]) + (33 << 10);
    }
}

Test(reclaim, large_objects, .init = make_roots)
{
    struct hidden object[300];

    make_large(object, 300);
    check_reclaimed(object, 300, 2);
    cr_assert(stats_now().live_bytes < 20 << 20);
}

/* The first half of the words are no roots any more. */
Test(reclaim, removed_roots, .init = make_roots)
{
    struct hidden object[MANY];
    size_t alive;

    make_rings(object, MANY, 1);
    cr_assert(gc_remove_roots(root_words(), root_words() + MANY / 2) == 0);
    collect_with_clear_stack();
    alive = count_alive(object, MANY / 2);
    cr_assert(alive <= MANY / 50, "%zu are alive", alive);
    cr_assert(count_alive(object + MANY / 2, MANY / 2) == MANY / 2);

    cr_assert(gc_remove_roots(root_words(), root_words() + ROOTS) == 0);
    collect_with_clear_stack();
    alive = count_alive(object, MANY);
    cr_assert(alive <= MANY / 50, "%zu are alive", alive);
}

/* ---- Words that are no roots ------------------------------------------------------- */

static __attribute__((noinline)) void fill(uintptr_t *words, struct hidden *object, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        void *new = gc_malloc(sizeof(struct node));
        object[i] = hide(new);
        words[i] = (uintptr_t) new;
    }
}

static void check_no_roots(const struct hidden *object, size_t count)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(object, count);
    cr_assert(alive <= count / 40, "%zu of %zu are alive", alive, count);
}

Test(reclaim, malloc_memory_is_no_root)
{
    struct hidden object[MANY];
    uintptr_t *words = calloc(MANY, sizeof *words);

    fill(words, object, MANY);
    check_no_roots(object, MANY);
    free(words);
}

static __attribute__((noinline)) void fill_atomic(struct hidden *object, size_t bytes)
{
    uintptr_t *words = gc_malloc_atomic(bytes);

    root_words()[0] = (uintptr_t)words;
    fill(words, object, MANY);
}

Test(reclaim, contents_of_atomic_objects, .init = make_roots)
{
    struct hidden object[MANY];

    fill_atomic(object, MANY * sizeof(uintptr_t)); /* small */
    check_no_roots(object, MANY);
    fill_atomic(object, 100000); /* large */
    check_no_roots(object, MANY);
    root_words()[0] = (uintptr_t)gc_realloc((void *)root_words()[0], 3000000); /* of the kind still */
    fill((uintptr_t *)root_words()[0], object, MANY);
    check_no_roots(object, MANY);
    root_words()[0] = (uintptr_t)gc_realloc((void *)root_words()[0], MANY * sizeof(uintptr_t));
    fill((uintptr_t *)root_words()[0], object, MANY);
    check_no_roots(object, MANY);
}

static __attribute__((noinline)) struct hidden fill_uncollectable(struct hidden *object, size_t bytes)
{
    uintptr_t *words = gc_malloc_uncollectable(bytes);

    fill(words, object, MANY);
    return hide(words);
}

Test(reclaim, contents_of_freed_uncollectable_objects)
{
    struct hidden object[MANY], holder;

    for (size_t bytes = MANY * sizeof(uintptr_t); bytes < 100000; bytes += 50000) {
        holder = fill_uncollectable(object, bytes);
        collect_with_clear_stack();
        cr_assert(count_alive(object, MANY) == MANY);
        gc_free(reveal(holder));
        check_no_roots(object, MANY);
    }
}

/* ---- The collector's own state is no root -------------------------------------------- */

enum { SIZES = 400 };

/* Every size class, and large objects. */
static size_t size_number(size_t i)
{
    return i < 256 ? i * 8 : (i - 255) * 1024;
}

static void *new_of_kind(unsigned kind, size_t bytes)
{
    return kind == 0 ? gc_malloc(bytes) : gc_malloc_atomic(bytes);
}

static __attribute__((noinline)) void make_sizes(struct hidden *object, unsigned kind)
{
    for (size_t i = 0; i < SIZES; i++)
        object[i] = hide(new_of_kind(kind, size_number(i)));
}

/* The newest object of each class and kind, next to what is handed out next. */
Test(reclaim, newest_objects)
{
    struct hidden object[SIZES];

    for (unsigned kind = 0; kind < 2; kind++) {
        make_sizes(object, kind);
        check_no_roots(object, SIZES);
    }
}

/* Objects whose memory was freed explicitly before: the collector may have
 * noted the addresses. */
static __attribute__((noinline)) void make_from_freed(struct hidden *object, unsigned kind)
{
    gc_disable(); /* nothing else holds them */
    for (unsigned round = 0; round < 8; round++) {
        make_sizes(object, kind);
        for (size_t i = 0; round < 7 && i < SIZES; i++)
            gc_free(reveal(object[i]));
    }
    gc_enable();
}

Test(reclaim, objects_in_freed_memory)
{
    struct hidden object[SIZES];

    for (unsigned kind = 0; kind < 2; kind++) {
        make_from_freed(object, kind);
        check_no_roots(object, SIZES);
    }
}

static bool refuse(size_t bytes, void *data)
{
    return bytes == 0 && data != NULL;
}

/* The handler's data is held, but not for ever. */
Test(reclaim, data_of_the_last_handler)
{
    struct hidden object[100];
    uintptr_t words[100];

    fill(words, object, 100);
    for (size_t i = 0; i < 100; i++) {
        gc_set_oom_handler(refuse, reveal(object[i]));
        words[i] = 0;
    }
    check_no_roots(object, 99);
    cr_assert(is_alive(object[99]));
    gc_set_oom_handler(NULL, NULL);
}

/* ---- Explicit freeing ------------------------------------------------------------------ */

/* Much more than there may be at a time, while nothing is collected. */
static void free_at_once(size_t bytes, size_t at_a_time)
{
    size_t rounds = effort(bytes < 4096 ? 200000 : ((size_t)1 << 30) / bytes) / at_a_time;
    void **object = calloc(at_a_time, sizeof *object);

    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < at_a_time; i++)
            object[i] = round % 3 == 0 ? gc_malloc_atomic(bytes) : gc_malloc(bytes);
        for (size_t i = 0; i < at_a_time; i++)
            gc_free(object[round % 2 == 0 ? i : at_a_time - 1 - i]);
    }
    free(object);
}

Test(reclaim, freed_memory_is_reused_at_once)
{
    struct gc_stats stats;

    gc_disable();
    for (size_t bytes = 8; bytes < 3 << 20; bytes = bytes * 3 + 40) {
        free_at_once(bytes, 1);
        free_at_once(bytes, 5);
    }
    free_at_once(48, 3000);
    gc_enable();
    stats = stats_now();
    cr_assert(stats.collections == 0, "%llu collections", (unsigned long long)stats.collections);
    cr_assert(stats.heap_peak_bytes < 48 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
    cr_assert(stats.bytes_freed == stats.bytes_allocated);
}

/* A program that frees all it takes does not need the collector. */
Test(reclaim, freeing_everything_never_collects)
{
    without_stress();
    for (size_t bytes = 8; bytes < 1 << 20; bytes = bytes * 3 + 40)
        free_at_once(bytes, 1);
    cr_assert(stats_now().collections == 0, "%llu collections", (unsigned long long)stats_now().collections);
}

/* What gc_realloc leaves behind is free at once, too. */
Test(reclaim, resized_memory_is_reused_at_once)
{
    struct gc_stats stats;

    gc_disable();
    for (size_t round = 0; round < effort(300); round++) {
        void *object = NULL;
        for (size_t bytes = 10; bytes < 2 << 20; bytes = bytes * 3 / 2)
            object = gc_realloc(object, bytes);
        for (size_t bytes = 2 << 20; bytes > 10; bytes = bytes / 3)
            object = gc_realloc(object, bytes);
        gc_free(object);
    }
    gc_enable();
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
    cr_assert(stats.bytes_freed == stats.bytes_allocated);
}
