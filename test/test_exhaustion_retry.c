/* test_exhaustion_retry.c - every call that allocates asks the out-of-memory handler for
 * room, and tries again. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/exhaustion.h"

#include <broom/runtime.h>

static unsigned calls;

/* What fills the heap. */
static bool make_room(size_t bytes, void *data)
{
    (void)data;
    REQUIRE(bytes > 0);
    REQUIRE(calls++ == 0);
    drop_list();
    gc_collect();
    return true;
}

static void start(void)
{
    struct gc_options options = {.max_heap = 8 * MIB};

    without_stress();
    unsetenv("BROOM_MAX_HEAP");
    REQUIRE(gc_init_options(&options, sizeof options) == 0);
    start_list();
}

/* To the last cell, as the call may ask for a small one. */
static __attribute__((noinline)) void fill_up(void)
{
    gc_set_oom_handler(NULL, NULL);
    for (size_t bytes = 8 * KIB; bytes >= sizeof(struct node); bytes /= 2)
        while (add_node(bytes))
            continue;
    clear_stack();
    calls = 0;
    gc_set_oom_handler(make_room, NULL);
}

/* A small object may find a cell that is free. */
static void check_call(const char *call, const void *result, unsigned least_calls)
{
    if (result == NULL || calls < least_calls)
        fprintf(stderr, "%s: %s, the handler was called %u times\n", call, result != NULL ? "done" : "failed", calls);
}

static gc_kind *array_kind, *kind;
static void *key, *memory;
static gc_weak_map *map;
static struct gc_arena *arena;
static struct gc_pool *pool;

static void prepare(void)
{
    static const uint64_t first = 1;
    struct gc_kind_options options = {
        .tracing = GC_TRACE_LAYOUT, .bytes = 64, .element_bytes = 8, .element_pointers = &first};

    array_kind = gc_kind_new(&options, sizeof options);
    options = (struct gc_kind_options){.tracing = GC_TRACE_CONSERVATIVE, .bytes = 100 * KIB};
    kind = gc_kind_new(&options, sizeof options);
    key = gc_malloc(16);
    map = gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL);
    arena = gc_arena_new();
    pool = gc_pool_new(5000);
}

/* Each with a heap that is full anew. */
#define CHECK(call) (fill_up(), check_call(#call, call, 1))
#define CHECK_SMALL(call) (fill_up(), check_call(#call, call, 0))

static void call_all(void)
{
    size_t bytes;

    start();
    prepare();
    CHECK(gc_malloc(200 * KIB));
    CHECK(gc_malloc_atomic(200 * KIB));
    CHECK(gc_malloc_uncollectable(200 * KIB));
    CHECK(gc_calloc(200, KIB));
    CHECK(gc_aligned_alloc(64 * KIB, 200 * KIB));
    CHECK(gc_realloc(gc_malloc(64), 200 * KIB));
    CHECK(gc_new(kind));
    CHECK(gc_new_array(array_kind, 30000));
    CHECK(gc_new_bytes(array_kind, 200 * KIB));
    CHECK(gc_arena_malloc(arena, 200 * KIB));
    CHECK(gc_arena_malloc_atomic(arena, 200 * KIB));
    CHECK_SMALL(gc_pool_get(pool));
    CHECK_SMALL(gc_ephemeron_new(key, key));
    CHECK_SMALL(gc_weak_ref_new(key, GC_CLEAR_EARLY));
    CHECK_SMALL(gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL));
    CHECK_SMALL(gc_weak_map_get_or_put(map, key, key));
    CHECK(gc_stack_new(200 * KIB, &memory, &bytes));
    CHECK_SMALL(gc_arena_new());
    CHECK_SMALL(gc_pool_new(64));
}

Test(exhaustion_retry, of_every_call)
{
    check_child(call_all);
}

/* ---- In what calls the program back --------------------------------------------------------------- */

static unsigned called;

static void exhaust(void)
{
    called++;
    CHECK(gc_malloc(MIB));
    gc_set_oom_handler(NULL, NULL);
    drop_list();
}

static void finalize(void *object, void *data)
{
    (void)object, (void)data;
    exhaust();
}

static __attribute__((noinline)) void make_dead(gc_finalizer_queue *queue)
{
    for (unsigned i = 0; i < 10; i++)
        REQUIRE(gc_set_finalizer_in(queue, gc_malloc(64), finalize, NULL, GC_FINALIZE_UNORDERED) == 0);
    clear_stack();
}

static void exhaust_in_finalizers(void)
{
    gc_finalizer_queue *queue;

    start();
    queue = gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND);
    make_dead(queue);
    gc_collect_and_finalize(queue);
    REQUIRE(called >= 8);
}

Test(exhaustion_retry, in_finalizers)
{
    check_child(exhaust_in_finalizers);
}

static void hear(const struct gc_event *event, void *data)
{
    (void)event, (void)data;
    if (called == 0)
        exhaust();
}

static void exhaust_in_a_callback(void)
{
    start();
    gc_set_event_callback(GC_EVENT_END, hear, NULL);
    gc_collect();
    gc_collect();
    REQUIRE(called == 1);
}

Test(exhaustion_retry, in_the_callback_of_an_event)
{
    check_child(exhaust_in_a_callback);
}
