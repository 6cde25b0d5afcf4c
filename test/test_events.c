/* test_events.c - the program is told of what happens, with no lock held, in order. */
#define _GNU_SOURCE
#include "test/child.h"
#include "test/effort.h"
#include "test/hidden.h"

#include <broom/event.h>
#include <broom/finalizer.h>
#include <broom/limit.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <unistd.h>

enum { MOST = 100000 };

static struct {
    struct gc_event event[MOST];
    size_t count;
    pthread_mutex_t lock;
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(const struct gc_event *event, void *data)
{
    (void)data;
    pthread_mutex_lock(&told.lock);
    if (told.count < MOST)
        told.event[told.count++] = *event;
    pthread_mutex_unlock(&told.lock);
}

static size_t count_of(uint32_t sort)
{
    size_t count = 0;

    for (size_t i = 0; i < told.count; i++)
        count += told.event[i].sort == sort;
    return count;
}

static void make_garbage(size_t objects)
{
    for (size_t i = 0; i < objects; i++)
        *(volatile size_t *)gc_malloc(64) = i;
}

/* ---- Events --------------------------------------------------------------------------- */

Test(events, of_a_collection_come_in_order_with_its_number)
{
    static const uint32_t order[] = {GC_EVENT_BEGIN, GC_EVENT_STOPPED, GC_EVENT_MARKED, GC_EVENT_RESUMED, GC_EVENT_END};
    struct gc_stats stats;

    without_stress();
    gc_collect();
    cr_assert_eq(gc_set_event_callback(0x1f, note, NULL), 0);
    gc_collect();
    gc_collect();
    gc_get_stats(&stats, sizeof stats);
    cr_assert_eq(told.count, 10);
    for (size_t i = 0; i < 10; i++) {
        cr_assert_eq(told.event[i].sort, order[i % 5]);
        cr_assert_eq(told.event[i].collection, stats.collections - 1 + i / 5);
        cr_assert_eq(told.event[i].thread, gettid());
        cr_assert_eq(told.event[i].lost, 0);
        cr_assert(i == 0 || told.event[i].time_ns >= told.event[i - 1].time_ns);
    }
    cr_assert_eq(told.event[9].bytes, stats.live_bytes);
    cr_assert_eq(told.event[9].objects, stats.objects_marked);
    cr_assert_eq(gc_set_event_callback(0, note, NULL), 0);
    gc_collect();
    cr_assert_eq(told.count, 10);
}

/* Whatever way they are made: stops and ends alternate with what they follow, and those that
 * are minor say so. */
Test(events, of_many_collections_alternate)
{
    struct gc_options options = {.pause_target_us = 100, .growth_percent = 20};
    static void **kept[20000];
    bool stopped = false, begun = false;
    size_t minor = 0;
    struct gc_stats stats;

    without_stress();
    gc_init_options(&options, sizeof options);
    gc_set_event_callback(0x1f, note, NULL);
    for (size_t i = 0; i < 600000; i++) {
        void **object = gc_malloc(64 + i % 200);

        if (i < 20000)
            kept[i] = gc_malloc(1000);
        else if (i % 20 == 0)
            kept[i / 20 % 20000][0] = object;
    }
    gc_collect();
    gc_get_stats(&stats, sizeof stats);
    cr_assert_eq(count_of(GC_EVENT_END), stats.collections);
    for (size_t i = 0; i < told.count; i++) {
        const struct gc_event *event = &told.event[i];

        cr_assert_eq(event->lost, 0);
        if (event->sort == GC_EVENT_STOPPED || event->sort == GC_EVENT_RESUMED) {
            cr_assert_eq(stopped, event->sort == GC_EVENT_RESUMED);
            stopped = !stopped;
        } else if (event->sort != GC_EVENT_MARKED) {
            cr_assert(event->sort == GC_EVENT_BEGIN || begun);
            begun = event->sort == GC_EVENT_BEGIN;
            minor += event->sort == GC_EVENT_END && event->minor != 0;
        }
    }
    cr_assert_eq(minor, stats.minor_collections);
}

static void allocate_and_collect(const struct gc_event *event, void *data)
{
    size_t *calls = data;

    make_garbage(1000);
    if (++*calls < 20)
        gc_collect();
    note(event, data);
}

Test(events, may_be_answered_by_allocating_and_collecting)
{
    size_t calls = 0;

    without_stress();
    gc_set_event_callback(GC_EVENT_END, allocate_and_collect, &calls);
    gc_collect();
    cr_assert_eq(calls, 1, "the collection in there is told of later");
    for (size_t i = 1; i < 20; i++)
        gc_note_external(1);
    cr_assert_eq(calls, 20);
    for (size_t i = 1; i < told.count; i++)
        cr_assert_eq(told.event[i].collection, told.event[i - 1].collection + 1);
    gc_set_event_callback(0, allocate_and_collect, &calls);
}

Test(events, of_a_heap_that_grows_and_shrinks)
{
    struct gc_options options = {.decommit_delay_ms = 1};
    void *volatile large;

    without_stress();
    gc_init_options(&options, sizeof options);
    gc_set_event_callback(GC_EVENT_GROWN | GC_EVENT_RELEASED, note, NULL);
    large = memset(gc_malloc(32 << 20), 1, 32 << 20);
    gc_collect();
    cr_assert_geq(count_of(GC_EVENT_GROWN), 1);
    cr_assert_geq(told.event[told.count - 1].bytes, 32 << 20);
    gc_free(large);
    large = NULL;
    for (int i = 0; i < 5; i++) {
        usleep(5000);
        gc_collect();
    }
    cr_assert_geq(count_of(GC_EVENT_RELEASED), 1);
    cr_assert_lt(told.event[told.count - 1].bytes, 8 << 20);
}

static void *live(void *argument)
{
    make_garbage(10);
    return argument;
}

Test(events, of_threads)
{
    pthread_t thread;

    gc_set_event_callback(GC_EVENT_THREAD_BEGIN | GC_EVENT_THREAD_END, note, NULL);
    for (int i = 0; i < 10; i++) {
        pthread_create(&thread, NULL, live, NULL);
        pthread_join(thread, NULL);
    }
    gc_collect();
    cr_assert_eq(count_of(GC_EVENT_THREAD_BEGIN), 10);
    cr_assert_eq(count_of(GC_EVENT_THREAD_END), 10);
    cr_assert_neq(told.event[0].thread, gettid());
}

static void *unregister_and_live(void *argument)
{
    make_garbage(10);
    gc_thread_unregister();
    make_garbage(10);
    return argument;
}

Test(events, of_threads_that_unregister_come_once)
{
    pthread_t thread;

    gc_set_event_callback(GC_EVENT_THREAD_BEGIN | GC_EVENT_THREAD_END, note, NULL);
    pthread_create(&thread, NULL, unregister_and_live, NULL);
    pthread_join(thread, NULL);
    gc_collect();
    cr_assert_eq(count_of(GC_EVENT_THREAD_BEGIN), 1);
    cr_assert_eq(count_of(GC_EVENT_THREAD_END), 1);
}

/* ---- Callbacks that do not return ---------------------------------------------------- */

static bool leaves;

static void end_thread(const struct gc_event *event, void *data)
{
    note(event, data);
    if (leaves)
        pthread_exit(NULL);
}

static void *collect_to_the_end(void *argument)
{
    leaves = true;
    gc_collect();
    return argument;
}

Test(events, go_on_when_a_thread_ends_in_a_callback)
{
    pthread_t thread;
    size_t before;

    without_stress();
    gc_set_event_callback(GC_EVENT_END, end_thread, NULL);
    pthread_create(&thread, NULL, collect_to_the_end, NULL);
    pthread_join(thread, NULL);
    leaves = false;
    before = told.count;
    gc_collect();
    cr_assert_gt(told.count, before);
}

static jmp_buf way_out;
static volatile size_t jumps;

static void jump(const struct gc_event *event, void *data)
{
    note(event, data);
    if (jumps++ == 0)
        longjmp(way_out, 1);
}

Test(events, go_on_when_a_callback_is_left)
{
    without_stress();
    gc_set_event_callback(GC_EVENT_END, jump, NULL);
    setjmp(way_out);
    gc_collect();
    gc_collect();
    cr_assert_eq(jumps, 3);
}

/* ---- Finalizers ------------------------------------------------------------------------ */

static bool telling;
static size_t finalized;

static void leave(void *object, void *data)
{
    (void)object, (void)data;
    cr_assert_not(telling, "a finalizer runs inside of a callback");
    finalized++;
    longjmp(way_out, 1);
}

static __attribute__((noinline)) void make_finalizable(size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(gc_set_finalizer(gc_malloc(64), leave, NULL), 0);
}

static void find_finalizable(const struct gc_event *event, void *data)
{
    telling = true;
    note(event, data);
    if (told.count <= 10) {
        make_finalizable(10);
        collect_with_clear_stack();
    }
    telling = false;
}

/* What a callback finds, as it collects, waits until it has returned. */
Test(events, are_not_ended_by_finalizers_that_leave)
{
    volatile size_t rounds = 0;
    size_t before;

    without_stress();
    gc_set_event_callback(GC_EVENT_END, find_finalizable, NULL);
    setjmp(way_out);
    while (rounds++ < 300)
        gc_collect();
    cr_assert_geq(finalized, 90);
    before = told.count;
    gc_collect();
    cr_assert_gt(told.count, before);
}

Test(events, of_exhaustion)
{
    volatile size_t most = SIZE_MAX / 2;

    gc_set_event_callback(GC_EVENT_OUT_OF_MEMORY, note, NULL);
    errno = 0;
    cr_assert_null(gc_malloc(most));
    cr_assert_eq(errno, ENOMEM);
    cr_assert_eq(told.count, 1);
    cr_assert_eq(told.event[0].bytes, SIZE_MAX / 2);
}

static void *_Atomic report;

/* For which there is no memory. */
static void make_report(const struct gc_event *event, void *data)
{
    note(event, data);
    report = gc_malloc((size_t)event->bytes);
}

/* Or each would be answered by another. */
Test(events, of_exhaustion_in_callbacks_are_none)
{
    volatile size_t most = SIZE_MAX / 2;

    gc_set_event_callback(GC_EVENT_OUT_OF_MEMORY, make_report, NULL);
    for (size_t i = 1; i < 10; i++) {
        cr_assert_null(gc_malloc(most));
        cr_assert_eq(told.count, i);
    }
    cr_assert_null(report);
}

static _Atomic bool blocked, may_go;

static void block(const struct gc_event *event, void *data)
{
    note(event, data);
    blocked = true;
    while (!may_go)
        usleep(1000);
}

static void *collect_once(void *argument)
{
    gc_collect();
    return argument;
}

/* One callback at a time; nobody else waits for it, and what is too much is counted. */
Test(events, that_wait_too_long_are_lost_and_counted)
{
    pthread_t thread;
    uint64_t lost = 0;

    without_stress();
    gc_init();
    gc_set_event_callback(GC_EVENT_END, block, NULL);
    pthread_create(&thread, NULL, collect_once, NULL);
    while (!blocked)
        usleep(1000);
    for (int i = 0; i < 400; i++)
        gc_collect();
    cr_assert_eq(told.count, 1);
    may_go = true;
    pthread_join(thread, NULL);
    gc_collect();
    for (size_t i = 0; i < told.count; i++)
        lost += told.event[i].lost;
    cr_assert_eq(told.count + lost, 402);
    cr_assert_eq(lost, 401 - 256);
}

Test(events, data_is_a_root)
{
    static struct hidden hidden;

    hidden = hide(gc_malloc(64));
    gc_set_event_callback(GC_EVENT_OUT_OF_MEMORY, note, reveal(hidden));
    collect_with_clear_stack();
    cr_assert(is_alive(hidden));
    gc_set_event_callback(0, note, reveal(hidden));
}

static void count_call(const struct gc_event *event, void *data)
{
    (void)event;
    ++*(size_t *)data;
}

Test(events, have_eight_callbacks_at_most)
{
    static size_t calls[9];

    for (int i = 0; i < 8; i++)
        cr_assert_eq(gc_set_event_callback(GC_EVENT_END, count_call, &calls[i]), 0);
    cr_assert_eq(gc_set_event_callback(GC_EVENT_END, count_call, &calls[8]), ENOSPC);
    cr_assert_eq(gc_set_event_callback(GC_EVENT_BEGIN, count_call, &calls[0]), 0, "the same again replaces the set");
    cr_assert_eq(gc_set_event_callback(0, count_call, &calls[8]), 0);
    cr_assert_eq(gc_set_event_callback(1 << 20, count_call, &calls[8]), EINVAL);
    cr_assert_eq(gc_set_event_callback(0, count_call, &calls[7]), 0);
    cr_assert_eq(gc_set_event_callback(GC_EVENT_END, count_call, &calls[8]), 0);
    gc_collect();
    cr_assert_geq(calls[0], 1);
    cr_assert_geq(calls[8], 1);
    cr_assert_eq(calls[7], 0);
}

static void *churn(void *argument)
{
    make_garbage(effort(100000));
    return argument;
}

Test(events, of_many_threads_keep_their_order)
{
    pthread_t thread[4];

    without_stress();
    gc_set_event_callback(GC_EVENT_BEGIN | GC_EVENT_END, note, NULL);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread[i], NULL, churn, NULL);
    for (int i = 0; i < 100; i++)
        gc_collect();
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    cr_assert_geq(told.count, 200);
    for (size_t i = 1; i < told.count; i++)
        if (told.event[i].lost == 0)
            cr_assert_neq(told.event[i].sort, told.event[i - 1].sort);
}
