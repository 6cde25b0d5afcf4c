/* region.h - the reserved range and who holds which of its pages.
 *
 * Owns the address space of the heap and of the side tables, and gives out
 * page runs: units of 64 KiB for blocks, single pages for large objects. A
 * chunk serves one of the two at a time, so that pages of large objects do not
 * cut up what blocks need, until the range is used up: then chunks are mixed.
 * First fit by address (GC Handbook, 2nd ed., section 7.2) keeps the heap at the
 * low end of the range.
 *
 * The accessible part is [base, base + accessible chunks), one mapping; it only
 * grows. Memory goes back page by page with gc__os_decommit, never by unmapping.
 *
 * Side tables are dense: indexed by (address - base) >> shift.
 *
 * Threads: under the heap's lock; single bits by anyone, see gc__bits_set.
 *
 * Invariants (checked by gc__region_audit):
 *  1. used_pages and held_pages are the counts of `used`, of `used | dirty`
 *  2. a chunk's summary says what `used` says; a chunk without used pages is free
 *  3. a page that is neither used nor dirty reads as zero
 *  4. mark and allocated bits of unused pages are clear */
#ifndef GC_HEAP_REGION_H
#define GC_HEAP_REGION_H

#include "gc/base/tunables.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Mark and allocated bits of 64 granules, side by side: whoever needs one
 * needs the other, and then it is one cache miss. */
struct bits {
    uint64_t mark;
    uint64_t allocated;
};

struct block;
struct large_page;

#define GC_BITS_BYTES_PER_CHUNK (sizeof(struct bits) * (GC_CHUNK_BYTES / GC_GRANULE_BYTES / 64))

enum chunk_purpose {
    CHUNK_FREE,
    CHUNK_BLOCKS, /* units are found by free_units */
    CHUNK_PAGES   /* for large objects; some units may be blocks all the same */
};

struct chunk {
    uint64_t freed_ns; /* when pages were last given back here */
    uint16_t prefix;   /* free pages at the start, */
    uint16_t suffix;   /* at the end, */
    uint16_t longest;  /* in a row */
    uint8_t purpose;
    bool is_home;        /* of somebody, see struct homes */
    bool bits_touched;   /* its part of the bitmaps may take memory */
    bool watched;        /* some page may be, see gc/mark/watch.h */
    uint32_t free_units; /* one bit a unit, while it serves blocks */
};

/* Chunks of which a mutator takes units before any other: what it gave up and
 * takes again is then still in its own CPU's cache, and not in another's. */
struct homes {
    uint32_t chunk[GC_HOME_CHUNKS / 2]; /* its number plus one; 0: none yet */
};

enum region_table {
    TABLE_BITS,
    TABLE_BLOCKS,
    TABLE_LARGE_PAGES,
    TABLE_USED,
    TABLE_DIRTY,
    TABLE_WRITTEN,
    TABLE_MARKED_PAGES,
    TABLE_CHUNKS,
    TABLE_COUNT
};

struct region {
    uintptr_t base;
    size_t chunks;     /* reserved */
    size_t accessible; /* of these, the first so many */
    size_t max_pages;  /* that may be held */

    struct bits *bits;              /* one for 64 granules */
    struct block *blocks;           /* one a unit */
    struct large_page *large_pages; /* one a page */
    uint64_t *used;                 /* one bit a page: handed out */
    uint64_t *dirty;                /* one bit a page: may hold something else than zeros */
    uint64_t *written;              /* one bit a page: found to be written, and still to be scanned again */
    uint64_t *marked_pages;         /* one bit a page, see gc__block_note_marked_pages */
    struct chunk *chunk;            /* one a chunk */

    bool threaded;    /* several mutators */
    bool atomic_bits; /* or a marker beside them: bits are changed by atomic steps */

    size_t used_pages;
    size_t held_pages;
    size_t held_pages_peak;
    size_t chunks_with_bits;
    size_t moved_objects;          /* large objects whose mapping is one of their own, see gc/heap/large.h */
    size_t first_free_block_chunk; /* no chunk before it has a free unit */
    size_t decommit_next;          /* chunk from which on free memory is looked for that may go back */
    uint64_t now_ns;               /* some time ago: good enough for freed_ns */

    char *reservation;
    size_t reservation_bytes;
    char *table_start[TABLE_COUNT];
    bool tables_shown; /* all of them can be read */
    char *mark_stack;  /* room for the marker's worklist: inside the reservation, not yet accessible */
    size_t mark_stack_bytes;
};

/* Reserves up to `bytes` (less where the system refuses) and lets at most
 * `max_bytes` of it be held. */
bool gc__region_init(struct region *region, size_t bytes, size_t max_bytes);
void gc__region_destroy(struct region *region);

/* For who looks at the heap while it grows: tables of what is not accessible yet read
 * as if nothing was there. */
bool gc__region_show_tables(struct region *region);

/* Makes so many more chunks accessible: some to spare, so that it is seldom; no more
 * than that where more is refused. */
bool gc__region_grow(struct region *region, size_t chunks);

/* ---- Pages and units (gc/heap/pages.c) ------------------------------------ */

/* `count` free pages in a row whose first number is a multiple of `alignment`.
 * The accessible part grows if it must. */
bool gc__region_take_pages(struct region *region, size_t count, size_t alignment, size_t *first_page);

/* The pages [first_page, first_page + count), if all are free and not kept for blocks. */
bool gc__region_take_pages_at(struct region *region, size_t first_page, size_t count);

/* `count` (at most GC_MAX_BLOCK_UNITS) free units in a row in one chunk.
 * `*fresh`: all their bytes are zero. */
bool gc__region_take_units(struct region *region, unsigned count, size_t *first_unit, bool *fresh);

/* The same, for somebody with homes, of which the first `may_have` count; while
 * there are fewer, those that are full get company. */
bool gc__region_take_units_at_home(struct region *region, struct homes *homes, size_t may_have, unsigned count,
                                   size_t *first_unit, bool *fresh);

/* When they are no longer wanted; when it is not known whose are; and whose are
 * (gc/heap/homes.c). */
void gc__region_leave_homes(struct region *region, struct homes *homes);
void gc__region_forget_homes(struct region *region);
void gc__region_keep_homes(struct region *region, const struct homes *homes);

/* Gives pages back; their bits must be clear. */
void gc__region_give_pages(struct region *region, size_t first_page, size_t count);
void gc__region_give_units(struct region *region, size_t first_unit, unsigned count);

/* Readies pages that were just taken for being written: zeroes those that may
 * not be zero if `zero` is set, and notes that none is known to be zero now. */
void gc__region_open_pages(struct region *region, size_t first_page, size_t count, bool zero);

/* The same without zeroing, which takes long: the caller has to zero the pages
 * [*first_dirty, *dirty_end) before it hands them on, and needs no lock for it. */
void gc__region_open_dirty(struct region *region, size_t first_page, size_t count, size_t *first_dirty,
                           size_t *dirty_end);

/* The used pages' contents were moved away: they read as zero again. */
void gc__region_note_zero(struct region *region, size_t first_page, size_t count);

/* Joins used pages, whose mapping is one of their own since something was
 * moved there, with the mapping around them. Their contents are lost. */
void gc__region_renew(struct region *region, size_t first_page, size_t count);

/* Gives free memory back to the OS that has been free since before `before_ns`
 * (gc/heap/decommit.c): all of it; or about GC_DECOMMIT_PAGES of it, from where the last
 * such call left off, and true if that was the last. */
void gc__region_decommit(struct region *region, uint64_t before_ns);
bool gc__region_decommit_some(struct region *region, uint64_t before_ns);

size_t gc__region_metadata_bytes(const struct region *region);
void gc__region_audit(const struct region *region);

/* ---- Addresses and numbers ----------------------------------------------- */

/* Distance from the base; of an address outside the range it is not below
 * gc__region_span: one subtraction and one unsigned compare. */
static inline uintptr_t gc__region_offset(const struct region *region, uintptr_t address)
{
    return address - region->base;
}

static inline uintptr_t gc__region_span(const struct region *region)
{
    return __atomic_load_n(&region->accessible, __ATOMIC_ACQUIRE) << GC_CHUNK_SHIFT; /* it may be growing */
}

static inline char *gc__page_address(const struct region *region, size_t page)
{
    return (char *)(region->base + (page << GC_PAGE_SHIFT));
}

static inline char *gc__granule_address(const struct region *region, size_t granule)
{
    return (char *)(region->base + (granule << GC_GRANULE_SHIFT));
}

static inline size_t gc__granule_of(const struct region *region, const void *address)
{
    return gc__region_offset(region, (uintptr_t)address) >> GC_GRANULE_SHIFT;
}

static inline struct bits *gc__bits_of(const struct region *region, size_t granule)
{
    return &region->bits[granule / 64];
}

static inline uint64_t gc__bit_of(size_t granule)
{
    return (uint64_t)1 << (granule % 64);
}

/* Changes bits of a word of which others may change others. */
static inline void gc__bits_set(const struct region *region, uint64_t *word, uint64_t bits)
{
    if (region->atomic_bits)
        __atomic_fetch_or(word, bits, __ATOMIC_RELEASE);
    else
        *word |= bits;
}

static inline void gc__bits_clear(const struct region *region, uint64_t *word, uint64_t bits)
{
    if (region->atomic_bits)
        __atomic_fetch_and(word, ~bits, __ATOMIC_RELEASE);
    else
        *word &= ~bits;
}

/* Reads such a word: bits that only the caller changes are as it left them. */
static inline uint64_t gc__bits_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

#endif
