/* test_together_calls.c - all that calls the program back, at once: finalizers that leave or
 * end their thread, the callback of events, visits of maps and of the heap; with objects of
 * tagged words, of elements and without pointers, under a soft limit. */
#include "test/effort.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 3, SLOTS = 64, ELEMENTS = 5, TAG = 5, TAG_MASK = 7 };

struct leaf {
    uint64_t id, check; /* check: the id, complemented */
};

struct object {
    uint64_t id;
    uintptr_t tagged; /* a leaf, in objects without elements */
    struct {
        uint64_t id;
        struct leaf *leaf;
    } element[];
};

static gc_kind *tagged_kind, *array_kind, *leaf_kind;
static gc_finalizer_queue *queue;
static gc_weak_map *map;
static atomic_size_t next_id, registered, finalized, taken, left, ended, told, visited, walks;
static atomic_bool over;
static _Thread_local jmp_buf *way_out;
static _Thread_local bool may_end;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort(); /* Criterion's assertions are for the first thread */
}

/* ---- Objects -------------------------------------------------------------------------------- */

static void make_kinds(void)
{
    static const uint64_t second = 2;
    struct gc_kind_options options = {
        .tracing = GC_TRACE_LAYOUT, .exact = 1, .bytes = 16, .pointers = &second, .tag_mask = TAG_MASK};

    tagged_kind = gc_kind_new(&options, sizeof options);
    options = (struct gc_kind_options){
        .tracing = GC_TRACE_LAYOUT, .bytes = 16, .element_bytes = 16, .element_pointers = &second};
    array_kind = gc_kind_new(&options, sizeof options);
    options = (struct gc_kind_options){.tracing = GC_TRACE_NOTHING, .bytes = sizeof(struct leaf)};
    leaf_kind = gc_kind_new(&options, sizeof options);
    cr_assert(tagged_kind != NULL && array_kind != NULL && leaf_kind != NULL);
}

static struct leaf *new_leaf(uint64_t id)
{
    struct leaf *leaf = gc_new(leaf_kind);

    *leaf = (struct leaf){id, ~id};
    return leaf;
}

static bool leaf_is_whole(const struct leaf *leaf, uint64_t id)
{
    return leaf->id == id && leaf->check == ~id;
}

static bool is_whole(const struct object *object)
{
    if (gc_kind_of(object) == tagged_kind)
        return leaf_is_whole((struct leaf *)(object->tagged & ~(uintptr_t)TAG_MASK), object->id); /* NOLINT */
    for (size_t i = 0; i < ELEMENTS; i++)
        if (object->element[i].id != object->id + i || !leaf_is_whole(object->element[i].leaf, object->id + i))
            return false;
    return true;
}

static void finalize(void *object, void *data);

static struct object *new_object(void)
{
    uint64_t id = 8 * ++next_id;
    struct object *object = id % 16 == 0 ? gc_new(tagged_kind) : gc_new_array(array_kind, ELEMENTS);

    object->id = id;
    if (id % 16 == 0)
        object->tagged = (uintptr_t)new_leaf(id) | TAG;
    else
        for (size_t i = 0; i < ELEMENTS; i++) {
            object->element[i].id = id + i;
            object->element[i].leaf = new_leaf(id + i);
        }
    registered++;
    require(gc_set_finalizer_in(queue, object, finalize, NULL, id % 5 == 0) == 0, "register");
    require(gc_weak_map_put(map, object, new_leaf(id)) == 0, "put");
    return object;
}

/* ---- What is called back ------------------------------------------------------------------------ */

static void finalize(void *address, void *data)
{
    struct object *object = address;
    uint64_t number = object->id / 8;

    (void)data;
    require(is_whole(object), "what is finalized is whole");
    require(gc_weak_map_get(map, object) == NULL, "it is in no map any more");
    finalized++;
    if (number % 7 == 0) {
        gc_disable();
        new_leaf(1);
        gc_enable();
    }
    if (number % 11 == 0)
        new_object();
    if (number % 499 == 0)
        gc_collect();
    if (number % 13 == 0 && way_out != NULL)
        longjmp(*way_out, 1);
    if (number % 17 == 0 && may_end) {
        ended++;
        pthread_exit(NULL);
    }
}

/* It must return, so what it runs has no way out. */
static void hear(const struct gc_event *event, void *data)
{
    jmp_buf *outer = way_out;
    bool outer_may_end = may_end;

    (void)data;
    told++;
    way_out = NULL;
    may_end = false;
    if (event->sort == GC_EVENT_END) {
        require(is_whole(new_object()), "what a callback makes is whole");
        gc_run_finalizers(queue, 5);
    }
    way_out = outer;
    may_end = outer_may_end;
}

static void visit_entry(void *key, void *value, void *data)
{
    const struct object *object = key;

    (void)data;
    visited++;
    require(is_whole(object) && leaf_is_whole(value, object->id), "an entry is whole");
    if (object->id % 800 == 0)
        new_leaf(2);
}

static bool look(const struct gc_object_info *object, void *data)
{
    ++*(size_t *)data;
    return (uintptr_t)object->start % 16 == 0 && object->bytes > 0 && object->sort <= GC_OBJECT_OF_KIND;
}

static void *walk(void *unused)
{
    while (!over) {
        size_t objects = 0;

        require(gc_for_each_object(look, &objects) && objects > 0, "the heap is whole");
        walks++;
        usleep(1000);
    }
    return unused;
}

/* ---- Threads -------------------------------------------------------------------------------------- */

static void run_and_be_left(void)
{
    jmp_buf out;

    if (setjmp(out) == 0) {
        way_out = &out;
        gc_run_finalizers(queue, 40);
    } else {
        left++;
    }
    way_out = NULL;
}

static void *run_and_end(void *unused)
{
    may_end = true;
    gc_run_finalizers(queue, 40);
    return unused;
}

static void run_in_another_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_and_end, NULL) == 0)
        pthread_join(thread, NULL);
}

static void take_one(void)
{
    void *object;

    if (!gc_take_finalizable(queue, &object, NULL, NULL))
        return;
    require(is_whole(object), "what is taken is whole");
    taken++;
}

static void do_rare_thing(size_t i)
{
    switch (i / 64 % 8) {
    case 0: run_in_another_thread(); break;
    case 1: gc_weak_map_each(map, visit_entry, NULL); break;
    case 2: gc_set_memory_limit((size_t)(8 + i % 32) << 20); break;
    case 3: gc_collect(); break;
    case 4: take_one(); break;
    default: run_and_be_left(); break;
    }
}

static void *work(void *argument)
{
    struct object *slot[SLOTS] = {NULL};
    size_t state = (size_t)argument;

    for (size_t i = 0; i < effort(20000); i++) {
        struct object **one = &slot[(state = state * 1103515245 + 12345) / 65536 % SLOTS];

        if (*one != NULL)
            require(is_whole(*one) && leaf_is_whole(gc_weak_map_get(map, *one), (*one)->id), "what is held is whole");
        *one = new_object();
        if (i % 64 == 0)
            do_rare_thing(i);
    }
    return NULL;
}

static void run_all_threads(void)
{
    pthread_t thread[THREADS], walker;

    cr_assert(pthread_create(&walker, NULL, walk, NULL) == 0);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, work, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    over = true;
    pthread_join(walker, NULL);
}

static void run(enum gc_finalizer_mode mode)
{
    make_kinds();
    map = gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL);
    queue = gc_finalizer_queue_new(mode);
    cr_assert_eq(gc_set_event_callback(GC_EVENT_ALL, hear, NULL), 0);
    run_all_threads();
    cr_assert_eq(gc_set_event_callback(0, hear, NULL), 0);
    for (size_t i = 0; i < 20 && finalized + taken < registered; i++)
        gc_collect_and_finalize(queue);
    cr_assert(finalized + taken <= registered && finalized + taken >= registered - registered / 20,
              "%zu and %zu of %zu", (size_t)finalized, (size_t)taken, (size_t)registered);
    cr_assert(told > 0 && visited > 0 && walks > 0);
}

Test(together_calls, on_demand, .timeout = 300)
{
    run(GC_FINALIZE_ON_DEMAND);
    cr_assert(taken > 0 && left > 0 && ended > 0); /* here nobody else runs them */
}

Test(together_calls, at_allocation, .timeout = 300)
{
    run(GC_FINALIZE_AT_ALLOCATION);
}

Test(together_calls, in_a_thread, .timeout = 300)
{
    run(GC_FINALIZE_IN_THREAD);
}

Test(together_calls, beside_the_program, .timeout = 300)
{
    const struct gc_options options = {.pause_target_us = 100, .growth_percent = 20};
    static void **ballast[20000];

    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
    for (size_t i = 0; i < 20000; i++)
        ballast[i] = gc_malloc(1000);
    run(GC_FINALIZE_AT_ALLOCATION);
    cr_assert_not_null(ballast[0]);
}
