#include "gc/cycle/record.h"

#include "gc/base/align.h"
#include "gc/cycle/choice.h"

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

/* Returns what the pace goes by: memory that is in use. */
static size_t note_live(struct heap *heap, const struct census *marked, const struct keeping *keeping)
{
    heap->record.collections++;
    heap->pace.untouched_bytes = marked->untouched_bytes;
    heap->record.live_bytes = marked->bytes + marked->untouched_bytes - keeping->unissued.bytes;
    heap->record.balance_bytes = gc__world_balance_bytes(&heap->world);
    heap->record.objects_marked = marked->objects - keeping->unissued.objects;
    return marked->bytes - keeping->unissued.bytes;
}

/* What was freed since may have been untouched. */
static size_t held_bytes(const struct heap *heap)
{
    size_t held = heap->region.held_pages << GC_PAGE_SHIFT;

    return held - gc__min(heap->pace.untouched_bytes, held);
}

static size_t outside_bytes(const struct heap *heap)
{
    return gc__region_metadata_bytes(&heap->region) + gc__pace_external(&heap->pace);
}

static size_t hard_bytes(const struct region *region)
{
    size_t pages = gc__min(region->max_pages, region->chunks * GC_PAGES_PER_CHUNK);

    return pages << GC_PAGE_SHIFT;
}

static struct limit_state limit_state(const struct heap *heap)
{
    return (struct limit_state){
        .live_bytes = heap->record.live_bytes - heap->pace.untouched_bytes,
        .held_bytes = held_bytes(heap),
        .untouched_bytes = heap->pace.untouched_bytes,
        .outside_bytes = outside_bytes(heap),
        .hard_bytes = hard_bytes(&heap->region),
    };
}

/* A minor cycle wants less than the full one before, and there may be room for that; but
 * where that was near the limit, the next will be. */
static void keep_limits(struct heap *heap, const struct limit_state *state, bool full)
{
    size_t wanted = heap->pace.budget_bytes, budget = gc__limit_budget(&heap->limit, state, wanted);

    heap->limit.near = (budget < wanted && gc__limit_lacks_room(&heap->limit, state, wanted)) || /* not from thrift */
                       (heap->limit.near && !full);
    gc__pace_trim(&heap->pace, budget, full);
    if (gc__limit_is_exceeded(&heap->limit, state))
        gc__region_decommit(&heap->region, UINT64_MAX);
}

/* What the cycle took from the mutators, each of them: pauses, steps, and waiting. */
static uint64_t taken_ns(const struct heap *heap, uint64_t pause_ns)
{
    const struct concurrent *concurrent = &heap->concurrent;

    return pause_ns + concurrent->taken_ns + concurrent->waited_ns / gc__max(concurrent->active, 1);
}

/* Of a cycle that ends with a pause, or beside the mutators. To it is added what was
 * spent on cycles that were given up. */
static void note_limits(struct heap *heap, size_t allocated_bytes, uint64_t pause_ns)
{
    struct concurrent *concurrent = &heap->concurrent;
    uint64_t now_ns = gc__os_clock_ns(), interval_ns = now_ns - heap->limit.resumed_ns;
    uint64_t taken = gc__min(taken_ns(heap, pause_ns), interval_ns);
    struct limit_state state = limit_state(heap);

    state.allocated_bytes = allocated_bytes;
    state.work_ns = gc__max(pause_ns + concurrent->work_ns, taken);
    state.mutator_ns = interval_ns - taken;
    concurrent->work_ns = concurrent->taken_ns = 0;
    concurrent->waited_ns = 0;
    gc__limit_note(&heap->limit, &state);
    keep_limits(heap, &state, !heap->minor.now);
    heap->limit.resumed_ns = now_ns;
}

/* As long as nothing else is known, what was live is. */
void gc__keep_limits(struct heap *heap)
{
    struct limit_state state = limit_state(heap);

    gc__heap_know_limit(heap);
    heap->limit.near = false;
    keep_limits(heap, &state, false);
}

static void keep_runway(struct heap *heap)
{
    if (gc__choice_concurrent(heap))
        gc__pace_keep_runway(&heap->pace, heap->concurrent.runway_bytes / 4 * 5);
}

void gc__record_marked(struct heap *heap, const struct census *marked, const struct keeping *keeping, size_t rescanned)
{
    size_t allocated = gc__pace_allocated(&heap->pace), live_bytes = note_live(heap, marked, keeping);
    uint64_t pause_ns = gc__os_clock_ns() - heap->region.now_ns; /* it is almost over */

    gc__snapshot_note_stopped(&heap->snapshot, marked->scanned_bytes, pause_ns);
    heap->concurrent.now = heap->concurrent.marks_stand = false;
    heap->concurrent.active = keeping->active;
    heap->concurrent.given_up = 0;
    if (heap->minor.now) {
        note_minor(heap, marked, rescanned, live_bytes);
    } else {
        heap->concurrent.full_ns -= heap->concurrent.full_ns / GC_FULL_TIME_FADES; /* it may be shorter by now */
        gc__minor_note_full(&heap->minor);
        gc__pace_begin_again(&heap->pace, live_bytes, gc__min(marked->scanned_bytes, live_bytes), held_bytes(heap),
                             keeping->active);
    }
    note_limits(heap, allocated, pause_ns);
    if (!heap->minor.now)
        keep_runway(heap);
}

/* What dies after it was marked counts as live: it is no reason to let the heap grow, or
 * each cycle would make the next one longer. Where the heap does not grow, about as much dies
 * during the cycle as is born, and as objects are marked at any time in it, half of that was
 * marked before. But where more is born than there was, the heap may grow indeed. */
static size_t doubtful(const struct heap *heap, size_t live_bytes)
{
    if (heap->snapshot.now)
        return gc__min(heap->snapshot.born_bytes, live_bytes);
    return gc__min(heap->concurrent.runway_bytes, live_bytes) / 2;
}

/* Free memory counts for less than after a cycle that stopped the program: what mutators
 * claimed beyond the budget while this one ran would only grow, from cycle to cycle. */
static size_t free_bytes_beside(const struct heap *heap, size_t live_bytes)
{
    size_t held = held_bytes(heap);

    return (held - gc__min(live_bytes, held)) / 100 * GC_PACE_BESIDE_PERCENT;
}

/* What was allocated since the finish is not the next cycle's to forget; nor is what a copy
 * of the process knows nothing of. */
void gc__record_concurrent(struct heap *heap, const struct census *marked, const struct keeping *keeping)
{
    const struct concurrent *concurrent = &heap->concurrent;
    size_t live_bytes = note_live(heap, marked, keeping), allocated = gc__pace_allocated(&heap->pace);
    size_t since_finish = allocated - gc__min(concurrent->allocated, allocated); /* what is freed is taken off */
    size_t born = heap->snapshot.now ? heap->snapshot.born_bytes : 0, sure_bytes;

    heap->record.concurrent_collections++;
    heap->concurrent.now = true;
    if (heap->minor.now) {
        note_minor(heap, marked, concurrent->rescanned_total << GC_PAGE_SHIFT, live_bytes);
    } else {
        sure_bytes = live_bytes - doubtful(heap, live_bytes);
        gc__minor_note_full(&heap->minor);
        gc__pace_begin_again(&heap->pace, sure_bytes, gc__min(marked->scanned_bytes, sure_bytes),
                             sure_bytes + free_bytes_beside(heap, live_bytes), keeping->active);
    }
    note_limits(heap, concurrent->allocated, 0);
    keep_runway(heap);
    gc__pace_note_allocated(&heap->pace, since_finish + born);
}
