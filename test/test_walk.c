/* test_walk.c - what the heap holds is shown to the program, object by object, and counted
 * kind by kind. */
#include "test/effort.h"
#include "test/hidden.h"

#include <broom/arena.h>
#include <broom/event.h>
#include <broom/stack.h>
#include <broom/weak.h>
#include <criterion/criterion.h>
#include <pthread.h>

static void make_garbage(size_t objects)
{
    for (size_t i = 0; i < objects; i++)
        *(volatile size_t *)gc_malloc(64) = i;
}

enum { OBJECTS = 500, BYTES = 1234 };

static struct {
    void *object[OBJECTS];
    size_t seen[OBJECTS];
    size_t all;
    size_t stop_after;
} known;

static bool look(const struct gc_object_info *info, void *data)
{
    (void)data;
    known.all++;
    for (size_t i = 0; i < OBJECTS; i++)
        if (known.object[i] == info->start) {
            known.seen[i]++;
            if (info->bytes < BYTES || info->sort != (i % 2 ? GC_OBJECT_ATOMIC : GC_OBJECT_CONSERVATIVE) ||
                info->large != 0 || info->kind != NULL)
                known.seen[i] += 100;
        }
    return known.stop_after == 0 || known.all < known.stop_after;
}

Test(walk, comes_to_every_object_once)
{
    without_stress();
    for (size_t i = 0; i < OBJECTS; i++)
        known.object[i] = i % 2 ? gc_malloc_atomic(BYTES) : gc_malloc(BYTES);
    for (int round = 0; round < 2; round++) {
        memset(known.seen, 0, sizeof known.seen);
        known.all = 0;
        cr_assert(gc_for_each_object(look, NULL));
        for (size_t i = 0; i < OBJECTS; i++)
            cr_assert_eq(known.seen[i], 1);
        cr_assert_leq(known.all, OBJECTS + 100, "what was not handed out is no object");
        gc_collect();
    }
    known.stop_after = 10;
    known.all = 0;
    cr_assert_not(gc_for_each_object(look, NULL));
    cr_assert_eq(known.all, 10);
}

Test(walk, does_not_come_to_what_is_dead)
{
    without_stress();
    make_garbage(100000);
    collect_with_clear_stack();
    gc_for_each_object(look, NULL);
    cr_assert_leq(known.all, 1000);
}

static bool find_kind(const struct gc_object_info *info, void *data)
{
    if (info->kind == data)
        known.all += info->sort == GC_OBJECT_OF_KIND ? 1 : 1000;
    return true;
}

Test(walk, knows_kinds_and_large_objects)
{
    struct gc_kind_options options = {.name = "pair", .tracing = GC_TRACE_CONSERVATIVE, .bytes = 16};
    gc_kind *pair = gc_kind_new(&options, sizeof options);
    struct gc_kind_stats stats[8], before[8];
    void *volatile kept[30];
    size_t kinds;

    without_stress();
    cr_assert_eq(gc_get_kind_stats(before, 8), gc_get_kind_stats(stats, 0));
    for (int i = 0; i < 30; i++)
        kept[i] = i < 20 ? gc_new(pair) : gc_new_bytes(pair, 100000);
    gc_for_each_object(find_kind, pair);
    cr_assert_eq(known.all, 30);
    kinds = gc_get_kind_stats(stats, 8);
    cr_assert_geq(kinds, 4);
    for (size_t i = 0; i < kinds && i < 8; i++)
        if (stats[i].kind == pair) {
            cr_assert_str_eq(stats[i].name, "pair");
            cr_assert_eq(stats[i].objects, 30);
            cr_assert_geq(stats[i].bytes, 20 * 16 + 10 * 100000);
        }
    cr_assert_not_null(kept[29]);
}

struct sought {
    const void *start;
    size_t found;
    uint32_t sort;
};

static bool find_sort(const struct gc_object_info *info, void *data)
{
    struct sought *sought = data;

    if ((uintptr_t)sought->start - (uintptr_t)info->start < info->bytes) {
        sought->found++;
        sought->sort = info->sort;
    }
    return true;
}

static void check_sort(const void *object, uint32_t sort)
{
    struct sought sought = {.start = object};

    cr_assert(gc_for_each_object(find_sort, &sought));
    cr_assert_eq(sought.found, 1);
    cr_assert_eq(sought.sort, sort);
}

Test(walk, knows_what_is_uncollectable_and_what_lies_in_arenas_and_pools)
{
    struct gc_arena *arena = gc_arena_new();
    struct gc_pool *pool = gc_pool_new(40);
    void *memory;
    size_t size;

    check_sort(gc_malloc_uncollectable(64), GC_OBJECT_UNCOLLECTABLE);
    check_sort(gc_malloc_uncollectable(100000), GC_OBJECT_UNCOLLECTABLE);
    check_sort(gc_pool_get(pool), GC_OBJECT_CONSERVATIVE);
    check_sort(gc_weak_ref_new(gc_pool_get(pool), 0), GC_OBJECT_OF_KIND);
    check_sort(gc_stack_new(65536, &memory, &size), GC_OBJECT_OF_KIND);
    check_sort(gc_arena_malloc(arena, 40), GC_OBJECT_CONSERVATIVE);
    check_sort(gc_arena_malloc_atomic(arena, 40), GC_OBJECT_ATOMIC);
    check_sort(gc_arena_malloc(arena, 3 << 20), GC_OBJECT_CONSERVATIVE);
}

Test(walk, agrees_with_the_last_collection)
{
    struct gc_kind_stats kind[3];
    struct gc_stats stats;
    uint64_t objects = 0;
    void *volatile kept[1000];

    without_stress();
    for (int i = 0; i < 1000; i++)
        kept[i] = gc_malloc((size_t)i * 40);
    gc_collect();
    gc_get_stats(&stats, sizeof stats);
    gc_get_kind_stats(kind, 3);
    for (int i = 0; i < 3; i++)
        objects += kind[i].objects;
    cr_assert_eq(objects, stats.objects_marked);
    cr_assert_not_null(kept[0]);
}

static void *churn_until_told(void *stop)
{
    while (!*(_Atomic bool *)stop)
        make_garbage(100);
    return NULL;
}

Test(walk, may_go_on_beside_threads_that_allocate)
{
    static _Atomic bool stop;
    pthread_t thread[3];

    for (size_t i = 0; i < OBJECTS; i++)
        known.object[i] = i % 2 ? gc_malloc_atomic(BYTES) : gc_malloc(BYTES);
    for (int i = 0; i < 3; i++)
        pthread_create(&thread[i], NULL, churn_until_told, &stop);
    for (int round = 0; round < 50; round++) {
        memset(known.seen, 0, sizeof known.seen);
        gc_for_each_object(look, NULL);
        for (size_t i = 0; i < OBJECTS; i++)
            cr_assert_eq(known.seen[i], 1);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}
