/* marking.h - a marker at work, and how an edge turns an object from white to grey: what
 * is inlined into each of the loops of gc/mark/marker.c. */
#ifndef GC_MARK_MARKING_H
#define GC_MARK_MARKING_H

#include "gc/base/check.h"
#include "gc/heap/resolve.h"
#include "gc/mark/by_kind.h"
#include "gc/mark/entry.h"
#include "gc/mark/ephemeron.h"
#include "gc/mark/grey.h"
#include "gc/mark/marker.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* What the hot loop reads and writes of a marker, in a local variable: the
 * compiler then knows that no store to a bitmap or a FIFO changes it, and keeps
 * it in registers. Its address must not leave the inlined functions. */
struct trace {
    struct marker *marker;
    uintptr_t base;
    uintptr_t span;
    struct bits *bits;
    struct block *blocks;
    uint64_t *marked_pages;
    size_t edges_in, edges_out;
    size_t objects_in, objects;
    uintptr_t *top, *bottom, *end; /* of the worklist */
    enum company company;          /* a constant: what depends on it is decided by the compiler, */
    bool kinds;                    /* and so is this: there may be objects of other kinds than the built-in ones; */
    bool collects;                 /* and this: in company, marks are collected */
    size_t patience;               /* steps before the marker looks up: objects, and edges of lists */
};

static ALWAYS_INLINE struct trace resume(struct marker *marker, enum company company, size_t patience)
{
    return (struct trace){
        .marker = marker,
        .base = marker->base,
        .span = marker->span,
        .bits = marker->region->bits,
        .blocks = marker->region->blocks,
        .marked_pages = marker->region->marked_pages,
        .edges_in = marker->edges_in,
        .edges_out = marker->edges_out,
        .objects_in = marker->objects_in,
        .objects = marker->objects,
        .top = marker->worklist.top,
        .bottom = marker->worklist.bottom,
        .end = marker->worklist.end,
        .company = company,
        .kinds = true,
        .patience = patience,
    };
}

static ALWAYS_INLINE void suspend(const struct trace *trace)
{
    struct marker *marker = trace->marker;

    marker->edges_in = trace->edges_in;
    marker->edges_out = trace->edges_out;
    marker->objects_in = trace->objects_in;
    marker->objects = trace->objects;
    marker->worklist.top = trace->top;
}

/* Around calls that are not inlined and push. */
static ALWAYS_INLINE void hand_over_worklist(const struct trace *trace)
{
    trace->marker->worklist.top = trace->top;
}

static ALWAYS_INLINE void take_back_worklist(struct trace *trace)
{
    trace->top = trace->marker->worklist.top;
    trace->bottom = trace->marker->worklist.bottom;
    trace->end = trace->marker->worklist.end;
}

/* ---- Grey objects ---------------------------------------------------------------- */

static ALWAYS_INLINE void push(struct trace *trace, size_t granule, uintptr_t entry)
{
    if (GC_LIKELY(trace->top != trace->end)) {
        *trace->top++ = entry;
        return;
    }
    hand_over_worklist(trace);
    gc__grey_push(trace->marker, entry, granule);
    take_back_worklist(trace);
}

/* ---- White to grey --------------------------------------------------------------- */

/* Others may change bits of the same words. */
static ALWAYS_INLINE bool marks_in_company(const struct trace *trace)
{
    return trace->company == IN_COMPANY || trace->company == BESIDE_MUTATORS;
}

/* Whether none of them was set. */
static ALWAYS_INLINE bool set_marks(struct bits *bits, uint64_t marks)
{
    return (__atomic_fetch_or(&bits->mark, marks, __ATOMIC_RELAXED) & marks) == 0;
}

/* The line is asked for now; when the marks are set, this processor should have it to
 * itself. */
static ALWAYS_INLINE bool collect_mark(struct trace *trace, struct bits *bits, uint64_t bit)
{
    struct pending *pending = &trace->marker->pending[(uintptr_t)bits / sizeof *bits % GC_PENDING_ENTRIES];

    if (pending->bits != bits) {
        if (pending->bits != NULL)
            set_marks(pending->bits, pending->marks);
        __builtin_prefetch(bits, 1);
        *pending = (struct pending){bits, bit};
        return true;
    }
    if ((pending->marks & bit) != 0)
        return false;
    pending->marks |= bit;
    return true;
}

/* Whether the object was white. Most are not, and then nothing is written. */
static ALWAYS_INLINE bool turn_from_white(struct trace *trace, struct bits *bits, size_t granule)
{
    uint64_t mark = __atomic_load_n(&bits->mark, __ATOMIC_RELAXED), bit = gc__bit_of(granule);

    if ((mark >> granule % 64 & 1) != 0)
        return false;
    if (marks_in_company(trace))
        return trace->collects ? collect_mark(trace, bits, bit) : set_marks(bits, bit);
    bits->mark = mark | bit;
    return true;
}

/* Of several markers that found a large object white, one scans it. */
static ALWAYS_INLINE bool has_large_to_itself(const struct trace *trace, struct bits *bits, size_t granule)
{
    return !trace->collects || set_marks(bits, gc__bit_of(granule));
}

/* Of a kind that says which words are pointers. */
static ALWAYS_INLINE void push_mapped(struct trace *trace, size_t granule, uintptr_t address)
{
    unsigned lane = trace->blocks[granule / GC_UNIT_GRANULES].lane;
    const struct cell_map *map = gc__cell_map(lane);

    if (GC_LIKELY(map->granules != 0))
        push(trace, granule, gc__entry_chosen(address + map->from * GC_GRANULE_BYTES, map->granules, map->chosen));
    else
        push(trace, granule, gc__entry_mapped(address, lane));
}

/* A grey object that is not narrow. */
static ALWAYS_INLINE void push_rare(struct trace *trace, struct bits *bits, size_t granule, size_t scanned)
{
    uintptr_t address = trace->base + (granule << GC_GRANULE_SHIFT), entry;

    if (trace->kinds && scanned == GC_SCANNED_BY_KIND) {
        push_mapped(trace, granule, address);
    } else if (scanned != GC_SCANNED_LARGE) {
        push(trace, granule, gc__entry_wide(address, scanned));
    } else {
        entry = gc__by_kind_entry_of_large(trace->marker, granule);
        if (entry != 0 && has_large_to_itself(trace, bits, granule))
            push(trace, granule, entry);
    }
}

/* See gc__block_note_marked_pages. */
static ALWAYS_INLINE void note_marked_page(struct trace *trace, size_t granule, size_t scanned)
{
    size_t page = granule >> (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);

    if (GC_LIKELY(scanned - 1 < GC_NARROW_GRANULES))
        trace->marked_pages[page / GC_WORD_BITS] |= (uint64_t)1 << page % GC_WORD_BITS;
    else if (scanned != GC_SCANNED_LARGE)
        gc__block_note_marked_cell(trace->marker->region, &trace->blocks[granule / GC_UNIT_GRANULES], granule);
}

/* The allocated object that starts at `granule`, of which `bits` are the bits,
 * turns grey if it was white; black, if it has no pointers. */
static ALWAYS_INLINE void mark(struct trace *trace, struct bits *bits, size_t granule)
{
    uintptr_t address;
    size_t scanned;

    if (!turn_from_white(trace, bits, granule))
        return;
    if (trace->company == AWAITED)
        gc__ephemerons_find_due(trace->marker, granule);
    address = trace->base + (granule << GC_GRANULE_SHIFT);
    scanned = trace->blocks[granule / GC_UNIT_GRANULES].scanned_granules;
    if (trace->company == BESIDE_MUTATORS && scanned != 0)
        note_marked_page(trace, granule, scanned);
    if (GC_LIKELY(scanned - 1 < GC_NARROW_GRANULES))
        push(trace, granule, gc__entry_narrow(address, scanned));
    else if (scanned != 0)
        push_rare(trace, bits, granule, scanned);
}

/* The first granule of the object that `offset` lies in; NOTHING if in none, or if
 * the edge, the last that was taken out, had to be exact. */
#define NOTHING SIZE_MAX

static __attribute__((noinline)) size_t resolve_interior(struct marker *marker, uintptr_t offset, size_t edges_out)
{
    struct object object;

    if (marker->exact[(edges_out - 1) % GC_EDGE_RING_ENTRIES] == edges_out)
        return NOTHING;
    if (!gc__resolve(marker->region, (struct ambiguous){marker->base + offset}, &object))
        return NOTHING;
    return object.granule;
}

/* What leaves the edge FIFO. Where the allocated bit of the very granule is
 * set, an object starts: most edges need not be resolved, and those to marked
 * objects do not even need the block. */
static ALWAYS_INLINE void visit(struct trace *trace, uintptr_t offset)
{
    size_t granule = offset >> GC_GRANULE_SHIFT;
    struct bits *bits = &trace->bits[granule / 64];

    if (GC_UNLIKELY((gc__bits_get(&bits->allocated) >> granule % 64 & 1) == 0)) {
        granule = resolve_interior(trace->marker, offset, trace->edges_out);
        if (granule == NOTHING)
            return;
        bits = &trace->bits[granule / 64];
    }
    mark(trace, bits, granule);
}

#endif
