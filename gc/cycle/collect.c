#include "gc/cycle/collect.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/allowance.h"
#include "gc/cycle/assist.h"
#include "gc/cycle/choice.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/pause.h"
#include "gc/cycle/record.h"
#include "gc/cycle/roots.h"
#include "gc/cycle/runs.h"
#include "gc/mark/rescan.h"

/* A cycle beside the mutators is finished for them once in so many allocations. */
#define STRESS_PATIENCE 16384

/* ---- The cycle --------------------------------------------------------------- */

/* The world stands. A minor cycle differs from a full one in what is white at its
 * beginning, and in what is scanned besides the roots. */
static void cycle(struct heap *heap)
{
    bool minor = gc__minor_begin(&heap->minor, &heap->gang, heap->full);
    struct keeping keeping;
    struct census marked;
    size_t rescanned = 0;

    if (gc__sweep_is_shared(&heap->gang))
        gc__world_lend_cpus(&heap->world, heap->gang.markers - 1);
    gc__sweep_finish_and_whiten(&heap->gang, &heap->bins, minor);
    gc__gang_begin(&heap->gang);
    if (minor) {
        gc__rescan_note_pinned(&heap->region, &heap->pinned);
        rescanned = gc__rescan_written(gc__gang_leader(&heap->gang), gc__minor_fault_bytes(&heap->minor));
    }
    keeping = gc__runs_keep(heap);
    gc__roots_mark(heap, ROOTS_WHOLE);
    gc__roots_trace(heap);
    marked = gc__sweep_publish_marks(&heap->gang, &heap->bins);
    gc__record_marked(heap, &marked, &keeping, rescanned);
    gc__minor_prepare(&heap->minor, &heap->region, gc__choice_stopped_minor(heap, &marked));
    gc__gang_trim(&heap->gang);
    gc__return_memory(heap);
    gc__observe_swept(heap);
}

/* The system did not say where the roots or the threads are: for want of files or of
 * memory, which may be for a while, or of /proc. The next attempt comes when as much more
 * was allocated. */
static void note_failure(struct heap *heap)
{
    gc__pace_put_off(&heap->pace);
    if (!heap->told_of_failure)
        gc__message("no collection is possible, as the system does not list the %s (no free file number, or no "
                    "/proc?): the heap grows",
                    gc__heap_roots_are_mappings(heap) ? "threads or the mappings" : "threads");
    heap->told_of_failure = true;
}

/* Under the lock. */
static void stop_and_cycle(struct heap *heap)
{
    gc__events_put(heap, GC_EVENT_BEGIN, 0, 0);
    gc__pause_prepare(heap);
    if (!gc__pause(heap, cycle)) {
        note_failure(heap);
        return;
    }
    gc__events_note_end(heap);
    gc__observe_cycle(heap);
}

/* Before the first, it is not known yet what a write to a watched page costs here. */
static bool wants_concurrent(struct heap *heap)
{
    if (heap->minor.write_ns == 0 && gc__choice_concurrent(heap) && gc__concurrent_may_watch(heap))
        gc__minor_track(&heap->minor, &heap->region);
    return gc__choice_concurrent(heap);
}

/* A cycle that mutators have outrun, though they help, goes on and on, and the heap grows:
 * it is given up, and the next one stops them. */
static bool is_outrun(const struct heap *heap)
{
    return gc__concurrent_is_marking(&heap->concurrent) && !heap->snapshot.now &&
           gc__pace_overdrafts(&heap->pace) >= GC_OVERDRAFTS_MAX;
}

/* Whether the cycle under way, or the next, does for one that is not to be full. */
static bool beside_mutators(struct heap *heap)
{
    if (is_outrun(heap)) {
        gc__concurrent_give_up(heap);
        return false;
    }
    if (gc__concurrent_is_under_way(&heap->concurrent))
        return heap->options.stress == 0 || gc__concurrent_finish(heap);
    return wants_concurrent(heap) && gc__concurrent_begin(heap, gc__choice_concurrent_minor(heap));
}

/* A child by _Fork, say: no handler of ours was called. */
static void become_another(struct heap *heap)
{
    gc__world_keep_only(&heap->world, gc__mutator);
    gc__gang_forget_helpers(&heap->gang);
    gc__background_forget(&heap->background);
    gc__concurrent_forget(heap);
    heap->process = gc__os_process_id();
    gc__os_know_process();
}

/* By this very thread already, where a hook is at work. And the child of a vfork, of
 * which the parent's threads are none, has all of the parent's memory. */
static bool must_not_collect(struct heap *heap)
{
    if (heap->collecting)
        return true;
    if (gc__os_process_id() != heap->process && gc__os_process_is_copy())
        become_another(heap);
    return gc__os_process_id() != heap->process;
}

static void collect(struct heap *heap, bool full)
{
    if (must_not_collect(heap))
        return;
    heap->collecting = true;
    heap->full = full;
    gc__heap_know_limit(heap);
    if (full && gc__concurrent_is_under_way(&heap->concurrent))
        gc__concurrent_give_up(heap);
    if (full || !beside_mutators(heap))
        stop_and_cycle(heap);
    heap->collecting = heap->full = false;
}

static void lock_and_collect(struct heap *heap, bool full)
{
    gc__world_lock(&heap->world);
    collect(heap, full);
    gc__world_unlock(&heap->world);
}

void gc__collect(struct heap *heap)
{
    lock_and_collect(heap, true);
}

/* Unless another mutator did so while this one waited for the lock. */
static void collect_once(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    gc__world_lock(&heap->world);
    if (gc__allowance_is_used_up(heap, mutator, bytes))
        collect(heap, false);
    gc__world_unlock(&heap->world);
}

/* Counts allocations under stress; then every one comes by here. */
static bool stress_wants_one(struct heap *heap)
{
    return GC_UNLIKELY(heap->options.stress != 0) && ++heap->stress_count % heap->options.stress == 0;
}

void gc__collect_if_due(struct heap *heap, struct mutator *mutator, size_t bytes)
{
    bool stress = stress_wants_one(heap);

    if (gc__collections_are_disabled(heap))
        return;
    if (GC_UNLIKELY(stress) &&
        (!gc__concurrent_is_under_way(&heap->concurrent) || heap->stress_count % STRESS_PATIENCE == 0))
        lock_and_collect(heap, false);
    while (gc__allowance_is_used_up(heap, mutator, bytes) && gc__concurrent_is_under_way(&heap->concurrent) &&
           !is_outrun(heap))
        gc__assist(heap, mutator, bytes);
    if (gc__allowance_is_used_up(heap, mutator, bytes))
        collect_once(heap, mutator, bytes);
}

void gc__collect_if_over(struct heap *heap)
{
    if (gc__collections_are_disabled(heap) || !gc__pace_is_due(&heap->pace, 0))
        return;
    if (gc__concurrent_is_under_way(&heap->concurrent)) {
        gc__assist(heap, gc__mutator, 0);
        return;
    }
    gc__world_lock(&heap->world);
    if (gc__pace_is_due(&heap->pace, 0))
        collect(heap, false);
    gc__world_unlock(&heap->world);
}

/* What a cycle takes, the last one tells: a minor one is followed by another as a
 * rule. */
static bool is_time_for_one(const struct heap *heap, uint64_t time_ns)
{
    return !gc__concurrent_is_under_way(&heap->concurrent) && heap->record.pause_last_ns <= time_ns &&
           gc__pace_allocated(&heap->pace) >= heap->pace.budget_bytes / GC_STEP_BUDGET_SHARE;
}

/* Until there are none, or that is over. */
static void make_steps(struct heap *heap, uint64_t time_ns)
{
    uint64_t start_ns = gc__os_clock_ns();

    while (gc__concurrent_is_under_way(&heap->concurrent) && gc__os_clock_ns() - start_ns < time_ns)
        gc__assist_once(heap, gc__mutator);
}

bool gc__collect_early(struct heap *heap, uint64_t time_ns)
{
    bool is_time;

    if (gc__collections_are_disabled(heap))
        return false;
    make_steps(heap, time_ns);
    gc__world_lock(&heap->world);
    is_time = is_time_for_one(heap, time_ns);
    if (is_time)
        collect(heap, false);
    gc__return_memory(heap);
    gc__world_unlock(&heap->world);
    return is_time;
}

void gc__become_threaded(struct heap *heap)
{
    gc__world_lock(&heap->world);
    if (!heap->region.threaded && gc__world_has_several_mutators(&heap->world))
        gc__pause_for_nothing(heap);
    gc__world_unlock(&heap->world);
}

/* Whoever asked for a collection may not come again. True: that was all. */
static bool return_some(struct heap *heap, uint64_t before_ns)
{
    if (!heap->full)
        return gc__region_decommit_some(&heap->region, before_ns);
    gc__region_decommit(&heap->region, before_ns);
    return true;
}

void gc__return_memory(struct heap *heap)
{
    uint64_t delay = heap->decommit_delay_ns, now_ns;

    if (heap->region.held_pages == heap->region.used_pages || delay == UINT64_MAX)
        return;
    now_ns = gc__os_clock_ns();
    heap->region.now_ns = now_ns;
    if (now_ns < heap->next_decommit_ns)
        return;
    if (now_ns < delay || return_some(heap, now_ns - delay))
        heap->next_decommit_ns = now_ns + delay / 4;
    gc__events_note_held(heap);
}

void gc__collect_hard(struct heap *heap)
{
    gc__world_lock(&heap->world);
    heap->hard = true;
    collect(heap, true);
    heap->hard = false;
    gc__region_decommit(&heap->region, UINT64_MAX);
    gc__events_note_held(heap);
    gc__world_unlock(&heap->world);
}
