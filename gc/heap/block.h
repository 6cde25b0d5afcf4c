/* block.h - blocks of equal cells, and runs of them.
 *
 * A block is one to four units cut into cells of one size class and one kind.
 * Its descriptor stands in a side table, its mark and allocated bits in the
 * bitmaps: nothing is stored in or beside the objects.
 *
 * A run is a row of free cells [cur, end) that one mutator owns and bumps
 * through. Claiming it sets the allocated bits of all its cells, so the fast
 * path of allocation sets none.
 *
 * The two bits of a cell:
 *     allocated  mark
 *         0       0    free
 *         1       0    an object, or a cell of a run; white
 *         1       1    the same; grey or black
 *         0       1    freed by gc_free and kept in a magazine
 * In an unswept block a cell with allocated set and mark clear is dead. While a
 * cycle runs beside the mutators, nothing is kept in magazines.
 *
 * Threads: a block is changed by whoever has taken it off its list, but for the
 * bits of cells that others free: those are never set at the same time.
 *
 * Invariants (checked by gc__block_audit):
 *  1. only bits at the start of a cell are set
 *  2. the descriptors of a block's units agree but for units_to_head
 *  3. no cell at or behind the cursor of a fresh block has a bit set
 *  4. between two cycles no mark bit is set in a block that is not `marked` */
#ifndef GC_HEAP_BLOCK_H
#define GC_HEAP_BLOCK_H

#include "gc/heap/kind.h"
#include "gc/heap/region.h"
#include "gc/heap/sizeclass.h"

/* What a unit is used for. */
enum block_form {
    FORM_UNUSED,
    FORM_BLOCK,
    FORM_LARGE /* some of its pages belong to large objects */
};

/* Where a block is between two collections. In the first three its dead are still
 * allocated. */
enum block_state {
    BLOCK_AWAITING, /* nobody has looked yet what is marked: in no list */
    BLOCK_UNSWEPT,  /* in its bin's list of unswept blocks */
    BLOCK_SWEEPING, /* being swept by who took it off */
    BLOCK_PARTIAL,  /* in one of its bin's lists, swept, with free cells */
    BLOCK_CURRENT,  /* a mutator claims runs from it */
    BLOCK_FULL      /* in no list: nothing was free when it was last looked at */
};

/* As `freed`. No block has so many granules. */
#define GC_NOTHING_FREED UINT16_MAX

/* As `scanned_granules`: an object has its own kind and size; its kind says which
 * words. All above any number of granules. */
#define GC_SCANNED_LARGE UINT16_MAX
#define GC_SCANNED_BY_KIND (UINT16_MAX - 1)

struct block {
    /* Read for every edge in marking. */
    uint32_t reciprocal; /* of cell_granules, see sizeclass.h */
    uint16_t cell_granules;
    uint16_t cells;            /* 0: not a block */
    uint16_t scanned_granules; /* of an object that turns grey; 0: it has no pointers */
    uint8_t form;
    uint8_t units_to_head; /* of the same block */
    uint16_t kind;
    bool full;   /* as of its class: an address one past the end is in the next cell */
    bool rescan; /* its grey cells did not fit into the worklist */

    uint8_t class_index;
    uint8_t units;
    uint8_t state;
    bool fresh;       /* what lies at or behind the cursor was never used since it came from the OS */
    uint16_t cursor;  /* the granule from where the next run is sought */
    uint16_t freed;   /* while it is current: the lowest granule that became free; else GC_NOTHING_FREED */
    uint32_t next;    /* in a list: the next block's unit plus one */
    bool marked;      /* some mark bit may be set */
    uint8_t restless; /* cycles until its pages are watched; see gc/mark/rescan.h */
    uint16_t lane;    /* of kind and class */
};

_Static_assert(sizeof(struct block) == 32, "a block's descriptor is indexed by a shift");

struct run {
    char *cur;
    char *end;
    uint32_t cell_bytes;
    uint32_t block;   /* the mutator's current block of this class: its unit plus one; 0: none */
    uint32_t freed;   /* cells in its magazine, see gc/roots/mutator.h */
    uint32_t claimed; /* bytes since the last collection */
};

_Static_assert(sizeof(struct run) == 32, "a run is indexed by a shift");

/* Cuts units that were just taken into cells. */
struct block *gc__block_create(struct region *region, size_t unit, unsigned class_index, unsigned kind, bool fresh);

/* Gives the units of a block without objects back. */
void gc__block_destroy(struct region *region, struct block *block);

/* The next free cells behind the cursor, at most `max_bytes` of them but at
 * least one, become the run `[cur, end)`; their allocated bits are set. False when
 * nothing is free behind the cursor. The block was swept. `*dirty`: the cells may
 * hold something else than zeros. */
bool gc__block_claim(struct region *region, struct block *block, struct run *run, size_t max_bytes, bool *dirty);

/* Readies a run that was just claimed. */
void gc__block_open_run(struct run *run, unsigned kind, bool dirty);

/* The marked cells. */
size_t gc__block_count_marked(const struct region *region, const struct block *block);

/* allocated &= mark. */
void gc__block_sweep(struct region *region, struct block *block);

/* Sweeps if the block is unswept, and whitens every object; or none (`sticky`), but
 * the cells that are none any more. */
void gc__block_sweep_and_whiten(struct region *region, struct block *block, bool sticky);

/* While a cycle runs beside the mutators, it is known of each page whether some marked
 * cell with pointers begins in it, or in the page before: of cells that are larger than
 * a page, all pages are noted. (Large objects are looked up one by one.) */
void gc__block_note_marked_pages(struct region *region, const struct block *block);
void gc__block_note_marked_cell(struct region *region, const struct block *block, size_t granule);

void gc__block_audit(const struct region *region, const struct block *block);

/* ---- Parts that others inline --------------------------------------------- */

static inline size_t gc__block_unit(const struct region *region, const struct block *block)
{
    return (size_t)(block - region->blocks);
}

static inline struct block *gc__block_head(struct block *block)
{
    return block - block->units_to_head;
}

static inline size_t gc__block_first_granule(const struct region *region, const struct block *head)
{
    return gc__block_unit(region, head) * GC_UNIT_GRANULES;
}

static inline size_t gc__block_cell_granules_end(const struct block *block)
{
    return (size_t)block->cells * block->cell_granules;
}

/* Of the 64 granules from `granule` of the block (a multiple of 64), those at
 * which a cell starts. */
static inline uint64_t gc__block_cell_starts(const struct block *block, size_t granule)
{
    uint64_t index = (granule + block->cell_granules - 1) * block->reciprocal >> GC_RECIPROCAL_SHIFT;
    uint64_t first = index * block->cell_granules - granule;
    size_t end = gc__block_cell_granules_end(block);
    uint64_t starts;

    if (first >= 64 || granule + first >= end)
        return 0;
    starts = gc__sizeclass(block->class_index)->pattern << first;
    return granule + 64 <= end ? starts : starts & ~(~(uint64_t)0 << (end - granule));
}

/* Changed under the heap's lock, or by who has swept the block, whose bits are
 * then seen. Read by anyone who holds an object in it. */
static inline enum block_state gc__block_state(const struct block *block)
{
    return (enum block_state)__atomic_load_n(&block->state, __ATOMIC_ACQUIRE);
}

static inline void gc__block_set_state(struct block *block, enum block_state state)
{
    __atomic_store_n(&block->state, (uint8_t)state, __ATOMIC_RELEASE);
}

static inline bool gc__block_is_unswept(const struct block *block)
{
    return gc__block_state(block) <= BLOCK_SWEEPING;
}

/* By whoever sets a mark bit between two cycles. */
static inline void gc__block_note_mark(struct block *block)
{
    __atomic_store_n(&block->marked, true, __ATOMIC_RELAXED);
}

/* In-use heads only: calls that walk all blocks step by this. */
static inline bool gc__block_is_head(const struct block *block)
{
    return block->form == FORM_BLOCK && block->units_to_head == 0;
}

#endif
