/* Threads that come and go: the heap neither loses nor keeps anything, and a
 * collection never waits for ever. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/cycle/heap.h"

#include <limits.h>

/* ---- Short threads ------------------------------------------------------------------- */

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t pages = 0;

    REQUIRE(file != NULL && fscanf(file, "%*s %zu", &pages) == 1);
    fclose(file);
    return pages * 4096;
}

struct footprint {
    size_t resident, heap, metadata;
};

static struct footprint footprint(void)
{
    struct gc_stats stats;

    gc_collect();
    gc_get_stats(&stats, sizeof stats);
    return (struct footprint){resident_bytes(), stats.heap_bytes, stats.metadata_bytes};
}

static void require_no_growth(struct footprint before)
{
    struct footprint now = footprint();

    REQUIRE(now.heap <= before.heap + GC_PACE_FLOOR_MUTATORS * GC_PACE_MUTATOR_BYTES + 4 * MIB);
    REQUIRE(now.metadata <= before.metadata + 2 * MIB);
    REQUIRE(is_sanitized() || now.resident <= before.resident + 24 * MIB);
}

static _Atomic unsigned still_running;

static void use_several_classes(void)
{
    uint64_t *object;

    for (size_t bytes = 16; bytes < 3000; bytes = bytes * 5 / 3) {
        object = gc_malloc(bytes);
        REQUIRE(object != NULL);
        require_zero(object, bytes / 8 * 8);
        fill_words(object, bytes, bytes);
        REQUIRE(gc_malloc_atomic(bytes) != NULL);
        gc_free(gc_malloc_uncollectable(bytes));
        check_words(object, bytes, bytes);
    }
}

/* A thread that may be ending is not detached by others: glibc 2.36 then looks at what may
 * be the next one's descriptor. */
static void *be_short(void *which)
{
    size_t number = (uintptr_t)which;

    if (number % 3 == 0)
        REQUIRE(pthread_detach(pthread_self()) == 0);
    use_several_classes();
    still_running--;
    if (number % 2 == 0)
        pthread_exit(gc_malloc(1000));
    return gc_malloc(1000);
}

static void run_short_threads(size_t count)
{
    pthread_t thread;
    void *result;

    for (size_t i = 0; i < count; i++) {
        while (still_running >= 4)
            sched_yield();
        still_running++;
        thread = begin_thread(be_short, (void *)(uintptr_t)i);
        if (i % 3 == 0)
            continue;
        REQUIRE(pthread_join(thread, &result) == 0);
        REQUIRE(gc_base(result) == result);
    }
    while (still_running > 0)
        sched_yield();
}

static void run_and_measure_short_threads(void)
{
    struct footprint before;

    die_after(300);
    run_short_threads(300);
    before = footprint();
    run_short_threads(effort(5000));
    require_no_growth(before);
    gc__heap_audit(&gc__heap);
}

Test(thread_ends, short_threads_leave_nothing)
{
    check_child(run_and_measure_short_threads);
}

static void *use_a_block_of_each(void *unused)
{
    for (size_t bytes = 100; bytes < 1000; bytes *= 3)
        for (size_t used = 0; used < 150 * KIB; used += bytes)
            REQUIRE(gc_malloc(bytes) != NULL);
    return unused;
}

/* No collection finds what a thread forgot. */
static void count_blocks_of_threads(void)
{
    struct gc_stats before, stats;

    die_after(300);
    gc_disable();
    gc_get_stats(&before, sizeof before);
    for (unsigned i = 0; i < 100; i++)
        end_thread(begin_thread(use_a_block_of_each, NULL));
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.bytes_allocated - before.bytes_allocated >= 100 * 450 * KIB);
    REQUIRE(stats.heap_bytes <= before.heap_bytes + (stats.bytes_allocated - before.bytes_allocated) * 21 / 20 + MIB);

    before = stats;
    run_short_threads(1000);
    gc_get_stats(&stats, sizeof stats);
    REQUIRE(stats.heap_bytes <= before.heap_bytes + (stats.bytes_allocated - before.bytes_allocated) * 21 / 20 + MIB);
}

Test(thread_ends, blocks_of_ended_threads_are_used)
{
    check_child(count_blocks_of_threads);
}

/* ---- Destructors ----------------------------------------------------------------------- */

static pthread_key_t early_key, late_key;
static _Atomic unsigned destroyed;

int __cxa_thread_atexit_impl(void (*function)(void *), void *object, void *library);
extern void *__dso_handle;

/* Two objects, that go by themselves. */
struct pair {
    uint64_t *words;
    uint64_t stamp;
};

static struct pair *new_pair(void)
{
    struct pair *pair = gc_malloc(sizeof *pair);

    pair->stamp = new_stamp();
    pair->words = gc_malloc_atomic(400);
    fill_words(pair->words, 400, pair->stamp);
    return pair;
}

/* Sets itself again as often as it may: the last time in the last round. */
static void destroy(pthread_key_t key, struct pair *pair)
{
    check_words(pair->words, 400, pair->stamp);
    use_several_classes();
    if (thread_random_below(16) == 0)
        gc_collect();
    check_words(pair->words, 400, pair->stamp);
    destroyed++;
    pthread_setspecific(key, new_pair());
}

static void destroy_early(void *pair)
{
    destroy(early_key, pair);
}

static void destroy_late(void *pair)
{
    destroy(late_key, pair);
}

static void destroy_as_in_cxx(void *object)
{
    struct pair *pair = *(struct pair **)object;

    use_several_classes();
    check_words(pair->words, 400, pair->stamp);
    *(struct pair **)object = new_pair();
    destroyed++;
}

static void *leave_destructors(void *unused)
{
    static _Thread_local struct pair *kept;

    kept = new_pair();
    __cxa_thread_atexit_impl(destroy_as_in_cxx, &kept, &__dso_handle);
    pthread_setspecific(early_key, new_pair());
    pthread_setspecific(late_key, new_pair());
    if (thread_random_below(2) == 0)
        pthread_exit(NULL);
    return unused;
}

static void end_threads_with_destructors(size_t count)
{
    pthread_t thread[4];

    for (size_t i = 0; i < count; i++) {
        for (unsigned j = 0; j < 4; j++)
            thread[j] = begin_thread(leave_destructors, NULL);
        for (unsigned j = 0; j < 4; j++)
            end_thread(thread[j]);
    }
}

static void allocate_in_destructors(void)
{
    struct footprint before;
    size_t count = effort(300);

    die_after(300);
    REQUIRE(pthread_key_create(&early_key, destroy_early) == 0);
    gc_init();
    REQUIRE(pthread_key_create(&late_key, destroy_late) == 0);
    begin_company(1);
    end_threads_with_destructors(20);
    before = footprint();
    end_threads_with_destructors(count);
    end_company();
    require_no_growth(before);
    REQUIRE(destroyed == (20 + count) * 4 * (2 * PTHREAD_DESTRUCTOR_ITERATIONS + 1));
}

Test(thread_ends, destructors_allocate)
{
    check_child(allocate_in_destructors);
}

/* ---- Cancellation -------------------------------------------------------------------------- */

static int silent_pipe[2];
static _Atomic unsigned cleaned_up;

static void clean_up(void *tree)
{
    check_tree(tree);
    use_several_classes();
    cleaned_up++;
}

static void *allocate_until_cancelled(void *tree)
{
    pthread_cleanup_push(clean_up, tree);
    for (;;) {
        consume_tree(build_tree((unsigned)thread_random_below(3)));
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *read_silence(void *unused)
{
    char byte;

    REQUIRE(read(silent_pipe[0], &byte, 1) == 1);
    return unused;
}

static void *block_until_cancelled(void *tree)
{
    check_tree(tree);
    return gc_thread_blocking(read_silence, NULL);
}

static void cancel_threads(void)
{
    struct footprint before = {0};
    size_t rounds = effort(200);

    die_after(300);
    REQUIRE(pipe(silent_pipe) == 0);
    begin_company(1);
    for (size_t i = 0; i < rounds; i++) {
        pthread_t allocates = begin_thread(allocate_until_cancelled, build_tree(1));
        pthread_t blocks = begin_thread(block_until_cancelled, build_tree(1));
        if (i % 4 == 0)
            sleep_ms(1);
        gc_collect();
        REQUIRE(pthread_cancel(allocates) == 0 && pthread_cancel(blocks) == 0);
        if (i % 3 == 0)
            gc_collect();
        REQUIRE(end_thread(allocates) == PTHREAD_CANCELED && end_thread(blocks) == PTHREAD_CANCELED);
        if (i == rounds / 4)
            before = footprint();
    }
    end_company();
    require_no_growth(before);
    gc__heap_audit(&gc__heap);
}

Test(thread_ends, cancelled)
{
    check_child(cancel_threads);
}

/* The destructor runs after the function was left, and what that was given is no root
 * any more. */
static void *block_with_destructor(void *tree)
{
    pthread_setspecific(early_key, tree);
    return gc_thread_blocking(read_silence, tree);
}

static void allocate_after_blocking(void *tree)
{
    REQUIRE(gc__mutator->held[0] == NULL && gc__mutator->held[1] == NULL);
    consume_tree(tree);
    use_several_classes();
    gc_collect();
    destroyed++;
}

static void cancel_blocking_with_destructors(void)
{
    size_t rounds = effort(100);

    die_after(300);
    REQUIRE(pipe(silent_pipe) == 0);
    REQUIRE(pthread_key_create(&early_key, allocate_after_blocking) == 0);
    begin_company(1);
    for (size_t i = 0; i < rounds; i++) {
        pthread_t blocks = begin_thread(block_with_destructor, build_tree(1));
        if (i % 2 == 0)
            sleep_ms(1);
        REQUIRE(pthread_cancel(blocks) == 0);
        REQUIRE(end_thread(blocks) == PTHREAD_CANCELED);
    }
    end_company();
    REQUIRE(destroyed > 0);
}

Test(thread_ends, cancelled_while_blocking_with_destructors)
{
    check_child(cancel_blocking_with_destructors);
}
