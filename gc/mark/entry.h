/* entry.h - grey objects as the worklist, the object FIFO and packets hold them:
 * one word each.
 *
 *     narrow  the address of a cell of less than 16 granules, and in its low bits
 *             how many of them to scan; in the bits that no address has a map of the
 *             words that are pointers, if only some of up to 8 granules are; or 0
 *     wide    the address of a cell, and how many granules to scan in the bits
 *             that no address has
 *     mapped  a bit, the address of a cell, and in the bits that no address has its
 *             lane, whose map says which words to scan; 0: a large object
 *     span    the sign bit, the address of a piece of a large object, and in the
 *             bits that no address has how many pieces; 0: all to its end
 *
 * Nearly all objects are narrow, and those take the marker the fewest steps. */
#ifndef GC_MARK_ENTRY_H
#define GC_MARK_ENTRY_H

#include "gc/heap/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GC_ENTRY_SHIFT 48
#define GC_ENTRY_ADDRESS (((uintptr_t)1 << GC_ENTRY_SHIFT) - GC_GRANULE_BYTES)
#define GC_ENTRY_SPAN ((uintptr_t)1 << 63)
#define GC_ENTRY_MAPPED ((uintptr_t)1 << 62)

_Static_assert((GC_LARGEST_CELL_BYTES >> GC_GRANULE_SHIFT) < GC_ENTRY_MAPPED >> GC_ENTRY_SHIFT &&
                   GC_SPAN_MAX_PIECES < GC_ENTRY_MAPPED >> GC_ENTRY_SHIFT &&
                   GC_MAX_LANES < GC_ENTRY_MAPPED >> GC_ENTRY_SHIFT,
               "the number fits above the address");

static inline uintptr_t gc__entry_narrow(uintptr_t address, size_t granules)
{
    return address | granules;
}

/* `map`: by word, or 0 for all. */
static inline uintptr_t gc__entry_chosen(uintptr_t address, size_t granules, uint16_t map)
{
    return gc__entry_narrow(address, granules) | (uintptr_t)map << GC_ENTRY_SHIFT;
}

static inline uintptr_t gc__entry_wide(uintptr_t address, size_t granules)
{
    return address | granules << GC_ENTRY_SHIFT;
}

static inline uintptr_t gc__entry_span(uintptr_t address, size_t pieces)
{
    return address | pieces << GC_ENTRY_SHIFT | GC_ENTRY_SPAN;
}

static inline uintptr_t gc__entry_mapped(uintptr_t address, size_t lane)
{
    return address | lane << GC_ENTRY_SHIFT | GC_ENTRY_MAPPED;
}

/* 0: the entry is not narrow. */
static inline size_t gc__entry_narrow_granules(uintptr_t entry)
{
    return entry & GC_NARROW_GRANULES;
}

static inline unsigned gc__entry_narrow_map(uintptr_t entry)
{
    return (unsigned)(entry >> GC_ENTRY_SHIFT);
}

static inline bool gc__entry_is_span(uintptr_t entry)
{
    return (entry & (GC_ENTRY_SPAN | GC_NARROW_GRANULES)) == GC_ENTRY_SPAN;
}

/* Of one that is not narrow. */
static inline bool gc__entry_is_mapped(uintptr_t entry)
{
    return (entry & GC_ENTRY_MAPPED) != 0;
}

static inline unsigned gc__entry_lane(uintptr_t entry)
{
    return (unsigned)((entry & ~GC_ENTRY_MAPPED) >> GC_ENTRY_SHIFT);
}

static inline uintptr_t gc__entry_address(uintptr_t entry)
{
    return entry & GC_ENTRY_ADDRESS;
}

/* Of a wide entry, or a span: granules, or pieces. */
static inline size_t gc__entry_count(uintptr_t entry)
{
    return (entry & ~GC_ENTRY_SPAN) >> GC_ENTRY_SHIFT;
}

#endif
