#include "gc/reclaim/sweep.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

#include <stdatomic.h>
#include <string.h>

static void list_push(struct region *region, uint32_t *list, struct block *block, enum block_state state)
{
    gc__block_set_state(block, state);
    block->next = *list;
    *list = (uint32_t)gc__block_unit(region, block) + 1;
}

static struct block *list_pop(struct region *region, uint32_t *list)
{
    struct block *block;

    if (*list == 0)
        return NULL;
    block = &region->blocks[*list - 1];
    *list = block->next;
    block->next = 0;
    return block;
}

static uint16_t lower(uint16_t a, uint16_t b)
{
    return a < b ? a : b;
}

static struct bin *bin_of(struct bins *bins, const struct block *block)
{
    return &bins->bin[block->lane];
}

static void empty(struct bins *bins)
{
    memset(bins->bin, 0, gc__lane_count * sizeof *bins->bin);
}

/* Nobody claims from it for now. */
static void await_publication(struct block *block)
{
    gc__block_set_state(block, BLOCK_AWAITING);
    block->freed = GC_NOTHING_FREED;
}

/* ---- By all markers, while the world stands ------------------------------------------------ */

static size_t parts_of(const struct region *region)
{
    return gc__divide_up(region->accessible, GC_SWEEP_PART_CHUNKS);
}

bool gc__sweep_is_shared(const struct gang *gang)
{
    return gang->markers > 1 && parts_of(gang->region) > 1;
}

/* Of a part: its first chunk, and the one behind its last. */
static size_t first_of(size_t part)
{
    return part * GC_SWEEP_PART_CHUNKS;
}

static size_t end_of(const struct region *region, size_t part)
{
    return gc__min(first_of(part + 1), region->accessible);
}

/* ---- To begin with --------------------------------------------------------------------------- */

static void finish_and_whiten_chunk(struct region *region, size_t c, bool sticky)
{
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];
    size_t head, page = 0;

    for (size_t i = 0; i < GC_UNITS_PER_CHUNK; i++)
        if (gc__block_is_head(&blocks[i])) {
            gc__block_sweep_and_whiten(region, &blocks[i], sticky);
            await_publication(&blocks[i]);
        }
    for (; !sticky && gc__large_next_in_chunk(region, c, page, &head); page = head + gc__large_pages(region, head))
        gc__bits_of(region, gc__large_granule(head))->mark = 0;
}

struct whitening {
    struct region *region;
    bool sticky;
};

static void finish_and_whiten(size_t part, void *argument)
{
    const struct whitening *whitening = argument;

    for (size_t c = first_of(part); c < end_of(whitening->region, part); c++)
        finish_and_whiten_chunk(whitening->region, c, whitening->sticky);
}

void gc__sweep_finish_and_whiten(struct gang *gang, struct bins *bins, bool sticky)
{
    struct whitening whitening = {gang->region, sticky};

    gc__gang_share(gang, parts_of(gang->region), finish_and_whiten, &whitening);
    empty(bins);
}

/* ---- To begin with, beside the mutators ------------------------------------------------------- */

void gc__sweep_await_publication(struct region *region, struct bins *bins)
{
    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit])) {
            await_publication(&region->blocks[unit]);
            region->blocks[unit].marked = true;
        }
    empty(bins);
}

void gc__sweep_give_marks_up(struct region *region)
{
    size_t head, page = 0;

    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit]))
            gc__block_note_mark(&region->blocks[unit]); /* which mutators do, too */
    while (gc__large_next(region, page, &head)) {
        page = head + gc__large_pages(region, head);
        if (gc__large_is_condemned(region, head))
            gc__large_destroy(region, head);
    }
}

void gc__sweep_chunk(struct region *region, size_t c)
{
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];

    for (unsigned i = 0; i < GC_UNITS_PER_CHUNK; i++)
        if (gc__block_is_head(&blocks[i]) && gc__block_state(&blocks[i]) == BLOCK_UNSWEPT) {
            gc__block_sweep(region, &blocks[i]);
            gc__block_set_state(&blocks[i], BLOCK_PARTIAL);
        }
}

/* Mutators may claim cells meanwhile that are neither marked nor were allocated. */
void gc__sweep_whiten_chunk(struct region *region, size_t c, bool sticky)
{
    struct bits *bits = &region->bits[c * (GC_BITS_BYTES_PER_CHUNK / sizeof(struct bits))];
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];

    for (size_t i = 0; i < GC_BITS_BYTES_PER_CHUNK / sizeof *bits; i++) {
        uint64_t white = sticky ? bits[i].mark & ~gc__bits_get(&bits[i].allocated) : bits[i].mark;

        if (white != 0)
            gc__bits_clear(region, &bits[i].mark, white);
    }
    gc__bitmap_clear(region->marked_pages, c * GC_PAGES_PER_CHUNK, (c + 1) * GC_PAGES_PER_CHUNK);
    for (size_t i = 0; i < GC_UNITS_PER_CHUNK; i++) {
        if (!gc__block_is_head(&blocks[i]))
            continue;
        if (blocks[i].restless > 0 && gc__block_state(&blocks[i]) != BLOCK_CURRENT)
            blocks[i].restless--;
        if (sticky && gc__kinds[blocks[i].kind].scanned)
            gc__block_note_marked_pages(region, &blocks[i]);
    }
}

/* ---- To end with ------------------------------------------------------------------------------ */

static void count(struct census *census, size_t objects, size_t bytes, bool scanned)
{
    census->objects += objects;
    census->bytes += bytes;
    census->scanned_bytes += scanned ? bytes : 0;
}

/* What becomes of a block shows in it then: it is full; it goes on waiting, and is marked; or
 * it does, and is empty. */
static void judge_block(const struct region *region, struct census *census, struct block *block)
{
    size_t marked = gc__block_count_marked(region, block);
    size_t cell_bytes = (size_t)block->cell_granules << GC_GRANULE_SHIFT;

    count(census, marked, marked * cell_bytes, gc__kinds[block->kind].scanned);
    block->marked = marked != 0;
    if (marked == block->cells)
        gc__block_set_state(block, BLOCK_FULL);
}

static bool awaits_publication(const struct block *block)
{
    return gc__block_is_head(block) && gc__block_state(block) == BLOCK_AWAITING;
}

static void judge_chunk(const struct region *region, struct census *census, size_t c)
{
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];

    for (unsigned i = 0; i < GC_UNITS_PER_CHUNK; i++)
        if (awaits_publication(&blocks[i]))
            judge_block(region, census, &blocks[i]);
}

/* Downwards, so that the lowest block comes to the head of its list. */
static void settle_chunk(struct region *region, struct bins *bins, size_t c)
{
    struct block *blocks = &region->blocks[c * GC_UNITS_PER_CHUNK];

    for (unsigned i = GC_UNITS_PER_CHUNK; i-- > 0;) {
        if (!awaits_publication(&blocks[i]))
            continue;
        if (blocks[i].marked)
            list_push(region, &bin_of(bins, &blocks[i])->unswept, &blocks[i], BLOCK_UNSWEPT);
        else
            gc__block_destroy(region, &blocks[i]);
    }
}

static void count_large(const struct region *region, struct census *census, size_t head)
{
    size_t untouched = gc__large_untouched_bytes(region, head);

    count(census, 1, gc__large_bytes(region, head) - untouched, gc__kinds[gc__large_kind(region, head)].scanned);
    census->untouched_bytes += untouched;
}

static void publish_large(struct region *region, struct census *census, size_t head)
{
    if (gc__bits_of(region, gc__large_granule(head))->mark == 0 || gc__large_is_condemned(region, head))
        gc__large_destroy(region, head);
    else
        count_large(region, census, head);
}

static void publish_large_of_chunk(struct region *region, struct census *census, size_t c)
{
    size_t head, page = 0;

    while (gc__large_next_in_chunk(region, c, page, &head)) {
        page = head + gc__large_pages(region, head);
        publish_large(region, census, head);
    }
}

void gc__sweep_publish_chunk(struct region *region, struct bins *bins, size_t c, struct census *census)
{
    judge_chunk(region, census, c);
    settle_chunk(region, bins, c);
    publish_large_of_chunk(region, census, c);
}

struct judging {
    const struct region *region;
    _Atomic uint64_t objects, bytes, scanned_bytes; /* a census of small objects */
};

static void judge(size_t part, void *argument)
{
    struct judging *judging = argument;
    struct census census = {0};

    for (size_t c = first_of(part); c < end_of(judging->region, part); c++)
        judge_chunk(judging->region, &census, c);
    atomic_fetch_add_explicit(&judging->objects, census.objects, memory_order_relaxed);
    atomic_fetch_add_explicit(&judging->bytes, census.bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&judging->scanned_bytes, census.scanned_bytes, memory_order_relaxed);
}

/* To count takes the time, and is done together; lists and the free space have one owner. */
struct census gc__sweep_publish_marks(struct gang *gang, struct bins *bins)
{
    struct judging judging = {.region = gang->region};
    struct census census;

    gc__gang_share(gang, parts_of(gang->region), judge, &judging);
    census = (struct census){judging.objects, judging.bytes, judging.scanned_bytes, 0};
    for (size_t c = gang->region->accessible; c-- > 0;) {
        settle_chunk(gang->region, bins, c);
        publish_large_of_chunk(gang->region, &census, c);
    }
    return census;
}

/* ---- Blocks to claim from ---------------------------------------------------------------------- */

struct block *gc__sweep_take_block(struct region *region, struct bins *bins, unsigned lane, bool *unswept)
{
    struct bin *bin = &bins->bin[lane];
    struct block *block = list_pop(region, &bin->partial);

    if (block == NULL)
        block = list_pop(region, &bin->unswept);
    *unswept = block != NULL && gc__block_is_unswept(block);
    if (block == NULL)
        return NULL;
    gc__block_set_state(block, *unswept ? BLOCK_SWEEPING : BLOCK_CURRENT);
    if (block->restless < GC_RESTLESS_CLAIMED_CYCLES)
        block->restless = GC_RESTLESS_CLAIMED_CYCLES;
    return block;
}

void gc__sweep_block(struct region *region, struct block *block)
{
    gc__block_sweep(region, block);
    gc__block_set_state(block, BLOCK_CURRENT);
}

/* Into the list of those with free cells, from `cursor` on. */
static void list_partial(struct region *region, struct bins *bins, struct block *block, uint16_t cursor)
{
    block->cursor = cursor;
    block->fresh = false;
    list_push(region, &bin_of(bins, block)->partial, block, BLOCK_PARTIAL);
}

void gc__sweep_retire_block(struct region *region, struct bins *bins, struct block *block)
{
    uint16_t freed = block->freed;

    GC_ASSERT(block->state == BLOCK_CURRENT);
    block->freed = GC_NOTHING_FREED;
    if (freed != GC_NOTHING_FREED)
        list_partial(region, bins, block, freed);
    else
        gc__block_set_state(block, BLOCK_FULL);
}

void gc__sweep_abandon_block(struct region *region, struct bins *bins, struct block *block)
{
    if (block->cursor < gc__block_cell_granules_end(block))
        block->freed = lower(block->freed, block->cursor);
    gc__sweep_retire_block(region, bins, block);
}

/* The cursor of a current block is its claimer's. */
void gc__sweep_note_free(struct region *region, struct bins *bins, struct block *block, size_t granule)
{
    uint16_t in_block = (uint16_t)(granule - gc__block_first_granule(region, block));

    switch (gc__block_state(block)) {
    case BLOCK_AWAITING:
    case BLOCK_UNSWEPT:
    case BLOCK_SWEEPING: break; /* sweeping will find it */
    case BLOCK_CURRENT: block->freed = lower(block->freed, in_block); break;
    case BLOCK_PARTIAL: block->cursor = lower(block->cursor, in_block); break;
    default: list_partial(region, bins, block, in_block);
    }
}

/* ---- Audit --------------------------------------------------------------------------------------- */

/* Blocks that were swept where they lay are in the list of the unswept still. */
static size_t audit_list(const struct region *region, uint32_t list, bool unswept, unsigned lane)
{
    size_t count = 0;

    for (; list != 0; list = region->blocks[list - 1].next, count++) {
        const struct block *block = &region->blocks[list - 1];

        GC_AUDIT(gc__block_is_head(block) && block->lane == lane);
        GC_AUDIT(block->state == BLOCK_PARTIAL || (unswept && block->state == BLOCK_UNSWEPT));
        GC_AUDIT(count < region->accessible * GC_UNITS_PER_CHUNK); /* no ring */
    }
    return count;
}

void gc__sweep_audit(const struct region *region, const struct bins *bins)
{
    size_t listed = 0, states = 0;

    for (unsigned lane = 0; lane < gc__lane_count; lane++) {
        const struct bin *bin = &bins->bin[lane];

        listed += audit_list(region, bin->unswept, true, lane);
        listed += audit_list(region, bin->partial, false, lane);
        if (bin->shared != 0)
            GC_AUDIT(region->blocks[bin->shared - 1].state == BLOCK_CURRENT);
    }
    for (size_t unit = 0; unit < region->accessible * GC_UNITS_PER_CHUNK; unit++) {
        const struct block *block = &region->blocks[unit];
        if (gc__block_is_head(block) && (block->state == BLOCK_UNSWEPT || block->state == BLOCK_PARTIAL))
            states++;
    }
    GC_AUDIT(listed == states);
}
