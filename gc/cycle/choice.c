#include "gc/cycle/choice.h"

#include "gc/base/align.h"

/* Under stress, one cycle in so many is full, and one runs beside the mutators; the others
 * are minor if they can be, whatever that is worth. */
#define STRESS_ROUND 4

/* ---- Stopped, or beside the mutators ------------------------------------------------- */

/* No more pages are written for the first time than were scanned. */
static uint64_t watched_writes_ns(const struct heap *heap)
{
    return (heap->pace.scanned_bytes >> GC_PAGE_SHIFT) * heap->minor.write_ns;
}

/* A full cycle beside the mutators, by what the last one took: but what any takes does not
 * grow with the heap. */
static uint64_t concurrent_ns(const struct heap *heap)
{
    const struct concurrent *concurrent = &heap->concurrent;
    uint64_t full_kib = gc__max(concurrent->full_bytes, GC_CONCURRENT_MIN_BYTES) >> 10;

    if (concurrent->full_ns == 0)
        return heap->pace.scanned_bytes / GC_TRACED_BYTES_PER_US * 1000;
    return concurrent->full_ns / full_kib * (heap->pace.scanned_bytes >> 10);
}

/* Where those who allocate leave no processor to the marker, they wait for one that has a
 * part of one. */
static size_t pauses_for_a_wait(const struct heap *heap)
{
    return heap->concurrent.active >= heap->world.cpus ? GC_BUSY_WAIT_PAUSES : GC_WAIT_PAUSES;
}

/* A cycle beside the mutators costs them a fault for each page that they write, so where
 * faults are dear (in some virtual machines ten times what they are elsewhere), a longer
 * pause is the better choice. Likewise where they would come to wait for its end. And near
 * a limit, where it would have to begin again at once, any pause is. */
static size_t pause_worth_avoiding_us(const struct heap *heap)
{
    size_t target_us = (size_t)heap->options.pause_target_us;
    size_t budget = heap->pace.full_budget_bytes;
    uint64_t cycle_ns = concurrent_ns(heap);

    target_us = gc__max(target_us, target_us * heap->minor.write_ns / GC_WATCHED_WRITE_NS);
    if (heap->limit.near && gc__limit_makes_wait(&heap->limit, budget, cycle_ns + watched_writes_ns(heap)))
        return SIZE_MAX;
    return gc__limit_makes_wait(&heap->limit, budget, cycle_ns) ? target_us * pauses_for_a_wait(heap) : target_us;
}

bool gc__choice_concurrent(const struct heap *heap)
{
    size_t scanned_bytes = heap->pace.scanned_bytes;

    if (!heap->concurrent.possible || heap->options.pause_target_us <= 0 ||
        heap->concurrent.given_up >= GC_CONCURRENT_MAX_GIVEN_UP ||
        (!gc__concurrent_may_watch(heap) && !gc__snapshot_is_better(heap)))
        return false;
    if (heap->options.stress != 0)
        return heap->record.collections % STRESS_ROUND == 1;
    return scanned_bytes >= GC_CONCURRENT_MIN_BYTES &&
           scanned_bytes / GC_MARKED_BYTES_PER_US / heap->gang.markers > pause_worth_avoiding_us(heap);
}

/* ---- Full, or minor ------------------------------------------------------------------- */

bool gc__choice_stopped_minor(const struct heap *heap, const struct census *marked)
{
    if (heap->options.stress != 0)
        return heap->record.collections % STRESS_ROUND != 0;
    return marked->scanned_bytes >= GC_MINOR_MIN_BYTES && gc__pace_prefers_minor(&heap->pace) &&
           !gc__choice_concurrent(heap);
}

/* For the time that it takes, if that is known. */
static bool minor_frees_more(const struct heap *heap)
{
    const struct concurrent *concurrent = &heap->concurrent;

    return concurrent->minor_ns == 0 || (double)gc__pace_budget_after_minor(&heap->pace) * (double)concurrent->full_ns >
                                            (double)heap->pace.full_budget_bytes * (double)concurrent->minor_ns;
}

bool gc__choice_concurrent_minor(struct heap *heap)
{
    if (heap->minor.rest > 0 && heap->concurrent.marks_stand)
        return heap->minor.rest-- == 0;
    return heap->options.no_minor == 0 && heap->minor.row < GC_MINOR_MAX_ROW && gc__pace_prefers_minor(&heap->pace) &&
           minor_frees_more(heap);
}
