#include "gc/alloc/small.h"

#include "gc/cycle/collect.h"

#include <string.h>

/* ---- Filling a run ---------------------------------------------------------------- */

/* The youngest freed cell is the likeliest to be in the cache. Its mark bit,
 * set while it lay in the magazine, stays: black until the next cycle. */
static bool refill_from_magazine(struct heap *heap, struct mutator *mutator, struct run *run, enum gc__kind kind,
                                 unsigned class_index)
{
    const struct magazine *magazine = &mutator->magazines[kind][class_index];
    size_t granule;

    if (run->freed == 0)
        return false;
    run->cur = magazine->cell[--run->freed];
    run->end = run->cur + run->cell_bytes;
    granule = gc__granule_of(&heap->region, run->cur);
    gc__bits_of(&heap->region, granule)->allocated |= gc__bit_of(granule);
    if (gc__kinds[kind].zeroed)
        memset(run->cur, 0, run->cell_bytes);
    return true;
}

/* Under stress every allocation comes to the slow path: runs of one cell. */
static size_t run_bytes(const struct heap *heap)
{
    return heap->options.stress != 0 ? 0 : GC_RUN_BYTES;
}

static bool refill_from_block(struct heap *heap, struct run *run)
{
    struct block *block;

    if (run->block == 0)
        return false;
    block = &heap->region.blocks[run->block - 1];
    if (gc__block_claim(&heap->region, block, run, run_bytes(heap), gc__heap_births_are_black(heap)))
        return true;
    gc__sweep_retire_block(block);
    run->block = 0;
    return false;
}

static struct block *new_block(struct heap *heap, enum gc__kind kind, unsigned class_index)
{
    size_t unit;
    bool fresh;

    if (!gc__region_take_units(&heap->region, gc__sizeclass(class_index)->units, &unit, &fresh))
        return NULL;
    return gc__block_create(&heap->region, unit, class_index, kind, fresh);
}

/* Makes a block the mutator's current one; false when there is none. */
static bool next_block(struct heap *heap, struct run *run, enum gc__kind kind, unsigned class_index)
{
    struct block *block = gc__sweep_take_block(&heap->region, &heap->bins, kind, class_index);

    gc__return_memory(heap);
    if (block == NULL)
        block = new_block(heap, kind, class_index);
    if (block == NULL)
        return false;
    run->block = (uint32_t)gc__block_unit(&heap->region, block) + 1;
    return true;
}

static bool refill(struct heap *heap, struct mutator *mutator, struct run *run, enum gc__kind kind,
                   unsigned class_index)
{
    if (refill_from_magazine(heap, mutator, run, kind, class_index))
        return true;
    while (!refill_from_block(heap, run))
        if (!next_block(heap, run, kind, class_index))
            return false;
    return true;
}

/* ---- Allocating ---------------------------------------------------------------------- */

void *gc__small_allocate(struct heap *heap, struct mutator *mutator, enum gc__kind kind, unsigned class_index)
{
    struct run *run = &mutator->runs[kind][class_index];

    if (run->cur != run->end) /* aligned and resized objects come here without having looked */
        return gc__run_next(run);
    run->cell_bytes = gc__sizeclass(class_index)->cell_bytes;
    gc__collect_if_due(heap, run->cell_bytes);
    if (!refill(heap, mutator, run, kind, class_index))
        return NULL;
    mutator->claimed_bytes += (size_t)(run->end - run->cur);
    gc__pace_note_allocated(&heap->pace, (size_t)(run->end - run->cur));
    return gc__run_next(run);
}

/* ---- Freeing --------------------------------------------------------------------------- */

void gc__small_free(struct heap *heap, struct mutator *mutator, struct object object)
{
    struct block *block = object.block;
    struct run *run = &mutator->runs[block->kind][block->class_index];
    struct bits *bits = gc__bits_of(&heap->region, object.granule);
    uint64_t bit = gc__bit_of(object.granule);
    size_t bytes = (size_t)block->cell_granules << GC_GRANULE_SHIFT;

    mutator->freed_bytes += bytes;
    gc__pace_note_freed(&heap->pace, bytes);
    bits->allocated &= ~bit;
    if (run->freed < GC_MAGAZINE_CELLS) {
        bits->mark |= bit;
        mutator->magazines[block->kind][block->class_index].cell[run->freed++] =
            gc__granule_address(&heap->region, object.granule);
    } else {
        bits->mark &= ~bit;
        gc__sweep_note_free(&heap->region, &heap->bins, block, object.granule);
    }
}
