/* magazine.h - freed cells of one class and kind, for the mutator's next allocations
 * of it. The youngest is the likeliest to be in the cache.
 *
 * In a magazine a cell is no object, and not free either: its allocated bit is
 * clear, its mark bit set (gc/heap/block.h). A collection empties all magazines.
 *
 * Threads: the mutator's own, which is `inside`: it is not stopped halfway. */
#ifndef GC_ALLOC_MAGAZINE_H
#define GC_ALLOC_MAGAZINE_H

#include "gc/cycle/allowance.h"

/* Takes back a live cell of a lane that the mutator can use: `run` and `magazine` are
 * its. False: it has to go elsewhere. */
static inline bool gc__magazine_put_at(struct heap *heap, struct mutator *mutator, struct run *run,
                                       struct magazine *magazine, const struct object *object)
{
    struct block *block = object->block;
    struct bits *bits = gc__bits_of(&heap->region, object->granule);
    uint64_t bit = gc__bit_of(object->granule);
    uint32_t freed = run->freed;

    if (freed == GC_MAGAZINE_CELLS || (size_t)freed * run->cell_bytes >= GC_MAGAZINE_BYTES ||
        heap->concurrent.no_magazines)
        return false;
    if (freed == 0) { /* and perhaps the mutator has claimed none of that class yet */
        gc__mutator_use_run(mutator, block->lane);
        run->cell_bytes = (uint32_t)block->cell_granules << GC_GRANULE_SHIFT;
    }
    if ((gc__bits_get(&bits->mark) & bit) == 0) { /* as for what was born since the last cycle */
        gc__block_note_mark(block);
        gc__bits_set(&heap->region, &bits->mark, bit);
    }
    gc__bits_clear(&heap->region, &bits->allocated, bit);
    magazine->cell[freed] = gc__granule_address(&heap->region, object->granule);
    run->freed = freed + 1;
    gc__note_freed(heap, mutator, run->cell_bytes);
    return true;
}

/* Takes back a live cell. False: it has to go elsewhere. Another thread's kind may
 * have no magazine here. */
static inline bool gc__magazine_put(struct heap *heap, struct mutator *mutator, const struct object *object)
{
    unsigned lane = object->block->lane;

    return lane < mutator->lanes && gc__magazine_put_at(heap, mutator, gc__mutator_run(mutator, lane),
                                                        gc__mutator_magazine(mutator, lane), object);
}

/* The youngest cell, as it was left. Its mark bit stays: black until the next cycle. */
static inline void *gc__magazine_take(struct heap *heap, struct mutator *mutator, unsigned lane)
{
    struct run *run = gc__mutator_run(mutator, lane);
    void *cell = gc__mutator_magazine(mutator, lane)->cell[--run->freed];
    size_t granule = gc__granule_of(&heap->region, cell);

    gc__bits_set(&heap->region, &gc__bits_of(&heap->region, granule)->allocated, gc__bit_of(granule));
    return cell;
}

#endif
