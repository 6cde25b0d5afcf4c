/* test_bounded.c - that memory stays bounded: whatever a program does, the heap
 * follows what is alive, and gives back what it does not need. */
#include "gc/base/tunables.h"
#include "test/random.h"
#include "test/resident.h"
#include "test/roots.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct node {
    struct node *next;
    struct node *before;
    uint64_t number;
};

/* ---- Structures that one stale word turns into a leak ----------------------------------- */

/* H. Boehm, "Bounding space usage of conservative garbage collectors", POPL 2002. */

/* Leaves the node in some dead frames. */
static __attribute__((noinline)) uint64_t look(struct node *volatile node, unsigned depth)
{
    struct node *volatile stale[4] = {node, node, node, node};

    return depth == 0 ? stale[0]->number : look(stale[3], depth - 1) + (stale[1] != stale[2]);
}

enum { QUEUE_LENGTH = 1000 };

/* A queue: what was taken out still points at the next. It is looked at while
 * it is young, then no more: nothing overwrites those frames. */
static __attribute__((noinline)) void run_queue(size_t steps)
{
    struct node *first = gc_malloc(sizeof *first), *last = first;

    for (size_t i = 1; i < steps; i++) {
        last->next = gc_malloc(sizeof *last);
        last = last->next;
        last->number = i;
        if (i < QUEUE_LENGTH)
            continue;
        first = first->next;
        if (i < QUEUE_LENGTH + 60)
            cr_assert(look(first, (unsigned)(i - QUEUE_LENGTH)) == i - QUEUE_LENGTH + 1);
    }
}

Test(bounded, queue)
{
    struct gc_stats stats;

    run_queue(effort(5000000)); /* 160 MB */
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

static __attribute__((noinline)) struct node *new_list(size_t nodes)
{
    struct node *list = NULL;

    for (size_t i = 0; i < nodes; i++) {
        struct node *node = gc_malloc(sizeof *node);
        node->next = list;
        node->number = i;
        list = node;
    }
    return list;
}

/* A list of which each node once had a long list behind it. */
static __attribute__((noinline)) void run_list(size_t nodes, size_t dead)
{
    struct node *list = NULL;

    for (size_t i = 0; i < nodes; i++) {
        struct node *node = gc_malloc(sizeof *node);
        node->next = new_list(dead);
        node->before = list;
        cr_assert(look(node->next, 40) == dead - 1);
        node->next = NULL;
        list = node;
    }
    for (size_t i = 0; i < nodes; i++)
        list = list->before;
    cr_assert(list == NULL);
}

Test(bounded, list_that_was_longer)
{
    struct gc_stats stats;

    without_stress();
    run_list(is_sanitized() ? 5 : 15, 1000000); /* 32 MB each */
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 160 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* ---- Bounded memory ---------------------------------------------------------------------- */

/* Keeps `keep` objects of random sizes up to `most` alive. Returns the most
 * bytes that were. */
static size_t churn(size_t objects, size_t keep, size_t least, size_t most)
{
    size_t *bytes = calloc(keep, sizeof *bytes);
    size_t alive = 0, most_alive = 0;

    for (size_t i = 0; i < objects; i++) {
        size_t at = random_below(keep), new = random_between(least, most);
        alive += new - bytes[at];
        bytes[at] = new;
        root_words()[at] = 0;
        root_words()[at] = (uintptr_t)(random_once_in(3) ? gc_malloc_atomic(new) : gc_malloc(new));
        most_alive = alive > most_alive ? alive : most_alive;
    }
    free(bytes);
    return most_alive;
}

static void check_bound(size_t alive)
{
    uint64_t peak = stats_now().heap_peak_bytes;

    /* Twice as much as lives, what fragmentation takes, and what is allocated while a
     * cycle runs on a busy machine. Under stress a cycle runs beside the program all the
     * time, and blocks that wait for its end are many for so small a heap. */
    cr_assert(peak <= 5 * alive + ((size_t)(is_stressed() ? 16 : 8) << 20), "%llu KiB for %zu KiB",
              (unsigned long long)peak >> 10, alive >> 10);
}

Test(bounded, churn_of_small_objects, .init = make_roots)
{
    random_begin("churn_of_small_objects");
    check_bound(churn(effort(3000000), ROOTS, 1, 128));
}

Test(bounded, churn_of_medium_objects, .init = make_roots)
{
    random_begin("churn_of_medium_objects");
    check_bound(churn(effort(200000), ROOTS, 1, 33 << 10));
}

Test(bounded, churn_of_large_objects, .init = make_roots)
{
    random_begin("churn_of_large_objects");
    check_bound(churn(effort(4000), 50, 32 << 10, 3 << 20));
}

static __attribute__((noinline)) void make_list_of(size_t bytes, size_t total)
{
    struct node *list = NULL;

    for (size_t used = 0; used < total; used += bytes) {
        struct node *node = gc_malloc(bytes);
        node->next = list;
        list = node;
    }
    root_words()[0] = (uintptr_t)list;
}

/* Memory that one size does not need any more serves any other. */
Test(bounded, one_size_after_the_other, .init = make_roots_without_stress)
{
    size_t total = effort((size_t)48 << 20);
    struct gc_stats stats;

    for (size_t bytes = sizeof(struct node); bytes < 8 << 20; bytes = bytes * 5 / 2) {
        make_list_of(bytes, total);
        drop_roots();
        collect_with_clear_stack();
    }
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 5 * total / 2, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* Aligned objects do not leave holes for ever. */
Test(bounded, aligned_objects)
{
    struct gc_stats stats;

    for (size_t i = 0; i < effort(3000); i++) {
        size_t alignment = (size_t)1 << i % 22;
        char *object = gc_aligned_alloc(alignment, 1 + i % 5000);
        cr_assert((uintptr_t)object % alignment == 0);
        object[0] = 1;
    }
    stats = stats_now();
    cr_assert(stats.heap_peak_bytes < 32 << 20, "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* ---- Back to the operating system ------------------------------------------------------- */

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void start_with_delay(int32_t ms)
{
    struct gc_options options = {.decommit_delay_ms = ms};

    unsetenv("BROOM_DECOMMIT_DELAY_MS");
    without_stress(); /* a collection at another time is another clock */
    cr_assert(gc_init_options(&options, sizeof options) == 0);
    make_roots();
}

/* Takes and drops 100 MB: lists of small objects, and large ones. */
static __attribute__((noinline)) void take_and_drop(void)
{
    root_words()[0] = (uintptr_t)new_list(1500000);
    for (size_t i = 1; i < 50; i++) {
        char *object = gc_malloc_atomic(1 << 20);
        memset(object, 1, 1 << 20);
        root_words()[i] = (uintptr_t)object;
    }
    drop_roots();
}

Test(bounded, memory_goes_back)
{
    uint64_t held;
    size_t resident;

    start_with_delay(1);
    take_and_drop();
    resident = resident_bytes();
    held = stats_now().heap_bytes;
    cr_assert(held > 90 << 20);
    for (unsigned i = 0; i < 10000 && stats_now().heap_bytes > 8 << 20; i++) {
        sleep_ms(2);
        collect_with_clear_stack();
    }
    cr_assert(stats_now().heap_bytes <= 8 << 20, "%llu KiB", (unsigned long long)stats_now().heap_bytes >> 10);
    if (resident != 0)
        cr_assert(resident - resident_bytes() > 80 << 20, "%zu KiB, then %zu KiB", resident >> 10,
                  resident_bytes() >> 10);
    cr_assert(stats_now().heap_peak_bytes >= held);
}

Test(bounded, memory_never_goes_back)
{
    uint64_t held;

    start_with_delay(-1);
    take_and_drop();
    collect_with_clear_stack();
    held = stats_now().heap_bytes;
    for (unsigned i = 0; i < 5; i++) {
        sleep_ms(2);
        collect_with_clear_stack();
    }
    cr_assert(stats_now().heap_bytes == held);
}

/* ---- Memory that nobody has touched ------------------------------------------------------- */

/* It takes none, and so is no reason to let garbage grow by as much. */
Test(bounded, garbage_beside_a_sparse_object, .init = make_roots_without_stress)
{
    const uint64_t sparse = 256 << 20;
    struct gc_stats stats;

    if (sysconf(_SC_PAGESIZE) != (long)GC_PAGE_BYTES)
        cr_skip_test("larger pages are not asked for");
    root_words()[0] = (uintptr_t)gc_malloc(sparse);
    *(char *)root_words()[0] = 1;
    for (size_t i = 0; i < 5000000; i++)
        *(volatile char *)gc_malloc(32) = 1;
    gc_collect();
    stats = stats_now();
    cr_assert(stats.live_bytes >= sparse, "but it is as large as it is");
    cr_assert(stats.heap_peak_bytes < sparse + (32 << 20), "%llu KiB", (unsigned long long)stats.heap_peak_bytes >> 10);
}

/* ---- What the collector needs itself ------------------------------------------------------ */

static void check_metadata(const char *what)
{
    struct gc_stats stats;

    gc_collect();
    stats = stats_now();
    cr_assert(stats.heap_bytes >= 100 << 20);
    cr_assert(stats.metadata_bytes * 1000 <= stats.heap_bytes * 25, "%s: %llu KiB for %llu KiB", what,
              (unsigned long long)stats.metadata_bytes >> 10, (unsigned long long)stats.heap_bytes >> 10);
}

/* At most 2.5 percent. */
Test(bounded, metadata, .init = make_roots_without_stress)
{
    root_words()[0] = (uintptr_t)new_list(3500000);
    check_metadata("small objects");
    drop_roots();
    for (size_t i = 0; i < 2000; i++)
        root_words()[i] = (uintptr_t)gc_malloc_atomic(66000);
    check_metadata("large objects");
}
