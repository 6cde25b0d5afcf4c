#include "gc/cycle/collect.h"

#include "gc/base/align.h"
#include "gc/cycle/observer.h"

/* ---- Roots ----------------------------------------------------------------- */

static void mark_range(struct gc__range range, void *argument)
{
    struct marker *marker = argument;

    gc__marker_scan_roots(marker, range, marker->past_end_everywhere ? PAST_END_COUNTS : PAST_END_IGNORED);
}

static void mark_globals(struct heap *heap)
{
    struct marker *marker = &heap->marker;
    uintptr_t oom_data = (uintptr_t)&heap->oom_data;

    gc__os_each_data_segment(mark_range, marker);
    for (size_t i = 0; i < heap->user_roots.count; i++)
        mark_range(heap->user_roots.range[i], marker);
    mark_range((struct gc__range){oom_data, oom_data + sizeof heap->oom_data}, marker);
    gc__marker_mark_root_kinds(marker);
}

/* A stack that lies in an object of the heap (a coroutine's) ends with it. The
 * stack pointer alone keeps it. */
static bool stack_in_heap(struct heap *heap, uintptr_t sp, struct gc__range *stack)
{
    struct object object;

    if (!gc__resolve(&heap->region, (struct ambiguous){sp}, &object))
        return false;
    gc__marker_mark(&heap->marker, object);
    stack->start = sp;
    stack->end = (uintptr_t)gc__object_start(&heap->region, &object) + gc__object_bytes(&heap->region, &object);
    return true;
}

static void mark_stacks(struct heap *heap, const struct mutator *mutator)
{
    uintptr_t sp = mutator->sp;
    enum past_end past_end = heap->options.past_end == GC_PAST_END_NEVER ? PAST_END_IGNORED : PAST_END_COUNTS;
    struct gc__range stacks[2];
    unsigned count = 2;

    if (stack_in_heap(heap, sp, &stacks[0]))
        stacks[1] = gc__os_whole_stack(mutator->stack);
    else
        count = gc__os_stacks_in_use(sp, mutator->stack, stacks);
    for (unsigned i = 0; i < count; i++)
        gc__marker_scan_roots(&heap->marker, stacks[i], past_end);
}

static void mark_mutator(struct heap *heap, const struct mutator *mutator)
{
    uintptr_t held = (uintptr_t)&mutator->held;

    mark_stacks(heap, mutator);
    mark_range((struct gc__range){held, held + sizeof mutator->held}, &heap->marker);
}

/* ---- Mutators --------------------------------------------------------------- */

/* The cells of a run that were not handed out are the mutator's: black. They
 * are zero or pointer-free, so there is nothing to scan. */
static void blacken_run(struct region *region, const struct run *run, struct census *unissued)
{
    for (const char *cell = run->cur; cell < run->end; cell += run->cell_bytes) {
        size_t granule = gc__granule_of(region, cell);

        gc__bits_of(region, granule)->mark |= gc__bit_of(granule);
        unissued->objects++;
        unissued->bytes += run->cell_bytes;
    }
}

/* Mutators keep their runs across a collection, but not their blocks and
 * magazines: cells in those became free when everything was made white.
 * Returns what is black by this, and no object yet. */
static struct census keep_runs(struct heap *heap)
{
    struct census unissued = {0};

    for (struct mutator *mutator = heap->mutators.first; mutator != NULL; mutator = mutator->next)
        for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++)
            for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
                struct run *run = &mutator->runs[kind][c];

                run->block = 0;
                run->freed = 0;
                blacken_run(&heap->region, run, &unissued);
            }
    return unissued;
}

/* ---- The cycle --------------------------------------------------------------- */

static void note_pause(struct cycle_record *record, uint64_t pause_ns)
{
    record->pause_last_ns = pause_ns;
    record->pause_total_ns += pause_ns;
    record->pause_max_ns = pause_ns > record->pause_max_ns ? pause_ns : record->pause_max_ns;
}

static void note_marked(struct heap *heap, const struct census *marked, const struct census *unissued)
{
    size_t live_bytes = marked->bytes - unissued->bytes;

    heap->record.collections++;
    heap->record.live_bytes = live_bytes;
    heap->record.objects_marked = marked->objects - unissued->objects;
    gc__pace_begin_again(&heap->pace, live_bytes, gc__min(marked->scanned_bytes, live_bytes),
                         heap->region.held_pages << GC_PAGE_SHIFT);
}

static void cycle(struct heap *heap)
{
    uint64_t start_ns = gc__os_clock_ns();
    struct census unissued, marked;

    heap->region.now_ns = start_ns;
    gc__sweep_finish_and_whiten(&heap->region, &heap->bins);
    gc__marker_begin(&heap->marker);
    unissued = keep_runs(heap);

    mark_mutator(heap, heap->mutators.first);
    mark_globals(heap);
    gc__marker_drain(&heap->marker);
    gc__observe_marked(heap);

    marked = gc__sweep_publish_marks(&heap->region, &heap->bins);
    note_marked(heap, &marked, &unissued);
    gc__worklist_trim(&heap->marker.worklist);
    gc__return_memory(heap);
    note_pause(&heap->record, gc__os_clock_ns() - start_ns);
}

void gc__collect(struct heap *heap)
{
    if (heap->collecting)
        return;
    heap->collecting = true;
    cycle(heap);
    heap->collecting = false;
    gc__observe_cycle(heap);
}

/* Counts allocations under stress; then every one comes by here. */
static bool stress_wants_one(struct heap *heap)
{
    if (heap->options.stress == 0 || --heap->stress_countdown != 0)
        return false;
    heap->stress_countdown = heap->options.stress;
    return true;
}

void gc__collect_if_due(struct heap *heap, size_t bytes)
{
    bool due = gc__pace_is_due(&heap->pace, bytes) || stress_wants_one(heap);

    if (due && heap->disabled == 0)
        gc__collect(heap);
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

/* Cells that were not handed out must not keep their blocks: 240 runs can hold
 * ten megabytes of units. */
static void drop_runs(struct heap *heap)
{
    for (struct mutator *mutator = heap->mutators.first; mutator != NULL; mutator = mutator->next)
        for (unsigned kind = 0; kind < GC_KIND_COUNT; kind++)
            for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
                struct run *run = &mutator->runs[kind][c];

                mutator->claimed_bytes -= (size_t)(run->end - run->cur);
                run->cur = run->end = NULL;
            }
}

void gc__collect_hard(struct heap *heap)
{
    if (!heap->collecting)
        drop_runs(heap);
    gc__collect(heap);
    gc__region_decommit(&heap->region, UINT64_MAX);
}
