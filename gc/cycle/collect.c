#include "gc/cycle/collect.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/allowance.h"
#include "gc/cycle/observer.h"
#include "gc/cycle/roots.h"
#include "gc/cycle/runs.h"
#include "gc/mark/rescan.h"

/* Under stress so many cycles are full, the others minor if they can be. */
#define STRESS_FULL_EVERY 4

/* ---- The cycle --------------------------------------------------------------- */

static void note_pause(struct cycle_record *record, uint64_t pause_ns)
{
    record->pause_last_ns = pause_ns;
    record->pause_total_ns += pause_ns;
    record->pause_max_ns = pause_ns > record->pause_max_ns ? pause_ns : record->pause_max_ns;
}

/* Of a minor cycle: what it had to scan, and what it found beyond what was there. */
static void note_minor(struct heap *heap, const struct census *marked, size_t rescanned, size_t live_bytes)
{
    size_t before = heap->pace.live_bytes;

    heap->record.minor_collections++;
    if (heap->options.stress == 0)
        gc__minor_note_work(&heap->minor, rescanned + (live_bytes > before ? live_bytes - before : 0),
                            marked->scanned_bytes);
    gc__pace_go_on(&heap->pace, live_bytes);
}

static void note_marked(struct heap *heap, const struct census *marked, const struct keeping *keeping, size_t rescanned)
{
    size_t live_bytes = marked->bytes - keeping->unissued.bytes;

    heap->record.collections++;
    heap->record.live_bytes = live_bytes;
    heap->record.objects_marked = marked->objects - keeping->unissued.objects;
    if (heap->minor.now) {
        note_minor(heap, marked, rescanned, live_bytes);
    } else {
        gc__minor_note_full(&heap->minor);
        gc__pace_begin_again(&heap->pace, live_bytes, gc__min(marked->scanned_bytes, live_bytes),
                             heap->region.held_pages << GC_PAGE_SHIFT, keeping->active);
    }
}

/* Under stress minor cycles are tried whatever they are worth. */
static bool next_should_be_minor(const struct heap *heap, const struct census *marked)
{
    if (heap->options.stress != 0)
        return heap->record.collections % STRESS_FULL_EVERY != 0;
    return marked->scanned_bytes >= GC_MINOR_MIN_BYTES && gc__pace_prefers_minor(&heap->pace);
}

/* The world stands. A minor cycle differs from a full one in what is white at its
 * beginning, and in what is scanned besides the roots. */
static void cycle(struct heap *heap)
{
    bool minor = gc__minor_begin(&heap->minor, &heap->region, heap->full);
    struct keeping keeping;
    struct census marked;
    size_t rescanned = 0;

    gc__sweep_finish_and_whiten(&heap->region, &heap->bins, minor);
    gc__gang_begin(&heap->gang);
    if (minor)
        rescanned = gc__rescan_written(gc__gang_leader(&heap->gang));
    keeping = gc__runs_keep(heap);

    gc__roots_mark_globals(heap);
    gc__roots_mark_mutators(heap);
    if (!gc__gang_drain_alone(&heap->gang)) {
        gc__world_lend_cpus(&heap->world, heap->gang.markers - 1);
        gc__gang_drain(&heap->gang);
    }
    gc__attached_process(&heap->attached, gc__gang_leader(&heap->gang), minor);
    gc__observe_marked(heap);

    marked = gc__sweep_publish_marks(&heap->region, &heap->bins);
    note_marked(heap, &marked, &keeping, rescanned);
    gc__minor_prepare(&heap->minor, &heap->region, next_should_be_minor(heap, &marked));
    gc__gang_trim(&heap->gang);
    gc__return_memory(heap);
    gc__observe_swept(heap);
}

/* Between its calls to us a thread may be found at any point; those that come
 * later know. */
static bool stop_world(struct heap *heap)
{
    bool stopped = gc__world_stop(&heap->world);

    heap->region.threaded |= gc__world_has_several_mutators(&heap->world);
    return stopped;
}

/* Where the world cannot be stopped for want of memory nothing is collected. */
static void stop_and_cycle(void *argument)
{
    struct heap *heap = argument;
    uint64_t start_ns = gc__os_clock_ns();
    bool stopped;

    heap->region.now_ns = start_ns;
    stopped = stop_world(heap);
    if (stopped)
        cycle(heap);
    gc__world_resume(&heap->world);
    if (!stopped)
        return;
    note_pause(&heap->record, gc__os_clock_ns() - start_ns);
    gc__observe_cycle(heap);
}

/* Before the world stops, as threads may have to be started. Those of the gang
 * are no mutators. */
static void prepare_gang(struct heap *heap)
{
    gc__gang_prepare(&heap->gang, heap->region.used_pages << GC_PAGE_SHIFT); /* so many live bytes at most */
    if (heap->region.threaded)
        heap->world.cpus = gc__gang_cpus(&heap->gang);
    while (heap->world.helpers < heap->gang.helpers)
        gc__world_note_helper(&heap->world, heap->gang.helper[heap->world.helpers + 1].thread_id);
}

/* Under the lock. No library comes or goes while the world stands: a stopped
 * thread may be halfway through that otherwise. */
static void collect(struct heap *heap, bool full)
{
    struct mutator *mutator = gc__mutator;

    if (heap->collecting) /* by this very thread: a hook at work */
        return;
    heap->collecting = true;
    heap->full = full;
    prepare_gang(heap);
    mutator->context = gc__os_context_of(mutator->sp);
    gc__os_hold_loader(stop_and_cycle, heap);
    heap->collecting = false;
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
    if (GC_UNLIKELY(stress))
        lock_and_collect(heap, false);
    if (gc__allowance_is_used_up(heap, mutator, bytes))
        collect_once(heap, mutator, bytes);
}

void gc__become_threaded(struct heap *heap)
{
    gc__world_lock(&heap->world);
    if (!heap->region.threaded && gc__world_has_several_mutators(&heap->world)) {
        stop_world(heap);
        gc__world_resume(&heap->world);
    }
    gc__world_unlock(&heap->world);
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
    heap->next_decommit_ns = now_ns + delay / 4;
    if (now_ns >= delay)
        gc__region_decommit(&heap->region, now_ns - delay);
}

void gc__collect_hard(struct heap *heap)
{
    gc__world_lock(&heap->world);
    heap->hard = true;
    collect(heap, true);
    heap->hard = false;
    gc__region_decommit(&heap->region, UINT64_MAX);
    gc__world_unlock(&heap->world);
}
