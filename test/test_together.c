/* test_together.c - all that a runtime uses, at once: each thread does random things
 * with objects of which it knows what may have become of them, and checks it. Weak
 * pointers of every sort, a map, finalizers that do all that they may, coroutines that
 * are resumed or forgotten, arenas, pools, threads that come and go. */
#include "test/effort.h"

#include <broom/runtime.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { THREADS = 3, SLOTS = 96, COROUTINES = 12, REVIVED = 32, STACK_BYTES = 64 << 10 };

struct object {
    uint64_t id, check; /* check: the id, complemented */
    struct object *leaf;
    struct object *other; /* of which nothing is known */
};

/* What is known of an object, in memory where the collector does not look. */
struct record {
    void *early, *late; /* links */
    atomic_bool held;   /* by its slot */
    bool freed;         /* with gc_free */
    atomic_uint registered, finalized;
    uint64_t id;
    struct record *next;
};

struct slot {
    struct object *object; /* NULL: it was dropped */
    gc_weak_ref *ref;
    gc_ephemeron *ephemeron;
    struct record *record; /* no object */
};

struct coroutine {
    ucontext_t context;
    struct gc_stack *stack;
    struct worker *worker;
    uint64_t seed;
};

struct worker {
    struct slot slot[SLOTS];
    struct coroutine *coroutine[COROUTINES];
    struct gc_stack *own_stack;
    ucontext_t own;
    struct gc_arena *arena;
    struct gc_pool *pool;
    struct object *in_arena, *in_pool;
    uint64_t random;
};

static gc_kind *exact, *traced;
static gc_weak_map *map;
static gc_finalizer_queue *queue;
static ucontext_t blank;
static struct object *_Atomic revived[REVIVED];
static atomic_size_t registered, finalized, made, threads_made;
static atomic_size_t next_id;
static struct record *_Atomic records;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "not so: %s\n", what);
    abort(); /* Criterion's assertions are for the first thread */
}

static size_t below(uint64_t *random, size_t limit)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return (size_t)((*random >> 11) % limit);
}

static bool is_whole(const struct object *object)
{
    return object->check == ~object->id && object->leaf->check == ~object->leaf->id &&
           object->leaf->id == object->id + 1;
}

static struct object *fill(struct object *object, uint64_t id)
{
    struct object *leaf = gc_malloc_atomic(sizeof *leaf);

    require(object != NULL && leaf != NULL && object->id == 0 && object->leaf == NULL, "it is new");
    leaf->id = id + 1;
    leaf->check = ~leaf->id;
    object->leaf = leaf;
    object->id = id;
    object->check = ~id;
    return object;
}

static struct object *new_object(uint64_t *random)
{
    uint64_t id = 2 * ++next_id;

    made++;
    switch (below(random, 8)) {
    case 0: return fill(gc_new(exact), id);
    case 1: return fill(gc_new(traced), id);
    case 2: return fill(gc_malloc(40000), id);
    default: return fill(gc_malloc(sizeof(struct object)), id);
    }
}

static void trace(void *address, size_t bytes, gc_tracer *tracer, void *data)
{
    const struct object *object = address;

    (void)bytes, (void)data;
    gc_trace_pointer(tracer, object->leaf);
    gc_trace_pointer(tracer, object->other);
}

/* ---- Finalizers ------------------------------------------------------------------------ */

static bool is_to_detach(const struct object *object)
{
    return object->id % 4 == 0;
}

static void *live_shortly(void *object)
{
    struct object *fresh = fill(gc_malloc(sizeof *fresh), 2 * ++next_id);

    if (is_to_detach(object)) /* itself: for others it may be too late (glibc 2.36) */
        pthread_detach(pthread_self());
    for (size_t i = 0; i < 50; i++)
        fresh->other = gc_malloc(64);
    require(is_whole(fresh) && is_whole(object), "what a new thread has is whole");
    return NULL;
}

static void start_thread(struct object *object)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, live_shortly, object) != 0)
        return;
    threads_made++;
    if (!is_to_detach(object))
        pthread_join(thread, NULL);
}

static void finalize(void *address, void *data)
{
    struct object *object = address;
    struct record *record = data;
    uint64_t random = (object->id + record->finalized) * UINT64_C(0x9e3779b97f4a7c15) | 1;

    require(is_whole(object) && object->id == record->id, "what is finalized is whole");
    require(!record->held && !record->freed, "it was dropped");
    require(record->early == NULL, "early links are cleared by then");
    require(record->late == NULL || record->late == object, "late ones lead to the object");
    require(++record->finalized <= record->registered, "each registration runs once");
    finalized++;
    switch (below(&random, 24)) {
    case 0:
    case 1: atomic_store(&revived[below(&random, REVIVED)], object); break;
    case 2:
    case 3:
        record->registered++;
        registered++;
        require(gc_set_finalizer_in(queue, object, finalize, record, GC_FINALIZE_UNORDERED) == 0, "again");
        break;
    case 4:
    case 5: object->other = new_object(&random); break;
    case 6: gc_run_finalizers(queue, 3); break;
    default: break;
    }
    if (below(&random, 100) == 0)
        below(&random, 2) == 0 ? gc_collect() : start_thread(object);
    require(is_whole(object), "it still is");
}

static void look_at_revived(uint64_t *random)
{
    struct object *object = atomic_load(&revived[below(random, REVIVED)]);

    require(object == NULL || is_whole(object), "what came back is whole");
    if (below(random, 4) == 0)
        atomic_store(&revived[below(random, REVIVED)], NULL);
}

/* ---- Objects ----------------------------------------------------------------------------- */

static void drop(struct slot *slot)
{
    slot->record->held = false;
    slot->object = NULL;
}

static void attach(struct slot *slot, uint64_t *random)
{
    struct object *object = slot->object, *value = new_object(random);
    struct record *record = slot->record;

    value->other = object; /* it leads to its key */
    require(gc_weak_link(&record->early, object, GC_CLEAR_EARLY) == 0, "link");
    require(gc_weak_link(&record->late, object, GC_CLEAR_LATE) == 0, "link");
    slot->ref = gc_weak_ref_new(object, (uint32_t)below(random, 2));
    slot->ephemeron = gc_ephemeron_new(object, value);
    require(slot->ref != NULL && slot->ephemeron != NULL && gc_weak_map_put(map, object, value) == 0, "attach");
    if (below(random, 3) == 0)
        return;
    record->registered = 1;
    registered++;
    require(gc_set_finalizer_in(queue, object, finalize, record, (uint32_t)below(random, 2)) == 0, "register");
}

/* The records of what died are never used again: that is checked to the end. */
static struct record *new_record(void)
{
    struct record *record = calloc(1, sizeof *record);

    require(record != NULL, "a record");
    record->next = records;
    while (!atomic_compare_exchange_weak(&records, &record->next, record))
        ;
    return record;
}

static void replace(struct worker *worker, struct slot *slot)
{
    if (slot->object != NULL)
        drop(slot);
    slot->record = new_record();
    slot->object = new_object(&worker->random);
    slot->record->id = slot->object->id;
    slot->record->held = true;
    attach(slot, &worker->random);
    if (below(&worker->random, 3) == 0) /* somebody whose finalizer may have to wait */
        slot->object->other = worker->slot[below(&worker->random, SLOTS)].object;
}

static void check_held(const struct slot *slot)
{
    const struct object *object = slot->object, *value = gc_ephemeron_value(slot->ephemeron),
                        *mapped = gc_weak_map_get(map, object);

    require(is_whole(object) && object->id == slot->record->id, "what is held is whole");
    require(slot->record->early == object && slot->record->late == object, "links to it stand");
    require(gc_weak_ref_get(slot->ref) == object, "references, too");
    require(gc_ephemeron_key(slot->ephemeron) == object && value != NULL && is_whole(value), "its ephemeron");
    require(value->other == object && mapped != NULL && is_whole(mapped) && mapped->other == object, "its entry");
    require(slot->record->finalized == 0, "it is not finalized");
}

/* It may live, as others may lead to it. */
static void check_dropped(const struct slot *slot)
{
    const struct object *object = gc_weak_ref_get(slot->ref), *value = gc_ephemeron_value(slot->ephemeron);

    require(object == NULL || (is_whole(object) && object->id == slot->record->id),
            "what a reference leads to is whole");
    require(value == NULL || is_whole(value), "what an ephemeron leads to is whole");
    object = __atomic_load_n(&slot->record->late, __ATOMIC_RELAXED);
    require(object == NULL || is_whole(object), "what a link leads to is whole");
}

static void check(const struct slot *slot)
{
    if (slot->record == NULL)
        return;
    if (slot->object != NULL)
        check_held(slot);
    else
        check_dropped(slot);
}

/* To where nobody looks who has led to it. */
static void resize(struct slot *slot, uint64_t *random)
{
    struct object *object = gc_realloc(slot->object, below(random, 4) == 0 ? 70000 : 32 + below(random, 500));

    require(object != NULL, "resize");
    slot->object = object;
    ((struct object *)gc_ephemeron_value(slot->ephemeron))->other = object;
    ((struct object *)gc_weak_map_get(map, object))->other = object;
}

static void put_again(struct slot *slot)
{
    require(gc_weak_map_remove(map, slot->object) != NULL, "remove");
    require(gc_weak_map_put(map, slot->object, gc_ephemeron_value(slot->ephemeron)) == 0, "put");
}

/* Only what nobody else may lead to may be freed. */
static void make_and_free(uint64_t *random)
{
    struct slot slot = {.object = new_object(random), .record = calloc(1, sizeof *slot.record)};

    slot.record->id = slot.object->id;
    slot.record->held = true;
    attach(&slot, random);
    check_held(&slot);
    registered -= slot.record->registered;
    slot.record->freed = true;
    gc_free(slot.object);
    require(slot.record->early == NULL && slot.record->late == NULL && gc_weak_ref_get(slot.ref) == NULL, "cleared");
    require(gc_ephemeron_value(slot.ephemeron) == NULL, "broken");
    free(slot.record);
}

/* ---- Coroutines ------------------------------------------------------------------------------ */

static void leave(struct coroutine *self)
{
    struct worker *worker = self->worker;

    gc_stack_switch(self->stack, worker->own_stack);
    swapcontext(&self->context, &worker->own);
}

/* What it has lies on its stack alone. */
static void body(unsigned high, unsigned low)
{
    struct coroutine *self = (struct coroutine *)((uintptr_t)high << 32 | low); /* NOLINT: makecontext has ints */
    struct object *volatile own = new_object(&self->seed);

    for (;;) {
        leave(self);
        require(is_whole(own), "what a coroutine has is whole");
        if (below(&self->seed, 2) == 0)
            own = new_object(&self->seed);
        if (below(&self->seed, 500) == 0)
            gc_collect();
    }
}

static struct coroutine *new_coroutine(struct worker *worker)
{
    struct coroutine *made_now = gc_malloc(sizeof *made_now);
    void *memory;
    size_t bytes;

    made_now->stack = gc_stack_new(STACK_BYTES, &memory, &bytes);
    require(made_now->stack != NULL, "a stack");
    made_now->worker = worker;
    made_now->seed = worker->random | 1;
    made_now->context = blank;
    made_now->context.uc_stack.ss_sp = memory;
    made_now->context.uc_stack.ss_size = bytes;
    makecontext(&made_now->context, (void (*)(void))(uintptr_t)body, 2, (unsigned)((uintptr_t)made_now >> 32),
                (unsigned)(uintptr_t)made_now);
    return made_now;
}

static void run_coroutine(struct worker *worker)
{
    struct coroutine **coroutine = &worker->coroutine[below(&worker->random, COROUTINES)];

    if (*coroutine == NULL || below(&worker->random, 20) == 0)
        *coroutine = new_coroutine(worker); /* the one before is forgotten halfway */
    gc_stack_switch(worker->own_stack, (*coroutine)->stack);
    swapcontext(&worker->own, &(*coroutine)->context);
}

/* ---- Arenas and pools -------------------------------------------------------------------------- */

static void use_arena(struct worker *worker)
{
    struct object *object;

    for (object = worker->in_arena; object != NULL; object = object->other)
        require(is_whole(object), "what lies in an arena is whole");
    if (below(&worker->random, 20) == 0) {
        worker->in_arena = NULL;
        gc_arena_release(worker->arena);
    }
    object = fill(gc_arena_malloc(worker->arena, sizeof *object), 2 * ++next_id);
    object->other = worker->in_arena;
    worker->in_arena = object;
}

static void use_pool(struct worker *worker)
{
    struct object *object = worker->in_pool;

    if (object != NULL && below(&worker->random, 2) == 0) {
        require(is_whole(object), "what lies in a pool is whole");
        worker->in_pool = object->other;
        gc_pool_put(worker->pool, object);
        return;
    }
    object = fill(gc_pool_get(worker->pool), 2 * ++next_id);
    object->other = worker->in_pool;
    worker->in_pool = object;
}

/* ---- Threads ------------------------------------------------------------------------------------- */

static void do_rare_thing(struct worker *worker)
{
    switch (below(&worker->random, 8)) {
    case 0: gc_collect(); break;
    case 1: gc_collect_and_finalize(queue); break;
    case 2: start_thread(new_object(&worker->random)); break;
    case 3: gc_step(100000); break;
    case 4: worker->arena = gc_arena_new(), worker->in_arena = NULL; break;
    case 5: worker->pool = gc_pool_new(sizeof(struct object)), worker->in_pool = NULL; break;
    default: gc_run_finalizers(queue, SIZE_MAX); break;
    }
}

static void do_something(struct worker *worker)
{
    struct slot *slot = &worker->slot[below(&worker->random, SLOTS)];

    check(slot);
    switch (below(&worker->random, 16)) {
    case 0:
    case 1:
    case 2:
    case 3: replace(worker, slot); break;
    case 4:
    case 5:
        if (slot->object != NULL)
            drop(slot);
        break;
    case 6:
        if (slot->object != NULL)
            put_again(slot);
        break;
    case 7: make_and_free(&worker->random); break;
    case 8:
    case 9: run_coroutine(worker); break;
    case 10: use_arena(worker); break;
    case 11: use_pool(worker); break;
    case 12: look_at_revived(&worker->random); break;
    case 13:
        if (slot->object != NULL)
            resize(slot, &worker->random);
        break;
    default:
        if (below(&worker->random, 200) == 0)
            do_rare_thing(worker);
    }
}

static size_t steps;

static void *work(void *seed)
{
    struct worker *worker = gc_malloc(sizeof *worker);

    worker->random = (uint64_t)(uintptr_t)seed * 7919 + 1;
    worker->own_stack = gc_stack_of_thread();
    worker->arena = gc_arena_new();
    worker->pool = gc_pool_new(sizeof(struct object));
    for (size_t i = 0; i < steps; i++)
        do_something(worker);
    for (size_t i = 0; i < SLOTS; i++) {
        check(&worker->slot[i]);
        if (worker->slot[i].object != NULL)
            drop(&worker->slot[i]);
    }
    memset(worker, 0, sizeof *worker);
    return NULL;
}

static void ignore_cycle(void *object)
{
    require(is_whole(object), "what is in a cycle is whole");
    ((struct object *)object)->other = NULL;
}

static void make_kinds(void)
{
    static const uint64_t pointers = GC_POINTER_AT(struct object, leaf) | GC_POINTER_AT(struct object, other);
    struct gc_kind_options options = {
        .tracing = GC_TRACE_LAYOUT, .exact = 1, .bytes = sizeof(struct object), .pointers = &pointers};

    exact = gc_kind_new(&options, sizeof options);
    options = (struct gc_kind_options){.tracing = GC_TRACE_CALLBACK, .bytes = sizeof(struct object), .trace = trace};
    traced = gc_kind_new(&options, sizeof options);
    cr_assert(exact != NULL && traced != NULL);
}

/* What was dropped is gone, and what is finalized was, once. */
static void check_records(void)
{
    size_t all = 0, linked = 0;

    for (const struct record *record = records; record != NULL; record = record->next) {
        all++;
        linked += record->late != NULL;
        cr_assert_leq(record->finalized, record->registered);
    }
    cr_assert_leq(linked, all / 20, "%zu of %zu", linked, all);
}

static __attribute__((constructor)) void note_blank_context(void)
{
    getcontext(&blank);
}

static void run(uint32_t mode)
{
    pthread_t thread[THREADS];
    uintptr_t seed = (uintptr_t)number_from_environment("TEST_SEED", 1);

    steps = effort((size_t)number_from_environment("TEST_STEPS", 30000));
    make_kinds();
    map = gc_weak_map_new(GC_WEAK_KEYS, NULL, NULL);
    queue = gc_finalizer_queue_new(mode);
    gc_set_finalizer_cycle_report(ignore_cycle);
    for (size_t i = 0; i < THREADS; i++)
        cr_assert(pthread_create(&thread[i], NULL, work, (void *)(seed * THREADS + i)) == 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    for (size_t i = 0; i < REVIVED; i++)
        atomic_store(&revived[i], NULL);
    for (size_t i = 0; i < 20 && finalized < registered; i++)
        gc_collect_and_finalize(queue);
    cr_assert(finalized >= registered - registered / 20, "%zu of %zu", (size_t)finalized, (size_t)registered);
    cr_assert_leq(gc_weak_map_count(map), THREADS * SLOTS);
    check_records();
}

Test(together, on_demand, .timeout = 300)
{
    run(GC_FINALIZE_ON_DEMAND);
}

Test(together, at_allocation, .timeout = 300)
{
    run(GC_FINALIZE_AT_ALLOCATION);
}

Test(together, in_a_thread, .timeout = 300)
{
    run(GC_FINALIZE_IN_THREAD);
}

Test(together, beside_the_program, .timeout = 300)
{
    const struct gc_options options = {.pause_target_us = 100, .growth_percent = 20};
    static void **ballast[40000];

    cr_assert_eq(gc_init_options(&options, sizeof options), 0);
    for (size_t i = 0; i < 40000; i++)
        ballast[i] = gc_malloc(1000);
    run(GC_FINALIZE_AT_ALLOCATION);
    cr_assert_not_null(ballast[0]);
}
