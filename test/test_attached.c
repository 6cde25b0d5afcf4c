/* test_attached.c - kinds, weak pointers, ephemerons, maps and finalizers all at once,
 * in a heap that is large enough for collections beside the program, changed by
 * several threads. What each of them leads to must be whole as long as its key, or
 * whoever holds it, lives. */
#include "test/effort.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, KEYS = 64, SLOTS = 256, ITEMS = 5000 };

struct node {
    uint64_t check; /* the id, complemented */
    struct node *left, *right;
    uint64_t id;
    double weight;
    struct node *key;
};

/* Its slots lie outside of the heap. */
struct table {
    struct node **slot;
};

static gc_kind *nodes, *arrays, *tables;
static gc_weak_map *map;
static gc_finalizer_queue *queue;
static atomic_size_t finalized, registered;
static unsigned depth;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort(); /* Criterion's assertions are for the first thread */
}

static const struct node *whole(const struct node *node)
{
    require(node != NULL && node->check == ~node->id, "a node is whole");
    return node;
}

static struct node *new_node(uint64_t id, struct node *key)
{
    struct node *node = gc_new(nodes);

    require(node != NULL && (node->check | node->id) == 0 && node->left == NULL && node->key == NULL, "it is new");
    node->id = id;
    node->key = key;
    node->check = ~id;
    return node;
}

static struct node *new_tree(unsigned levels, uint64_t id)
{
    struct node *node = new_node(id, NULL);

    if (levels > 0) {
        node->left = new_tree(levels - 1, 2 * id);
        node->right = new_tree(levels - 1, 2 * id + 1);
    }
    return node;
}

static void check_tree(const struct node *node, unsigned levels)
{
    whole(node);
    if (levels > 0) {
        check_tree(node->left, levels - 1);
        check_tree(node->right, levels - 1);
    }
}

static void trace_table(void *object, size_t bytes, gc_tracer *tracer, void *data)
{
    struct node **slot = __atomic_load_n(&((struct table *)object)->slot, __ATOMIC_ACQUIRE);

    (void)bytes, (void)data;
    if (slot != NULL)
        gc_trace_range(tracer, slot, slot + SLOTS);
}

/* One in five comes once more. */
static void finalize(void *object, void *data)
{
    struct node *node = object;

    (void)data;
    whole(whole(node)->left);
    finalized++;
    if (node->id % 5 == 0) {
        node->id++;
        node->check = ~node->id;
        gc_set_finalizer_in(queue, node, finalize, NULL, GC_FINALIZE_ORDERED);
    }
}

/* ---- What a thread has ------------------------------------------------------------------ */

struct keyed {
    struct node *key;
    gc_weak_ref *early, *late;
    gc_ephemeron *ephemeron;
};

struct world {
    struct node *tree;
    struct table *table;
    struct node **item; /* an array of a kind */
    struct keyed keyed[KEYS];
    unsigned seed;
};

static size_t below(struct world *world, size_t limit)
{
    return (size_t)rand_r(&world->seed) % limit;
}

static void replace_subtree(struct world *world)
{
    unsigned left = depth, steps = (unsigned)below(world, depth - 3);
    struct node *node = world->tree;

    for (; steps > 0 && left > 4; steps--, left--)
        node = below(world, 2) ? node->left : node->right;
    if (left < 8)
        *(below(world, 2) ? &node->left : &node->right) = new_tree(left - 1, node->id * 2);
}

static void fill_slots(struct world *world)
{
    struct node *node = new_node(below(world, 1000), NULL);

    node->left = new_node(1, NULL);
    __atomic_store_n(&world->table->slot[below(world, SLOTS)], node, __ATOMIC_RELAXED);
    world->item[2 + below(world, ITEMS - 2)] = new_node(2, NULL);
}

static void check_keyed(const struct keyed *keyed)
{
    const struct node *value;

    require(gc_weak_ref_get(keyed->early) == keyed->key && gc_weak_ref_get(keyed->late) == keyed->key, "references");
    value = whole(gc_ephemeron_value(keyed->ephemeron));
    require(value->key == keyed->key, "the ephemeron's value leads to its key");
    value = whole(gc_weak_map_get(map, keyed->key));
    require(value->key == keyed->key, "the map's value leads to its key");
}

static void replace_keyed(struct world *world, struct keyed *keyed)
{
    struct node *key = new_node(below(world, 1000), NULL), *finalizable = new_node(below(world, 1000), NULL);

    keyed->key = key;
    keyed->early = gc_weak_ref_new(key, GC_CLEAR_EARLY);
    keyed->late = gc_weak_ref_new(key, GC_CLEAR_LATE);
    keyed->ephemeron = gc_ephemeron_new(key, new_node(3, key));
    require(gc_weak_map_put(map, key, new_node(4, key)) == 0, "put");
    if (below(world, 4) == 0)
        require(gc_ephemeron_set_value(keyed->ephemeron, new_node(5, key)), "set");
    finalizable->left = new_node(6, NULL);
    require(gc_set_finalizer_in(queue, finalizable, finalize, NULL, (uint32_t)below(world, 2)) == 0, "register");
    registered++;
}

static void free_key(struct keyed *keyed)
{
    struct node *key = keyed->key;

    keyed->key = NULL;
    gc_free(key);
    require(gc_weak_ref_get(keyed->early) == NULL && gc_weak_ref_get(keyed->late) == NULL, "cleared");
    require(gc_ephemeron_value(keyed->ephemeron) == NULL, "broken");
}

static void check_world(const struct world *world)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (world->table->slot[i] != NULL)
            whole(whole(world->table->slot[i])->left);
    for (size_t i = 2; i < ITEMS; i++)
        if (world->item[i] != NULL)
            whole(world->item[i]);
    check_tree(world->tree, 4);
}

static void do_something(struct world *world, size_t i)
{
    struct keyed *keyed = &world->keyed[below(world, KEYS)];

    if (i % 8 == 0)
        replace_subtree(world);
    fill_slots(world);
    if (keyed->key != NULL)
        check_keyed(keyed);
    if (below(world, 3) == 0)
        replace_keyed(world, keyed);
    if (keyed->key != NULL && below(world, 50) == 0)
        free_key(keyed);
    if (i % 1000 == 0)
        gc_run_finalizers(queue, 1000);
}

static void *work(void *seed)
{
    struct world *world = gc_malloc(sizeof *world);

    *world = (struct world){.seed = (unsigned)(uintptr_t)seed};
    world->tree = new_tree(depth, 1);
    world->table = gc_new(tables);
    __atomic_store_n(&world->table->slot, calloc(SLOTS, sizeof(struct node *)), __ATOMIC_RELEASE);
    world->item = gc_new_array(arrays, ITEMS);
    for (size_t round = 0; round < 4; round++) {
        for (size_t i = 0; i < effort(12000); i++)
            do_something(world, i);
        check_world(world);
    }
    check_tree(world->tree, depth);
    return NULL;
}

/* ---- The tests --------------------------------------------------------------------------- */

static gc_kind *kind_of(struct gc_kind_options options)
{
    gc_kind *kind = gc_kind_new(&options, sizeof options);

    cr_assert_not_null(kind);
    return kind;
}

static bool is_slow(void)
{
    return is_stressed() || is_sanitized();
}

static void start(uint32_t mode)
{
    static const uint64_t one = 1, pointers = GC_POINTER_AT(struct node, left) | GC_POINTER_AT(struct node, right) |
                                              GC_POINTER_AT(struct node, key);

    nodes = kind_of((struct gc_kind_options){
        .tracing = GC_TRACE_LAYOUT, .exact = 1, .bytes = sizeof(struct node), .pointers = &pointers});
    arrays = kind_of((struct gc_kind_options){
        .tracing = GC_TRACE_LAYOUT, .element_bytes = sizeof(struct node *), .element_pointers = &one});
    tables = kind_of(
        (struct gc_kind_options){.tracing = GC_TRACE_CALLBACK, .bytes = sizeof(struct table), .trace = trace_table});
    map = gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL);
    queue = gc_finalizer_queue_new(mode);
}

static void run_threads(uint32_t mode)
{
    pthread_t thread[THREADS];

    start(mode);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, work, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < 3; i++)
        gc_collect_and_finalize(queue);
    cr_assert(finalized >= registered - registered / 20, "%zu of %zu", (size_t)finalized, (size_t)registered);
    cr_assert_leq(gc_weak_map_count(map), THREADS * KEYS * 2);
}

static void run_beside(uint32_t mode)
{
    const struct gc_options options = {.pause_target_us = 100, .growth_percent = 20};

    depth = is_slow() ? 10 : 18; /* 75 MB: smaller heaps stop the program */
    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
    run_threads(mode);
}

Test(attached, survives_what_should, .timeout = 300)
{
    depth = is_slow() ? 10 : 14;
    run_threads(GC_FINALIZE_ON_DEMAND);
}

Test(attached, survives_what_should_with_collections_beside_the_program, .timeout = 300)
{
    run_beside(GC_FINALIZE_AT_ALLOCATION);
}

Test(attached, survives_what_should_with_a_thread_for_finalizers, .timeout = 300)
{
    run_beside(GC_FINALIZE_IN_THREAD);
}

/* ---- Objects that are resized ---------------------------------------------------------------- */

static void check_finalizable(void *object, void *data)
{
    require(*(size_t *)object == (size_t)data, "it is finalized with the data that it was given");
    finalized++;
}

static __attribute__((noinline)) void attach_and_resize(void **link, gc_ephemeron **ephemeron, size_t number)
{
    size_t *object = gc_malloc(32);

    *object = number;
    require(gc_weak_link(link, object, GC_CLEAR_LATE) == 0, "link");
    require(gc_set_finalizer_in(queue, object, check_finalizable, (void *)number, GC_FINALIZE_ORDERED) == 0, "set");
    *ephemeron = gc_ephemeron_new(object, new_node(number, NULL));
    gc_collect(); /* all of that is old now */
    object = gc_realloc(object, number % 10 == 0 ? 70000 : 400);
    require(gc_ephemeron_set_value(*ephemeron, new_node(number, NULL)), "set");
    if (number % 2 == 0)
        object = NULL;
    for (size_t i = 0; i < 40; i++)
        memset(gc_malloc(i % 2 == 0 ? 400 : sizeof(struct node)), 0x55, sizeof(struct node));
    if (object != NULL)
        whole(gc_ephemeron_value(*ephemeron));
    if (*link != NULL)
        require(*(size_t *)*link == number, "the link leads to its object, or nowhere");
}

/* Minor collections look at what is young alone, and that is what an object is which
 * has moved. Each is audited. */
Test(attached, to_objects_that_are_resized_survives_minor_collections, .timeout = 300)
{
    const struct gc_options options = {.stress = 5};
    void **links = calloc(100, sizeof *links); /* where nobody takes them for pointers */
    gc_ephemeron *ephemeron;

    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
    start(GC_FINALIZE_ON_DEMAND);
    for (size_t i = 0; i < 100; i++) {
        attach_and_resize(&links[i], &ephemeron, i + 1);
        gc_run_finalizers(queue, SIZE_MAX);
    }
    gc_collect_and_finalize(queue);
    cr_assert_geq(finalized, 95);
}
