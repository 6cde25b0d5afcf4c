/* test_arenas.c - arenas and pools: objects that are released together, in a heap
 * that is collected. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/effort.h"
#include "test/hidden.h"

#include <broom/arena.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>

enum { OBJECTS = 2000 };

struct node {
    struct node *next;
    uintptr_t *number;
    size_t index;
};

static struct gc_arena *volatile global_arena;
static struct hidden hidden[OBJECTS];

static uintptr_t *new_number(uintptr_t value)
{
    uintptr_t *number = gc_malloc(4 * sizeof *number);

    *number = value;
    return number;
}

static void overwrite_free_cells(void)
{
    for (size_t i = 0; i < effort(30000); i++)
        *new_number(0) = ~(uintptr_t)0;
}

/* A list in the arena, each node with an object outside. */
static __attribute__((noinline)) struct node *fill(struct gc_arena *arena)
{
    struct node *list = NULL;

    for (size_t i = 0; i < OBJECTS; i++) {
        struct node *node = gc_arena_malloc(arena, sizeof *node);

        node->number = new_number(i);
        hidden[i] = hide(node->number);
        node->index = i;
        node->next = list;
        list = node;
    }
    return list;
}

static void check(const struct node *list)
{
    size_t count = 0;

    for (; list != NULL; list = list->next, count++)
        cr_assert_eq(*list->number, list->index);
    cr_assert_eq(count, OBJECTS);
}

/* ---- Objects ------------------------------------------------------------------------- */

Test(arena, objects_are_aligned_zeroed_and_apart)
{
    struct gc_arena *arena = gc_arena_new();
    static char *object[500];

    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < 500; i++) {
            object[i] = gc_arena_malloc(arena, i);
            cr_assert_eq((uintptr_t)object[i] % 16, 0);
            for (size_t j = 0; j < i; j++)
                cr_assert_eq(object[i][j], 0);
            memset(object[i], (int)(i % 255 + 1), i);
        }
        for (size_t i = 0; i < 500; i++)
            for (size_t j = 0; j < i; j++)
                cr_assert_eq(object[i][j], (char)(i % 255 + 1));
        gc_arena_release(arena);
    }
}

Test(arena, large_objects_are_served_too)
{
    struct gc_arena *arena = gc_arena_new();
    char *large = gc_arena_malloc(arena, 3 << 20), *small = gc_arena_malloc(arena, 10);
    char *atomic = gc_arena_malloc_atomic(arena, 3 << 20);

    memset(large, 1, 3 << 20);
    memset(atomic, 2, 3 << 20);
    cr_assert_eq(*small, 0);
    gc_collect();
    cr_assert_eq(large[(3 << 20) - 1], 1);
    cr_assert_geq(gc_arena_bytes(arena), 6 << 20);
    gc_arena_release(arena);
    cr_assert_leq(gc_arena_bytes(arena), 64 << 10);
}

Test(arena, a_size_that_no_heap_holds_is_ENOMEM)
{
    struct gc_arena *arena = gc_arena_new();
    volatile size_t most = SIZE_MAX;

    for (size_t less = 0; less < 40; less += 13) {
        errno = 0;
        cr_assert_null(gc_arena_malloc(arena, most - less));
        cr_assert_eq(errno, ENOMEM);
    }
    cr_assert_not_null(gc_arena_malloc(arena, 8));
}

/* ---- Reachability ---------------------------------------------------------------------- */

Test(arena, objects_keep_what_they_point_at)
{
    struct node *list;

    global_arena = gc_arena_new();
    list = fill(global_arena);
    clear_stack();
    gc_collect();
    overwrite_free_cells();
    check(list);
}

Test(arena, a_pointer_to_one_object_is_enough_to_keep_it)
{
    struct node *volatile list = fill(gc_arena_new());

    gc_collect();
    overwrite_free_cells();
    check(list);
}

Test(arena, one_that_nothing_points_at_is_collected)
{
    fill(gc_arena_new());
    collect_with_clear_stack();
    cr_assert_leq(count_alive(hidden, OBJECTS), OBJECTS / 10);
}

Test(arena, what_was_released_keeps_nothing)
{
    global_arena = gc_arena_new();
    fill(global_arena);
    gc_arena_release(global_arena);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(hidden, OBJECTS), OBJECTS / 50);
}

Test(arena, memory_is_used_again_at_once)
{
    struct gc_stats before, after;

    without_stress();
    global_arena = gc_arena_new();
    gc_disable();
    for (unsigned i = 0; i < 10; i++) {
        fill(global_arena);
        gc_arena_release(global_arena);
    }
    gc_collect();
    gc_get_stats(&before, sizeof before);
    for (unsigned i = 0; i < 1000; i++) {
        *(char *)gc_arena_malloc(global_arena, 100000) = 1;
        for (unsigned j = 0; j < 1000; j++)
            *(char *)gc_arena_malloc(global_arena, 64) = 1;
        gc_arena_release(global_arena);
    }
    gc_get_stats(&after, sizeof after);
    cr_assert_eq(after.collections, before.collections);
    cr_assert_leq(after.heap_bytes, before.heap_bytes + (2 << 20));
}

/* ---- Pointers that still lead in ----------------------------------------------------------- */

static struct node *volatile leak;

static __attribute__((noinline)) void fill_and_leak(struct gc_arena *arena, bool leaks)
{
    struct node *list = fill(arena);

    leak = leaks ? list : NULL;
}

Test(arena, a_checked_release_finds_nothing_where_nothing_is)
{
    global_arena = gc_arena_new();
    fill_and_leak(global_arena, false);
    clear_stack();
    cr_assert_leq(gc_arena_release_checked(global_arena), 1, "a stale word at most");
    check(fill(global_arena));
}

Test(arena, a_checked_release_finds_pointers_and_keeps_what_they_lead_to)
{
    global_arena = gc_arena_new();
    fill_and_leak(global_arena, true);
    cr_assert_geq(gc_arena_release_checked(global_arena), 1);
    check(fill(global_arena));
    overwrite_free_cells();
    check(leak);
}

static void release_with_leak(void)
{
    setenv("BROOM_CHECK_ARENAS", "1", 1);
    global_arena = gc_arena_new();
    fill_and_leak(global_arena, true);
    gc_arena_release(global_arena);
}

static void release_without_leak(void)
{
    setenv("BROOM_CHECK_ARENAS", "1", 1);
    global_arena = gc_arena_new();
    leak = gc_arena_malloc(global_arena, 100);
    leak = NULL;
    clear_stack();
    gc_arena_release(global_arena);
}

Test(arena, the_option_tells_of_pointers_that_still_lead_in)
{
    struct child child = child_run(release_with_leak);

    cr_assert(child_returned(&child));
    cr_assert(child_wrote(&child, "gc_arena_release: something still points into"));
    child = child_run(release_without_leak);
    cr_assert(child_returned(&child));
    cr_assert_eq(child.length, 0, "%s", child.text);
}

/* ---- What belongs to an arena or a pool ------------------------------------------------------- */

static void *object_of_an_arena;

static void free_it(void)
{
    gc_free(object_of_an_arena);
}

static void resize_it(void)
{
    object_of_an_arena = gc_realloc(object_of_an_arena, 100000);
}

static void ask_for_its_size(void)
{
    gc_usable_size(object_of_an_arena);
}

static void check_misuse(void (*misuse)(void), const char *name)
{
    struct child child = child_run(misuse);

    cr_assert(child_aborted(&child), "%s: %s", name, child.text);
    cr_assert(child_wrote(&child, name), "%s: %s", name, child.text);
}

static void check_misuses(void *object)
{
    object_of_an_arena = object;
    check_misuse(free_it, "gc_free");
    check_misuse(resize_it, "gc_realloc");
    check_misuse(ask_for_its_size, "gc_usable_size");
}

Test(arena, to_free_one_object_or_resize_it_is_a_misuse)
{
    global_arena = gc_arena_new();
    check_misuses(gc_arena_malloc(global_arena, 16));
    check_misuses(gc_arena_malloc_atomic(global_arena, 3000));
    check_misuses(gc_arena_malloc(global_arena, 16));
}

Test(pool, to_free_one_object_or_resize_it_is_a_misuse)
{
    struct gc_pool *pool = gc_pool_new(24);

    check_misuses(gc_pool_get(pool));
    check_misuses(gc_pool_get(pool));
}

/* ---- Pools ------------------------------------------------------------------------------------ */

Test(pool, what_is_given_back_comes_again_zeroed)
{
    struct gc_pool *pool = gc_pool_new(40);
    char *first = gc_pool_get(pool), *second = gc_pool_get(pool);

    cr_assert_neq(first, second);
    memset(first, 1, 40);
    memset(second, 2, 40);
    gc_pool_put(pool, first);
    gc_pool_put(pool, NULL);
    cr_assert_eq(gc_pool_get(pool), first);
    for (size_t i = 0; i < 40; i++)
        cr_assert_eq(first[i], 0);
    cr_assert_eq(second[39], 2);
    cr_assert_neq(gc_pool_get(pool), first);
}

Test(pool, what_is_given_back_keeps_nothing)
{
    static struct gc_pool *volatile pool;
    static struct node *node[OBJECTS];

    pool = gc_pool_new(sizeof(struct node));
    for (size_t i = 0; i < OBJECTS; i++) {
        node[i] = gc_pool_get(pool);
        node[i]->number = new_number(i);
        hidden[i] = hide(node[i]->number);
    }
    gc_collect();
    cr_assert_eq(count_alive(hidden, OBJECTS), OBJECTS);
    for (size_t i = 0; i < OBJECTS; i++)
        gc_pool_put(pool, node[i]);
    collect_with_clear_stack();
    cr_assert_leq(count_alive(hidden, OBJECTS), OBJECTS / 50);
}

static void give_back_twice(void)
{
    struct gc_pool *pool;
    char *first, *second;

    setenv("BROOM_CHECK_ARENAS", "1", 1);
    pool = gc_pool_new(24);
    first = gc_pool_get(pool);
    second = gc_pool_get(pool);
    gc_pool_put(pool, first);
    gc_pool_put(pool, second);
    gc_pool_put(pool, first);
}

static void give_back_once(void)
{
    struct gc_pool *pool;
    void *object[100];

    setenv("BROOM_CHECK_ARENAS", "1", 1);
    pool = gc_pool_new(24);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++)
            object[i] = gc_pool_get(pool);
        for (int i = 0; i < 100; i++)
            gc_pool_put(pool, object[i]);
    }
}

Test(pool, to_give_back_twice_is_a_misuse_that_the_option_finds)
{
    struct child child = child_run(give_back_twice);

    cr_assert(child_aborted(&child));
    cr_assert(child_wrote(&child, "gc_pool_put"));
    child = child_run(give_back_once);
    cr_assert(child_returned(&child), "%s", child.text);
}

Test(pool, release_takes_all)
{
    struct gc_pool *pool = gc_pool_new(1);

    for (size_t i = 0; i < 10 * OBJECTS; i++)
        *(char *)gc_pool_get(pool) = 1;
    gc_pool_put(pool, gc_pool_get(pool));
    gc_pool_release(pool);
    cr_assert_not_null(gc_pool_get(pool));
}

static void release_pool_with_leak(void)
{
    struct gc_pool *pool;

    setenv("BROOM_CHECK_ARENAS", "1", 1);
    pool = gc_pool_new(40);
    leak = gc_pool_get(pool);
    gc_pool_release(pool);
}

Test(pool, the_option_tells_of_pointers_that_still_lead_in)
{
    struct child child = child_run(release_pool_with_leak);

    cr_assert(child_returned(&child));
    cr_assert(child_wrote(&child, "gc_pool_release: something still points into"), "%s", child.text);
}

/* ---- Threads ------------------------------------------------------------------------------------ */

static void *fill_and_release(void *argument)
{
    struct gc_arena *arena = gc_arena_new();
    struct gc_pool *pool = gc_pool_new(sizeof(struct node));
    struct node *kept[64] = {NULL};

    (void)argument;
    for (size_t round = 0; round < effort(200); round++) {
        struct node *list = NULL;

        for (size_t i = 0; i < 500; i++) {
            struct node *node = gc_arena_malloc(arena, sizeof *node);
            struct node **slot = &kept[i % 64];

            node->number = new_number(i);
            node->index = i;
            node->next = list;
            list = node;
            if (*slot != NULL && *(*slot)->number != (*slot)->index)
                return argument;
            gc_pool_put(pool, *slot);
            *slot = gc_pool_get(pool);
            (*slot)->number = new_number(i);
            (*slot)->index = i;
        }
        for (; list != NULL; list = list->next)
            if (*list->number != list->index)
                return argument;
        gc_arena_release(arena);
    }
    return NULL;
}

Test(arena, each_thread_may_have_its_own)
{
    pthread_t thread[4];

    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, fill_and_release, &thread), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(thread[i], &failed);
        cr_assert_null(failed);
    }
}
