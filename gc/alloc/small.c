#include "gc/alloc/small.h"

#include "gc/alloc/magazine.h"
#include "gc/base/align.h"
#include "gc/cycle/collect.h"

#include <string.h>

/* ---- Filling a run ---------------------------------------------------------------- */

static bool refill_from_magazine(struct heap *heap, struct mutator *mutator, struct run *run, unsigned lane)
{
    if (run->freed == 0)
        return false;
    run->cur = gc__magazine_take(heap, mutator, lane);
    run->end = run->cur + run->cell_bytes;
    if (gc__kinds[gc__lane(lane).kind].zeroed)
        memset(run->cur, 0, run->cell_bytes);
    return true;
}

/* Under stress every allocation comes to the slow path: runs of one cell. A
 * mutator that has claimed little of a class takes little at a time: two hundred
 * threads in twenty classes each hold less than they use, then. */
static size_t run_bytes(const struct heap *heap, const struct run *run)
{
    if (heap->options.stress != 0)
        return 0;
    return heap->region.threaded ? gc__min(GC_RUN_BYTES, gc__max(run->claimed, GC_FIRST_RUN_BYTES)) : GC_RUN_BYTES;
}

static bool claim(struct heap *heap, struct block *block, struct run *run, bool *dirty)
{
    return gc__block_claim(&heap->region, block, run, run_bytes(heap, run), dirty);
}

/* `homes`: of who wants it for itself. */
static struct block *new_block(struct heap *heap, struct homes *homes, struct lane lane)
{
    unsigned units = gc__sizeclass(lane.class_index)->units;
    size_t unit;
    bool fresh;

    if (homes != NULL ? !gc__region_take_units_at_home(&heap->region, homes, GC_HOME_CHUNKS / heap->world.count, units,
                                                       &unit, &fresh)
                      : !gc__region_take_units(&heap->region, units, &unit, &fresh))
        return NULL;
    return gc__block_create(&heap->region, unit, lane.class_index, lane.kind, fresh);
}

/* Under the lock: a block for whoever wants to claim from it. */
static struct block *next_block(struct heap *heap, struct homes *homes, unsigned lane, bool *unswept)
{
    struct block *block = gc__sweep_take_block(&heap->region, &heap->bins, lane, unswept);

    gc__return_memory(heap);
    return block != NULL ? block : new_block(heap, homes, gc__lane(lane));
}

/* ---- A block of one's own ------------------------------------------------------------ */

static bool claim_from_own_block(struct heap *heap, struct run *run, bool *dirty)
{
    return run->block != 0 && claim(heap, &heap->region.blocks[run->block - 1], run, dirty);
}

static bool take_own_block(struct heap *heap, struct mutator *mutator, struct run *run, unsigned lane)
{
    struct homes *homes = heap->region.threaded ? &mutator->homes : NULL;
    struct block *block;
    bool unswept = false;

    gc__world_lock(&heap->world);
    if (run->block != 0)
        gc__sweep_retire_block(&heap->region, &heap->bins, &heap->region.blocks[run->block - 1]);
    block = next_block(heap, homes, lane, &unswept);
    gc__mutator_use_run(mutator, lane);
    run->block = block != NULL ? (uint32_t)gc__block_unit(&heap->region, block) + 1 : 0;
    gc__world_unlock(&heap->world);
    if (unswept && block != NULL)
        gc__sweep_block(&heap->region, block);
    return block != NULL;
}

static bool refill_from_own_block(struct heap *heap, struct mutator *mutator, struct run *run, unsigned lane,
                                  bool *dirty)
{
    while (!claim_from_own_block(heap, run, dirty))
        if (!take_own_block(heap, mutator, run, lane))
            return false;
    return true;
}

/* ---- The shared block ------------------------------------------------------------------ */

static bool claim_from_shared_block(struct heap *heap, struct run *run, unsigned lane, bool *dirty)
{
    struct bin *bin = &heap->bins.bin[lane];

    for (;;) {
        struct block *block;
        bool unswept = false;

        if (bin->shared != 0) {
            block = &heap->region.blocks[bin->shared - 1];
            if (claim(heap, block, run, dirty))
                return true;
            bin->shared = 0;
            gc__sweep_retire_block(&heap->region, &heap->bins, block);
        }
        block = next_block(heap, NULL, lane, &unswept);
        if (block == NULL)
            return false;
        if (unswept)
            gc__sweep_block(&heap->region, block);
        bin->shared = (uint32_t)gc__block_unit(&heap->region, block) + 1;
    }
}

static bool refill_from_shared_block(struct heap *heap, struct run *run, unsigned lane, bool *dirty)
{
    bool filled;

    gc__world_lock(&heap->world);
    filled = claim_from_shared_block(heap, run, lane, dirty);
    gc__world_unlock(&heap->world);
    return filled;
}

/* Who has claimed a block's worth of a class since the last collection is worth
 * a block of that class; others claim from one that all share. */
static bool wants_own_block(const struct heap *heap, const struct run *run)
{
    return run->block != 0 || !heap->region.threaded || run->claimed >= GC_UNIT_BYTES;
}

static bool refill(struct heap *heap, struct mutator *mutator, struct run *run, unsigned lane)
{
    bool dirty;

    if (refill_from_magazine(heap, mutator, run, lane))
        return true;
    if (wants_own_block(heap, run) ? !refill_from_own_block(heap, mutator, run, lane, &dirty)
                                   : !refill_from_shared_block(heap, run, lane, &dirty))
        return false;
    gc__block_open_run(run, gc__lane(lane).kind, dirty);
    return true;
}

/* ---- Allocating ---------------------------------------------------------------------- */

unsigned gc__small_lane(struct heap *heap, struct mutator *mutator, unsigned kind, unsigned class_index)
{
    unsigned lane = gc__lane_of(kind, class_index);

    if (lane < mutator->lanes)
        return lane;
    gc__world_lock(&heap->world);
    lane = gc__kind_add_lane(kind, class_index);
    if (lane != GC_NO_LANE && !gc__mutator_use_lane(mutator, lane))
        lane = GC_NO_LANE;
    gc__world_unlock(&heap->world);
    return lane;
}

void *gc__small_allocate(struct heap *heap, struct mutator *mutator, unsigned lane)
{
    struct run *run = gc__mutator_run(mutator, lane);

    if (run->cur != run->end) /* aligned and resized objects come here without having looked */
        return gc__run_next(run);
    run->cell_bytes = gc__sizeclass(gc__lane(lane).class_index)->cell_bytes;
    gc__collect_if_due(heap, mutator, run->cell_bytes);
    GC_STAGGER();
    if (!refill(heap, mutator, run, lane))
        return NULL;
    GC_STAGGER();
    gc__mutator_use_run(mutator, lane);
    gc__note_claimed(heap, mutator, (size_t)(run->end - run->cur));
    run->claimed = (uint32_t)gc__min(run->claimed + (size_t)(run->end - run->cur), GC_UNIT_BYTES);
    return gc__run_next(run);
}

/* ---- Freeing --------------------------------------------------------------------------- */

/* Back into a block, for anyone. Under the lock from the start: while it is
 * waited for, a collection may change the block. */
static void give_back(struct heap *heap, struct block *block, size_t granule)
{
    struct bits *bits = gc__bits_of(&heap->region, granule);
    uint64_t bit = gc__bit_of(granule);

    gc__world_lock(&heap->world);
    gc__bits_clear(&heap->region, &bits->allocated, bit);
    gc__bits_clear(&heap->region, &bits->mark, bit);
    gc__sweep_note_free(&heap->region, &heap->bins, block, granule);
    gc__world_unlock(&heap->world);
}

static void give_back_freed(struct region *region, struct bins *bins, const void *cell)
{
    size_t granule = gc__granule_of(region, cell);

    gc__bits_clear(region, &gc__bits_of(region, granule)->mark, gc__bit_of(granule));
    gc__sweep_note_free(region, bins, gc__block_head(&region->blocks[granule / GC_UNIT_GRANULES]), granule);
}

/* The older half of a full magazine, so that the lock is taken once for many. */
static void make_room(struct heap *heap, struct mutator *mutator, unsigned lane)
{
    struct magazine *magazine = gc__mutator_magazine(mutator, lane);
    struct run *run = gc__mutator_run(mutator, lane);
    unsigned half;

    gc__world_lock(&heap->world);
    half = run->freed / 2; /* none, after a collection meanwhile */
    for (unsigned i = 0; i < half; i++)
        give_back_freed(&heap->region, &heap->bins, magazine->cell[i]);
    run->freed -= half;
    memmove(magazine->cell, magazine->cell + half, run->freed * sizeof magazine->cell[0]);
    gc__world_unlock(&heap->world);
}

void gc__small_free(struct heap *heap, struct mutator *mutator, struct object object)
{
    unsigned lane = object.block->lane;

    if (gc__magazine_put(heap, mutator, &object))
        return;
    if (lane < mutator->lanes && gc__mutator_run(mutator, lane)->freed != 0) {
        make_room(heap, mutator, lane);
        if (gc__magazine_put(heap, mutator, &object))
            return;
    }
    gc__note_freed(heap, mutator, (size_t)object.block->cell_granules << GC_GRANULE_SHIFT);
    give_back(heap, object.block, object.granule);
}

/* ---- Ending ------------------------------------------------------------------------------ */

static void give_back_run(struct heap *heap, struct run *run, struct magazine *magazine)
{
    struct region *region = &heap->region;
    struct object object;

    for (; run->cur != run->end; run->cur += run->cell_bytes)
        if (gc__resolve(region, gc__ambiguous(run->cur), &object))
            give_back(heap, object.block, object.granule);
    while (run->freed > 0)
        give_back_freed(region, &heap->bins, magazine->cell[--run->freed]);
    if (run->block != 0)
        gc__sweep_abandon_block(region, &heap->bins, &region->blocks[run->block - 1]);
    run->block = 0;
}

void gc__small_give_back_all(struct heap *heap, struct mutator *mutator)
{
    gc__region_leave_homes(&heap->region, &mutator->homes);
    for (unsigned lane = 0; (lane = gc__mutator_used_lane(mutator, lane)) < mutator->lanes; lane++) {
        struct run *run = gc__mutator_run(mutator, lane);

        mutator->claimed_bytes -= (size_t)(run->end - run->cur);
        give_back_run(heap, run, gc__mutator_magazine(mutator, lane));
    }
}
