#include "gc/cycle/runs.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"

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

/* A mutator that stands in one of our calls gives up its runs for want of
 * memory: those of the built-in kinds alone can hold ten megabytes of units. Elsewhere it may have
 * been stopped halfway through the fast path. */
static bool gives_up_runs(const struct heap *heap, const struct mutator *mutator)
{
    return heap->hard && mutator->sp != 0;
}

typedef void visit_run(struct heap *heap, struct mutator *mutator, struct run *run, struct census *unissued);

static void each_used_run(struct heap *heap, struct mutator *mutator, visit_run *visit, struct census *unissued)
{
    for (unsigned lane = 0; (lane = gc__mutator_used_lane(mutator, lane)) < mutator->lanes; lane++) {
        struct run *run = gc__mutator_run(mutator, lane);

        visit(heap, mutator, run, unissued);
        if (run->cur == run->end && run->block == 0 && run->freed == 0)
            gc__bitmap_clear(mutator->used, lane, lane + 1);
    }
}

static void keep_run(struct heap *heap, struct mutator *mutator, struct run *run, struct census *unissued)
{
    run->block = 0;
    run->freed = 0;
    run->claimed = 0;
    if (gives_up_runs(heap, mutator)) {
        mutator->claimed_bytes -= (size_t)(run->end - run->cur);
        run->cur = run->end = NULL;
    }
    blacken_run(&heap->region, run, unissued);
}

/* One that did not come to claim anything between two collections, as it slept or
 * waited, will do so before long. */
static bool note_activity(struct mutator *mutator)
{
    if (mutator->claimed_bytes != mutator->claimed_before)
        mutator->idle_cycles = 0;
    else if (mutator->idle_cycles < GC_IDLE_CYCLES)
        mutator->idle_cycles++;
    return mutator->claimed_bytes != 0 && mutator->idle_cycles < GC_IDLE_CYCLES;
}

/* Mutators keep their runs across a collection, but not their blocks and
 * magazines: cells in those became free when everything was made white. */
struct keeping gc__runs_keep(struct heap *heap)
{
    struct keeping keeping = {{0}, 0};

    gc__region_forget_homes(&heap->region); /* some mutators ended without leaving theirs */
    for (struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next) {
        keeping.active += note_activity(mutator);
        each_used_run(heap, mutator, keep_run, &keeping.unissued);
        gc__region_keep_homes(&heap->region, &mutator->homes);
        mutator->claimed_before = mutator->claimed_bytes;
        mutator->allowance = 0;
    }
    return keeping;
}

static void empty_magazine(struct heap *heap, struct mutator *mutator, struct run *run, struct census *unissued)
{
    (void)heap, (void)mutator, (void)unissued;
    run->freed = 0;
}

void gc__runs_empty_magazines(struct heap *heap)
{
    for (struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next)
        each_used_run(heap, mutator, empty_magazine, NULL);
}
