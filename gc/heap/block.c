#include "gc/heap/block.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <string.h>

/* Of a layout whose pointers all come first, these are scanned like any words, which
 * is fastest. */
static uint16_t scanned_granules(const struct gc_kind *kind, unsigned lane, const struct sizeclass *class)
{
    const struct cell_map *map;

    if (!kind->scanned)
        return 0;
    if (kind->form == KIND_WORDS)
        return class->cell_granules;
    map = gc__cell_map(lane);
    return map->from == 0 && map->chosen == 0 && map->granules != 0 ? map->granules : GC_SCANNED_BY_KIND;
}

struct block *gc__block_create(struct region *region, size_t unit, unsigned class_index, unsigned kind, bool fresh)
{
    const struct sizeclass *class = gc__sizeclass(class_index);
    struct block *head = &region->blocks[unit];
    unsigned lane = gc__lane_of(kind, class_index);

    for (unsigned i = 0; i < class->units; i++)
        head[i] = (struct block){
            .reciprocal = class->reciprocal,
            .cell_granules = class->cell_granules,
            .cells = class->cells,
            .form = FORM_BLOCK,
            .units_to_head = (uint8_t)i,
            .kind = (uint16_t)kind,
            .lane = (uint16_t)lane,
            .scanned_granules = scanned_granules(&gc__kinds[kind], lane, class),
            .full = class->full,
            .class_index = (uint8_t)class_index,
            .units = class->units,
            .state = BLOCK_CURRENT,
            .fresh = fresh,
            .freed = GC_NOTHING_FREED,
            .restless = GC_RESTLESS_CLAIMED_CYCLES,
        };
    return head;
}

void gc__block_destroy(struct region *region, struct block *block)
{
    size_t unit = gc__block_unit(region, block);
    unsigned units = block->units;

    GC_ASSERT(gc__block_is_head(block));
    memset(gc__bits_of(region, unit * GC_UNIT_GRANULES), 0, units * GC_UNIT_GRANULES / 64 * sizeof(struct bits));
    memset(block, 0, units * sizeof *block);
    gc__region_give_units(region, unit, units);
}

/* ---- Claiming ---------------------------------------------------------------- */

/* Cells of a kilobyte and more are looked at one by one, smaller ones 64
 * granules at a time. */
static bool cells_are_sparse(const struct block *block)
{
    return block->cell_granules >= GC_WORD_BITS;
}

/* The cells that are not free. Whoever frees a cell into a magazine sets its
 * mark first, then clears the other bit: read in this order, one of them is
 * seen. */
static uint64_t taken_bits(const struct bits *pair)
{
    uint64_t allocated = gc__bits_get(&pair->allocated);

    return allocated | gc__bits_get(&pair->mark);
}

static bool is_taken(const struct bits *bits, size_t granule)
{
    return (taken_bits(&bits[granule / GC_WORD_BITS]) >> (granule % GC_WORD_BITS) & 1) != 0;
}

/* The first cell that starts in [from, end) of the block, and is taken or is
 * free as asked; `end` if there is none. */
static size_t find_cell(const struct block *block, const struct bits *bits, size_t from, size_t end, bool taken)
{
    if (cells_are_sparse(block)) {
        while (from < end && is_taken(bits, from) != taken)
            from += block->cell_granules;
        return from;
    }
    for (size_t granule = from; granule < end; granule = gc__next_word(granule)) {
        size_t word = granule & ~(size_t)(GC_WORD_BITS - 1);
        uint64_t all = taken_bits(&bits[word / GC_WORD_BITS]);
        uint64_t found = gc__block_cell_starts(block, word) & (taken ? all : ~all) & gc__word_mask(granule, end);

        if (found != 0)
            return word + (size_t)__builtin_ctzll(found);
    }
    return end;
}

/* Of a word in which nothing is taken nobody else changes an allocated bit. A marker
 * at work that sees an object is to see what kind of block it is in. */
static void allocate_bits(const struct region *region, struct bits *pair, uint64_t cells)
{
    if (taken_bits(pair) == 0)
        __atomic_store_n(&pair->allocated, cells, __ATOMIC_RELEASE);
    else
        gc__bits_set(region, &pair->allocated, cells);
}

static void allocate_cells(const struct region *region, const struct block *block, struct bits *bits, size_t from,
                           size_t end)
{
    if (cells_are_sparse(block)) {
        for (; from < end; from += block->cell_granules)
            allocate_bits(region, &bits[from / GC_WORD_BITS], gc__bit_of(from));
        return;
    }
    for (size_t granule = from; granule < end; granule = gc__next_word(granule)) {
        size_t word = granule & ~(size_t)(GC_WORD_BITS - 1);

        allocate_bits(region, &bits[word / GC_WORD_BITS],
                      gc__block_cell_starts(block, word) & gc__word_mask(granule, end));
    }
}

/* A fault takes as long as getting several pages at once. But a small heap has blocks of
 * many classes, and a program may have hundreds of kinds, and little is used of each:
 * there, memory comes in pieces that double. */
static size_t first_piece(const struct region *region, const struct block *block, size_t block_bytes)
{
    bool whole = gc__region_span(region) >= GC_POPULATE_WHOLE_BYTES && block->kind < GC_KIND_COUNT;

    return whole ? block_bytes : GC_POPULATE_FIRST_BYTES;
}

/* The run [from, end), in bytes, is the next one of a fresh block. */
static void populate(const struct region *region, const struct block *block, size_t from, size_t end)
{
    size_t block_bytes = block->units * GC_UNIT_BYTES;
    size_t done = 0, wanted = first_piece(region, block, block_bytes);

    for (; done < from; wanted *= 2)
        done = wanted;
    if (end > done)
        gc__os_populate(gc__granule_address(region, gc__block_first_granule(region, block)) + done,
                        gc__min(wanted, block_bytes) - done);
}

#define LINE_GRANULES (GC_PREFETCH_LINE_BYTES / sizeof(struct bits) * GC_WORD_BITS)

/* Of the block's next run: another processor may have written them last, in marking. */
static void prefetch_bits(const struct block *block, const struct bits *bits, size_t from)
{
    size_t end = gc__min(from + (GC_RUN_BYTES >> GC_GRANULE_SHIFT), gc__block_cell_granules_end(block));

    for (; from < end; from += LINE_GRANULES)
        __builtin_prefetch(&bits[from / GC_WORD_BITS], 1);
}

bool gc__block_claim(struct region *region, struct block *block, struct run *run, size_t max_bytes, bool *dirty)
{
    size_t first = gc__block_first_granule(region, block);
    size_t end = gc__block_cell_granules_end(block);
    size_t cell = block->cell_granules;
    size_t max = gc__max(max_bytes >> GC_GRANULE_SHIFT, cell) / cell * cell;
    struct bits *bits = gc__bits_of(region, first);
    size_t from = block->cursor;

    if (!block->fresh)
        from = find_cell(block, bits, from, end, false);
    if (from >= end)
        return false;
    end = gc__min(end, from + max);
    if (!block->fresh)
        end = find_cell(block, bits, from, end, true);

    prefetch_bits(block, bits, end);
    allocate_cells(region, block, bits, from, end);
    block->cursor = (uint16_t)end;
    run->cur = gc__granule_address(region, first + from);
    run->end = gc__granule_address(region, first + end);
    run->cell_bytes = (uint32_t)(cell << GC_GRANULE_SHIFT);
    *dirty = !block->fresh;
    if (block->fresh)
        populate(region, block, from << GC_GRANULE_SHIFT, end << GC_GRANULE_SHIFT);
    return true;
}

void gc__block_open_run(struct run *run, unsigned kind, bool dirty)
{
    if (dirty && gc__kinds[kind].zeroed)
        memset(run->cur, 0, (size_t)(run->end - run->cur));
}

/* ---- Sweeping ---------------------------------------------------------------- */

static size_t words_of(const struct block *block)
{
    return block->units * GC_UNIT_GRANULES / 64;
}

static struct bits *bits_of_block(const struct region *region, const struct block *block)
{
    return gc__bits_of(region, gc__block_first_granule(region, block));
}

size_t gc__block_count_marked(const struct region *region, const struct block *block)
{
    const struct bits *bits = bits_of_block(region, block);
    size_t count = 0;

    for (size_t i = 0; i < words_of(block); i++)
        if (bits[i].mark != 0)
            count += gc__count_bits(bits[i].mark);
    return count;
}

/* Another thread may free one of the living meanwhile: its mark bit is set
 * already, and stays so until its allocated bit is clear. */
void gc__block_sweep(struct region *region, struct block *block)
{
    struct bits *bits = bits_of_block(region, block);

    for (size_t i = 0; i < words_of(block); i++) {
        uint64_t dead = gc__bits_get(&bits[i].allocated) & ~gc__bits_get(&bits[i].mark);

        if (dead != 0)
            gc__bits_clear(region, &bits[i].allocated, dead);
    }
    block->cursor = 0;
    block->fresh = false;
}

/* Most blocks of a young heap have no mark, and their bits are in the caches of
 * other CPUs. */
void gc__block_sweep_and_whiten(struct region *region, struct block *block, bool sticky)
{
    struct bits *bits = bits_of_block(region, block);
    bool unswept = gc__block_is_unswept(block);

    if (!block->marked)
        return;
    block->marked = sticky;
    for (size_t i = 0; i < words_of(block); i++) {
        if (bits[i].mark == 0 && !unswept)
            continue;
        if (unswept)
            bits[i].allocated &= bits[i].mark;
        bits[i].mark &= sticky ? bits[i].allocated : 0;
    }
}

/* ---- Marked pages -------------------------------------------------------------- */

#define PAGE_GRANULES (GC_PAGE_BYTES >> GC_GRANULE_SHIFT)

static size_t page_of(size_t granule)
{
    return granule / PAGE_GRANULES;
}

void gc__block_note_marked_cell(struct region *region, const struct block *block, size_t granule)
{
    gc__bitmap_set(region->marked_pages, page_of(granule), page_of(granule + block->cell_granules - 1) + 1);
}

void gc__block_note_marked_pages(struct region *region, const struct block *block)
{
    size_t granule = gc__block_first_granule(region, block), end = granule + block->units * GC_UNIT_GRANULES;
    bool small = block->cell_granules <= PAGE_GRANULES;

    for (; granule < end; granule += GC_WORD_BITS) {
        uint64_t marked = gc__bits_of(region, granule)->mark;

        if (small && marked != 0)
            gc__bitmap_set(region->marked_pages, page_of(granule), page_of(granule) + 1);
        for (; !small && marked != 0; marked &= marked - 1)
            gc__block_note_marked_cell(region, block, granule + (size_t)__builtin_ctzll(marked));
    }
}

/* ---- Audit ------------------------------------------------------------------- */

void gc__block_audit(const struct region *region, const struct block *block)
{
    const struct bits *bits = bits_of_block(region, block);

    GC_AUDIT(block->units == gc__sizeclass(block->class_index)->units);
    GC_AUDIT(gc__sizeclass_is_used(block->class_index));
    GC_AUDIT(block->cursor <= gc__block_cell_granules_end(block));
    for (unsigned i = 0; i < block->units; i++) {
        GC_AUDIT(block[i].form == FORM_BLOCK && block[i].units_to_head == i);
        GC_AUDIT(block[i].kind == block->kind && block[i].class_index == block->class_index);
    }
    for (size_t i = 0; i < words_of(block); i++) {
        uint64_t taken = bits[i].allocated | bits[i].mark;

        GC_AUDIT((taken & ~gc__block_cell_starts(block, i * 64)) == 0);
        GC_AUDIT(block->marked || bits[i].mark == 0);
        if (block->fresh && (i + 1) * 64 > block->cursor)
            GC_AUDIT((taken & ~(i * 64 < block->cursor ? gc__word_mask(i * 64, block->cursor) : 0)) == 0);
    }
}
