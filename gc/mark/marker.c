#include "gc/mark/marker.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

#define CONTINUATION ((uintptr_t)1)

_Static_assert(GC_EDGE_FIFO_ENTRIES <= GC_OBJECT_FIFO_ENTRIES, "both fit into a struct fifo");

/* ---- FIFOs --------------------------------------------------------------------- */

static ALWAYS_INLINE bool fifo_is_empty(const struct fifo *fifo)
{
    return fifo->in == fifo->out;
}

static ALWAYS_INLINE bool fifo_is_full(const struct fifo *fifo, unsigned entries)
{
    return fifo->in - fifo->out == entries;
}

static ALWAYS_INLINE void fifo_put(struct fifo *fifo, uintptr_t entry)
{
    fifo->entry[fifo->in++ % GC_OBJECT_FIFO_ENTRIES] = entry;
}

static ALWAYS_INLINE uintptr_t fifo_take(struct fifo *fifo)
{
    return fifo->entry[fifo->out++ % GC_OBJECT_FIFO_ENTRIES];
}

/* ---- White to grey ----------------------------------------------------------------- */

/* Remembers a grey object that the worklist had no room for. */
static __attribute__((noinline, cold)) void overflow(struct marker *marker, struct object object)
{
    if (object.block != NULL)
        object.block->rescan = true;
    else
        *gc__large_flags(marker->region, gc__object_head(&object)) |= GC_LARGE_RESCAN;
    marker->overflowed = true;
}

/* Tests and sets the mark. False if the object was marked, or is a free cell. */
static ALWAYS_INLINE bool set_mark(struct marker *marker, size_t granule)
{
    struct bits *bits = gc__bits_of(marker->region, granule);
    uint64_t bit = gc__bit_of(granule);

    if ((bits->allocated & bit) == 0 || (bits->mark & bit) != 0)
        return false;
    bits->mark |= bit;
    marker->marked_objects++;
    return true;
}

static ALWAYS_INLINE void fetch_object(struct marker *marker, uintptr_t entry)
{
    __builtin_prefetch((const void *)entry);
    fifo_put(&marker->objects, entry);
}

/* What turned grey waits in the FIFO, or in the worklist if that is full. */
static ALWAYS_INLINE void push(struct marker *marker, struct object object)
{
    uintptr_t entry = marker->base + (object.granule << GC_GRANULE_SHIFT);

    if (!fifo_is_full(&marker->objects, GC_OBJECT_FIFO_ENTRIES))
        fetch_object(marker, entry);
    else if (!gc__worklist_push(&marker->worklist, entry))
        overflow(marker, object);
}

static __attribute__((noinline)) void mark_large(struct marker *marker, struct object object)
{
    size_t head = gc__object_head(&object);
    size_t granules;

    if (!set_mark(marker, object.granule))
        return;
    granules = gc__large_bytes(marker->region, head) >> GC_GRANULE_SHIFT;
    marker->marked_granules += granules;
    if (!gc__kinds[gc__large_kind(marker->region, head)].scanned)
        return;
    marker->scanned_granules += granules;
    push(marker, object);
}

static ALWAYS_INLINE void mark_cell(struct marker *marker, struct object object)
{
    if (!set_mark(marker, object.granule))
        return;
    object.block->marked = true;
    marker->marked_granules += object.block->cell_granules;
    if (!object.block->scanned)
        return;
    marker->scanned_granules += object.block->cell_granules;
    push(marker, object);
}

void gc__marker_mark(struct marker *marker, struct object object)
{
    if (object.block != NULL)
        mark_cell(marker, object);
    else
        mark_large(marker, object);
}

/* What leaves the edge FIFO. */
static ALWAYS_INLINE GC_SCANS_ANYTHING void visit(struct marker *marker, uintptr_t offset)
{
    struct object object;

    if (GC_LIKELY(gc__resolve_cell(marker->region, offset, &object)))
        mark_cell(marker, object);
    else if (gc__resolve_large(marker->region, offset, &object))
        mark_large(marker, object);
}

/* ---- Grey to black ------------------------------------------------------------------- */

static ALWAYS_INLINE void enqueue_edge(struct marker *marker, uintptr_t offset)
{
    __builtin_prefetch(&marker->region->bits[offset >> GC_GRANULE_SHIFT >> 6], 1);
    if (fifo_is_full(&marker->edges, GC_EDGE_FIFO_ENTRIES))
        visit(marker, fifo_take(&marker->edges));
    fifo_put(&marker->edges, offset);
}

/* `offset` is the last byte before a word that may be one past an end. */
static ALWAYS_INLINE void enqueue_past_end(struct marker *marker, uintptr_t offset)
{
    const struct block *block = &marker->region->blocks[offset >> GC_UNIT_SHIFT];

    if (block->full || block->form == FORM_LARGE)
        enqueue_edge(marker, offset);
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan(struct marker *marker, uintptr_t start, uintptr_t end,
                                                 enum past_end past_end)
{
    for (const uintptr_t *word = (const uintptr_t *)start; word < (const uintptr_t *)end; word++) {
        uintptr_t offset = *word - marker->base;

        if (offset < marker->span)
            enqueue_edge(marker, offset);
        if (past_end == PAST_END_COUNTS && offset % GC_GRANULE_BYTES == 0 && offset - 1 < marker->span)
            enqueue_past_end(marker, offset - 1);
    }
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_object(struct marker *marker, uintptr_t start, uintptr_t end)
{
    if (GC_UNLIKELY(marker->past_end_everywhere))
        scan(marker, start, end, PAST_END_COUNTS);
    else
        scan(marker, start, end, PAST_END_IGNORED);
}

/* One piece; the rest goes back to the worklist first. */
static __attribute__((noinline)) GC_SCANS_ANYTHING void scan_large(struct marker *marker, uintptr_t from)
{
    struct region *region = marker->region;
    struct object object;
    size_t head;
    uintptr_t end;

    gc__resolve_large(region, from - marker->base, &object);
    head = gc__object_head(&object);
    end = (uintptr_t)gc__page_address(region, head) + gc__large_bytes(region, head);
    if (end - from > GC_SCAN_PIECE_BYTES) {
        if (!gc__worklist_push(&marker->worklist, (from + GC_SCAN_PIECE_BYTES) | CONTINUATION))
            overflow(marker, object);
        end = from + GC_SCAN_PIECE_BYTES;
    }
    scan_object(marker, from, end);
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_entry(struct marker *marker, uintptr_t entry)
{
    const struct block *block = &marker->region->blocks[(entry - marker->base) >> GC_UNIT_SHIFT];

    if (GC_LIKELY(block->cells != 0))
        scan_object(marker, entry, entry + ((size_t)block->cell_granules << GC_GRANULE_SHIFT));
    else
        scan_large(marker, entry & ~CONTINUATION);
}

/* Keeps the object FIFO full as long as it can, then empties it: an object is
 * scanned as late after its prefetch as possible. */
static GC_SCANS_ANYTHING void drain(struct marker *marker)
{
    for (;;) {
        if (fifo_is_full(&marker->objects, GC_OBJECT_FIFO_ENTRIES))
            scan_entry(marker, fifo_take(&marker->objects));
        else if (!gc__worklist_is_empty(&marker->worklist))
            fetch_object(marker, gc__worklist_pop(&marker->worklist));
        else if (!fifo_is_empty(&marker->edges))
            visit(marker, fifo_take(&marker->edges));
        else if (!fifo_is_empty(&marker->objects))
            scan_entry(marker, fifo_take(&marker->objects));
        else
            return;
    }
}

/* ---- Overflow ----------------------------------------------------------------------- */

/* Scans every marked object of a block again: those that are grey are among
 * them. The block may overflow again while it is at it. */
static void rescan_block(struct marker *marker, struct block *block)
{
    struct region *region = marker->region;
    size_t first = gc__block_first_granule(region, block);
    size_t end = first + block->units * GC_UNIT_GRANULES;

    block->rescan = false;
    for (size_t granule = first; granule < end; granule += 64) {
        const struct bits *bits = gc__bits_of(region, granule);

        for (uint64_t grey = bits->allocated & bits->mark; grey != 0; grey &= grey - 1) {
            size_t cell = granule + (size_t)__builtin_ctzll(grey);
            scan_entry(marker, (uintptr_t)gc__granule_address(region, cell));
        }
        drain(marker);
    }
}

static GC_SCANS_ANYTHING void rescan_large(struct marker *marker, size_t head)
{
    uintptr_t start = (uintptr_t)gc__page_address(marker->region, head);
    uintptr_t end = start + gc__large_bytes(marker->region, head);

    *gc__large_flags(marker->region, head) &= ~GC_LARGE_RESCAN;
    for (; start < end; start += GC_SCAN_PIECE_BYTES) {
        scan_object(marker, start, start + GC_SCAN_PIECE_BYTES);
        drain(marker);
    }
}

static void rescan_all(struct marker *marker)
{
    struct region *region = marker->region;
    size_t units = region->accessible * GC_UNITS_PER_CHUNK;
    size_t head, page = 0;

    for (size_t unit = 0; unit < units; unit++)
        if (region->blocks[unit].rescan)
            rescan_block(marker, &region->blocks[unit]);
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (*gc__large_flags(region, head) & GC_LARGE_RESCAN)
            rescan_large(marker, head);
}

/* Terminates: an object is flagged only when it turns from white to grey, or a
 * piece of it could not be kept, and each round scans all that was flagged. */
void gc__marker_drain(struct marker *marker)
{
    drain(marker);
    while (marker->overflowed) {
        marker->overflowed = false;
        rescan_all(marker);
    }
}

/* ---- Roots ------------------------------------------------------------------------------ */

/* The halves of two words, the words themselves. */
typedef uint32_t halves __attribute__((vector_size(16), aligned(sizeof(uintptr_t))));
typedef uint64_t wholes __attribute__((vector_size(16)));

#define WORDS_AT_ONCE 4
#define UPPER_HALF 32 /* bits down */

static ALWAYS_INLINE GC_SCANS_ANYTHING halves upper_halves(const uintptr_t *words)
{
    const halves *pairs = (const halves *)words;

    return __builtin_shufflevector(pairs[0], pairs[1], 1, 3, 5, 7); /* little-endian */
}

/* Most words of data segments are no pointers into the heap, and their upper
 * halves tell: four are passed over at once. */
static GC_SCANS_ANYTHING void scan_sparse(struct marker *marker, uintptr_t start, uintptr_t end)
{
    uint32_t base = (uint32_t)(marker->base >> UPPER_HALF);
    uint32_t last = (uint32_t)((marker->base + marker->span) >> UPPER_HALF) - base;
    uintptr_t step = WORDS_AT_ONCE * sizeof(uintptr_t);

    for (; end - start >= step; start += step) {
        wholes may_point = (wholes)(upper_halves((const uintptr_t *)start) - base <= last);

        if (GC_UNLIKELY((may_point[0] | may_point[1]) != 0))
            scan(marker, start, start + step, PAST_END_IGNORED);
    }
    scan(marker, start, end, PAST_END_IGNORED);
}

GC_SCANS_ANYTHING void gc__marker_scan_roots(struct marker *marker, struct gc__range range, enum past_end past_end)
{
    uintptr_t start = gc__align_up(range.start, sizeof(uintptr_t));
    uintptr_t end = gc__align_down(range.end, sizeof(uintptr_t));

    if (start >= end)
        return;
    if (past_end == PAST_END_COUNTS)
        scan(marker, start, end, PAST_END_COUNTS);
    else
        scan_sparse(marker, start, end);
}

static void mark_all_of(struct marker *marker, struct block *block)
{
    size_t first = gc__block_first_granule(marker->region, block);

    for (size_t granule = first; granule < first + block->units * GC_UNIT_GRANULES; granule += 64)
        for (uint64_t cells = gc__bits_of(marker->region, granule)->allocated; cells != 0; cells &= cells - 1)
            mark_cell(marker, (struct object){granule + (size_t)__builtin_ctzll(cells), block});
}

void gc__marker_mark_root_kinds(struct marker *marker)
{
    struct region *region = marker->region;
    size_t units = region->accessible * GC_UNITS_PER_CHUNK;
    size_t head, page = 0;

    for (size_t unit = 0; unit < units; unit++) {
        struct block *block = &region->blocks[unit];
        if (gc__block_is_head(block) && gc__kinds[block->kind].is_root)
            mark_all_of(marker, block);
    }
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (gc__kinds[gc__large_kind(region, head)].is_root)
            mark_large(marker, (struct object){gc__large_granule(head), NULL});
}

/* ---- A cycle ------------------------------------------------------------------------------ */

void gc__marker_init(struct marker *marker, struct region *region)
{
    *marker = (struct marker){.region = region};
    gc__worklist_init(&marker->worklist, region->mark_stack, region->mark_stack_bytes);
}

void gc__marker_begin(struct marker *marker)
{
    marker->base = marker->region->base;
    marker->span = gc__region_span(marker->region);
    marker->marked_granules = 0;
    marker->scanned_granules = 0;
    marker->marked_objects = 0;
    marker->overflowed = false;
}
