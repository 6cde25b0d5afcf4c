/* log.c - BROOM_LOG, BROOM_STATS, and what a cycle is checked for. */

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/observer.h"
#include "gc/insight/backtrace.h"
#include "gc/insight/stats.h"
#include "gc/insight/verify.h"

#include <string.h>

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

static const char *kind_of_cycle(const struct heap *heap)
{
    if (heap->concurrent.now && heap->snapshot.now)
        return "snapshot";
    if (heap->concurrent.now)
        return heap->minor.now ? "concurrent minor" : "concurrent";
    return heap->minor.now ? "minor" : "full";
}

static void log_cycle(const struct heap *heap)
{
    struct gc_stats stats = gc__stats_of(heap);

    gc__message("%s collection %llu: pause %.3f ms, live %.2f MiB in %llu objects, heap %.2f MiB, next after %.2f MiB",
                kind_of_cycle(heap), (unsigned long long)stats.collections, ms(stats.pause_last_ns),
                mib(stats.live_bytes), (unsigned long long)stats.objects_marked, mib(stats.heap_bytes),
                mib(heap->pace.budget_bytes));
}

void gc__observe_marked(struct heap *heap)
{
    bool stress = GC_UNLIKELY(heap->options.stress != 0);

    if (stress)
        gc__verify_no_black_to_white(heap);
    if ((GC_DEBUG || stress) && (heap->minor.now || gc__concurrent_is_under_way(&heap->concurrent)))
        gc__verify_second_mark(heap);
}

void gc__observe_swept(const struct heap *heap)
{
    if (GC_UNLIKELY(heap->options.stress != 0))
        gc__heap_audit(heap);
}

void gc__observe_cycle(const struct heap *heap)
{
    if (GC_UNLIKELY(heap->options.log != 0))
        log_cycle(heap);
}

enum way { WAY_UNKNOWN, BESIDE, COPIED, STOPPED_BY_CHOICE, STOPPED_BY_SYSTEM };

static enum way way_of(const struct snapshot *snapshot, bool watched)
{
    if (watched)
        return BESIDE;
    if (!snapshot->wanted)
        return STOPPED_BY_CHOICE;
    return snapshot->possible ? COPIED : STOPPED_BY_SYSTEM;
}

/* By numbers: to name them, the C library might allocate. */
static void append_error(char *text, size_t capacity, int error)
{
    if (error != 0)
        gc__append(text, strlen(text), capacity, " (errno %d)", error);
}

static void append_why_not_beside(char *text, size_t capacity, const struct heap *heap)
{
    if (heap->options.no_tracking != 0) {
        gc__append(text, strlen(text), capacity, "BROOM_NO_TRACKING is set");
        return;
    }
    gc__append(text, strlen(text), capacity, "the system does not tell which pages are written");
    if (gc__os_tracking_refusal() == 0)
        gc__append(text, strlen(text), capacity, " (system calls are filtered)");
    append_error(text, capacity, gc__os_tracking_refusal());
}

static void append_why_not_copied(char *text, size_t capacity, const struct snapshot *snapshot)
{
    if (!snapshot->wanted)
        gc__append(text, strlen(text), capacity, ", and BROOM_SNAPSHOT is not set");
    else if (snapshot->refusal != 0)
        gc__append(text, strlen(text), capacity, ", and the system does not let the process be copied");
    else
        gc__append(text, strlen(text), capacity, ", and copies of the process are ended before they are marked");
    append_error(text, capacity, snapshot->refusal);
}

static void tell_way(const struct heap *heap, enum way way)
{
    char why[256] = "";

    if (way == BESIDE) {
        gc__message("large heaps are marked beside the program: the system tells which pages are written");
        return;
    }
    append_why_not_beside(why, sizeof why, heap);
    if (way != COPIED)
        append_why_not_copied(why, sizeof why, &heap->snapshot);
    gc__message("large heaps are marked %s: %s",
                way == COPIED ? "in a copy of the process" : "while the program is stopped", why);
}

/* Once for each way. Under the lock. */
void gc__observe_way(const struct heap *heap, bool watched)
{
    static GC_OWN_STATE enum way said;
    enum way way = way_of(&heap->snapshot, watched);

    if (heap->options.log == 0 || way == said)
        return;
    said = way;
    tell_way(heap, way);
}

static void report_exhaustion(const struct heap *heap, size_t bytes)
{
    struct gc_stats stats = gc__stats_of(heap);

    gc__report("out of memory: %zu bytes were asked for; live %.2f MiB, heap %.2f MiB, limit %.2f MiB", bytes,
               mib(stats.live_bytes), mib(stats.heap_bytes),
               mib(gc__min(heap->region.max_pages, heap->region.chunks * GC_PAGES_PER_CHUNK) << GC_PAGE_SHIFT));
}

/* Silent unless asked: a program that handles NULL wants no noise. Under the
 * lock, also while the callers are named: that takes the loader's lock, which a
 * collector holds while it waits for us. */
void gc__observe_exhaustion(struct heap *heap, size_t bytes)
{
    if (heap->options.log == 0)
        return;
    gc__backtrace_load();
    gc__world_lock(&heap->world);
    report_exhaustion(heap, bytes);
    gc__world_unlock(&heap->world);
}

/* In one piece: other processes may write theirs at the same time. */
static void summarize(const struct gc_stats *stats)
{
    gc__message("collections %llu in process %ld\n"
                "broom: minor collections %llu, concurrent %llu\n"
                "broom: pause total %.3f ms, longest %.3f ms, last %.3f ms\n"
                "broom: allocated %llu bytes, freed %llu bytes\n"
                "broom: live %llu bytes in %llu objects\n"
                "broom: heap %llu bytes, peak %llu bytes, metadata %llu bytes, reserved %llu bytes",
                (unsigned long long)stats->collections, gc__os_process_id(),
                (unsigned long long)stats->minor_collections, (unsigned long long)stats->concurrent_collections,
                ms(stats->pause_total_ns), ms(stats->pause_max_ns), ms(stats->pause_last_ns),
                (unsigned long long)stats->bytes_allocated, (unsigned long long)stats->bytes_freed,
                (unsigned long long)stats->live_bytes, (unsigned long long)stats->objects_marked,
                (unsigned long long)stats->heap_bytes, (unsigned long long)stats->heap_peak_bytes,
                (unsigned long long)stats->metadata_bytes, (unsigned long long)stats->reserved_bytes);
}

static __attribute__((destructor)) void summary_at_exit(void)
{
    struct gc_stats stats;

    if (!gc__heap.started || gc__heap.options.stats == 0)
        return;
    stats = gc__stats_now();
    summarize(&stats);
}
