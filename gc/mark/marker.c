#include "gc/mark/marker.h"

#include "gc/base/align.h"
#include "gc/mark/marking.h"

/* ---- Grey to black --------------------------------------------------------------- */

/* Between two calls of visit_batches_due no more edges may be enqueued than a
 * narrow object can have: two a word, with those that are not aligned. */
_Static_assert(2 * GC_EDGE_BATCH + 4 * GC_NARROW_GRANULES <= GC_EDGE_RING_ENTRIES, "no edge is overwritten");

static ALWAYS_INLINE void enqueue_edge(struct trace *trace, uintptr_t offset)
{
    __builtin_prefetch(&trace->bits[offset >> GC_GRANULE_SHIFT >> 6]); /* to read: most are marked already */
    trace->marker->edge[trace->edges_in++ % GC_EDGE_RING_ENTRIES] = offset;
}

static ALWAYS_INLINE void visit_oldest(struct trace *trace)
{
    visit(trace, trace->marker->edge[trace->edges_out++ % GC_EDGE_RING_ENTRIES]);
}

/* As long as there is another batch, for which the prefetches are under way. */
static ALWAYS_INLINE void visit_batches_due(struct trace *trace)
{
    while (trace->edges_in - trace->edges_out >= 2 * GC_EDGE_BATCH)
        for (unsigned i = 0; i < GC_EDGE_BATCH; i++)
            visit_oldest(trace);
}

/* `offset` is the last byte before a word that may be one past an end. */
static ALWAYS_INLINE void enqueue_past_end(struct trace *trace, uintptr_t offset)
{
    const struct block *block = &trace->blocks[offset >> GC_UNIT_SHIFT];

    if (block->full)
        enqueue_edge(trace, offset);
}

static ALWAYS_INLINE void scan_word(struct trace *trace, uintptr_t word, enum past_end past_end)
{
    uintptr_t offset = word - trace->base;

    if (offset < trace->span)
        enqueue_edge(trace, offset);
    if (past_end == PAST_END_COUNTS && offset % GC_GRANULE_BYTES == 0 && offset - 1 < trace->span)
        enqueue_past_end(trace, offset - 1);
}

/* The lower half of a word may be the upper half of an address, and the upper half of
 * the word before its lower one. */
static ALWAYS_INLINE void scan_between(struct trace *trace, uintptr_t before, uintptr_t word, enum past_end past_end)
{
    if (past_end == UNALIGNED_COUNT)
        scan_word(trace, before >> 32 | word << 32, PAST_END_IGNORED);
}

/* An even number of words, as cells have: by twos. */
static ALWAYS_INLINE GC_SCANS_ANYTHING void scan(struct trace *trace, uintptr_t start, uintptr_t end,
                                                 enum past_end past_end)
{
    uintptr_t before = 0;

    for (const uintptr_t *word = (const uintptr_t *)start; (uintptr_t)word < end; word += 2) {
        scan_word(trace, word[0], past_end);
        scan_word(trace, word[1], past_end);
        scan_between(trace, before, word[0], past_end);
        scan_between(trace, word[0], word[1], past_end);
        before = word[1];
        visit_batches_due(trace);
    }
}

/* A word of an object whose kind has something to say about it. */
static ALWAYS_INLINE void scan_mapped_word(struct trace *trace, const struct cell_map *map, uintptr_t word,
                                           enum past_end past_end)
{
    uintptr_t address = gc__decode(word, map->address_bits, map->shift);
    uintptr_t offset = address - trace->base;

    if (!map->exact) {
        scan_word(trace, address, past_end);
    } else if (offset < trace->span && offset % GC_GRANULE_BYTES == 0) {
        trace->marker->exact[trace->edges_in % GC_EDGE_RING_ENTRIES] = trace->edges_in + 1;
        enqueue_edge(trace, offset);
    }
}

#define HALF_MAP UINT64_C(0xffffffff)

/* Of 32 words: no more may be enqueued at once. */
static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_half(struct trace *trace, const struct cell_map *map,
                                                      const uintptr_t *words, uint64_t half, enum past_end past_end)
{
    if (half == HALF_MAP && map->plain)
        scan(trace, (uintptr_t)words, (uintptr_t)(words + 32), past_end);
    else if (GC_LIKELY(map->plain))
        for (; half != 0; half &= half - 1)
            scan_word(trace, words[__builtin_ctzll(half)], past_end);
    else
        for (; half != 0; half &= half - 1)
            scan_mapped_word(trace, map, words[__builtin_ctzll(half)], past_end);
    visit_batches_due(trace);
}

/* Of 64 words. */
static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_by_map(struct trace *trace, const struct cell_map *map,
                                                        const uintptr_t *words, uint64_t pointers,
                                                        enum past_end past_end)
{
    for (unsigned i = 0; pointers != 0; i += 32, pointers >>= 32)
        scan_half(trace, map, words + i, pointers & HALF_MAP, past_end);
}

/* What is scanned outside of this loop goes on with the marker as it is. */
static ALWAYS_INLINE void leave_loop(struct trace *trace)
{
    trace->marker->company = trace->company;
    suspend(trace);
}

static ALWAYS_INLINE void enter_loop(struct trace *trace)
{
    bool kinds = trace->kinds, collects = trace->collects;

    trace->marker->company = trace->company >= BESIDE_MUTATORS ? trace->company : ALONE;
    *trace = resume(trace->marker, trace->company, trace->patience);
    trace->kinds = kinds;
    trace->collects = collects;
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_mapped(struct trace *trace, uintptr_t entry, enum past_end past_end)
{
    static const struct cell_map none = {.end = 0};
    unsigned lane = gc__entry_lane(entry);
    const struct cell_map *map = GC_LIKELY(lane != 0) ? gc__cell_map(lane) : &none;
    const uintptr_t *words = (const uintptr_t *)gc__entry_address(entry);

    if (map->ephemeron && gc__ephemeron_key_lives(trace->marker, words[0])) {
        scan_word(trace, words[1], past_end);
        visit_batches_due(trace);
    }
    if (GC_LIKELY(map->end != 0 || map->ephemeron)) {
        scan_by_map(trace, map, words, map->pointers, past_end);
        for (size_t i = 64; i < map->end; i += 64)
            scan_by_map(trace, map, words + i, map->more[i / 64 - 1], past_end);
        return;
    }
    leave_loop(trace);
    gc__by_kind_scan_all(trace->marker, gc__entry_address(entry));
    enter_loop(trace);
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_piece(struct trace *trace, uintptr_t entry, enum past_end past_end)
{
    struct gc__range piece;
    bool scanned = false;

    hand_over_worklist(trace);
    piece = gc__grey_split(trace->marker, entry);
    take_back_worklist(trace);
    if (trace->kinds) {
        leave_loop(trace);
        scanned = gc__by_kind_scan_piece(trace->marker, piece);
        enter_loop(trace);
    }
    if (!scanned)
        scan(trace, piece.start, piece.end, past_end);
    trace->patience -= gc__min(trace->patience, GC_OFFER_INTERVAL) - 1; /* a piece is worth so many objects */
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_narrow(struct trace *trace, uintptr_t start, size_t granules,
                                                        enum past_end past_end)
{
    const uintptr_t *word = (const uintptr_t *)start;
    uintptr_t before = 0;

    for (; granules != 0; granules--, word += 2) {
        scan_word(trace, word[0], past_end);
        scan_word(trace, word[1], past_end);
        scan_between(trace, before, word[0], past_end);
        scan_between(trace, word[0], word[1], past_end);
        before = word[1];
    }
    visit_batches_due(trace);
}

/* Of a narrow object, some of the words. */
static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_chosen(struct trace *trace, uintptr_t start, unsigned map,
                                                        enum past_end past_end)
{
    const uintptr_t *words = (const uintptr_t *)start;

    for (; map != 0; map &= map - 1)
        scan_word(trace, words[__builtin_ctz(map)], past_end);
    visit_batches_due(trace);
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_entry(struct trace *trace, uintptr_t entry, enum past_end past_end)
{
    size_t granules = gc__entry_narrow_granules(entry);

    if (trace->kinds && granules != 0 && gc__entry_narrow_map(entry) != 0) {
        scan_chosen(trace, gc__entry_address(entry), gc__entry_narrow_map(entry), past_end);
    } else if (GC_LIKELY(granules != 0)) {
        scan_narrow(trace, entry - granules, granules, past_end);
    } else if (gc__entry_is_span(entry)) {
        scan_piece(trace, entry, past_end);
    } else if (trace->kinds && gc__entry_is_mapped(entry)) {
        scan_mapped(trace, entry, past_end);
    } else {
        uintptr_t start = gc__entry_address(entry);
        scan(trace, start, start + (gc__entry_count(entry) << GC_GRANULE_SHIFT), past_end);
    }
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_any(struct trace *trace, uintptr_t start, uintptr_t end,
                                                     enum past_end past_end)
{
    uintptr_t even = start + gc__align_down(end - start, 2 * sizeof(uintptr_t));

    scan(trace, start, even, past_end);
    if (even < end)
        scan_word(trace, *(const uintptr_t *)even, past_end);
    visit_batches_due(trace);
}

static ALWAYS_INLINE GC_SCANS_ANYTHING void scan_range(struct marker *marker, uintptr_t start, uintptr_t end,
                                                       enum past_end past_end, enum company company)
{
    struct trace trace = resume(marker, company, SIZE_MAX);

    scan_any(&trace, start, end, past_end);
    suspend(&trace);
}

GC_SCANS_ANYTHING void gc__marker_scan_range(struct marker *marker, uintptr_t start, uintptr_t end,
                                             enum past_end past_end)
{
    if (GC_UNLIKELY(marker->company >= BESIDE_MUTATORS))
        scan_range(marker, start, end, past_end, marker->company);
    else if (past_end == PAST_END_COUNTS)
        scan_range(marker, start, end, PAST_END_COUNTS, ALONE);
    else if (past_end == UNALIGNED_COUNT)
        scan_range(marker, start, end, UNALIGNED_COUNT, ALONE);
    else
        scan_range(marker, start, end, PAST_END_IGNORED, ALONE);
}

void gc__marker_visit_due(struct marker *marker)
{
    struct trace trace = resume(marker, marker->company, SIZE_MAX);

    visit_batches_due(&trace);
    suspend(&trace);
}

void gc__marker_visit_edges(struct marker *marker)
{
    struct trace trace = resume(marker, ALONE, SIZE_MAX);

    while (trace.edges_in != trace.edges_out)
        visit_oldest(&trace);
    suspend(&trace);
}

/* ---- The loop -------------------------------------------------------------------- */

/* A line each, as not every processor fetches the next one, too. */
static ALWAYS_INLINE void prefetch(uintptr_t start, uintptr_t end)
{
    __builtin_prefetch((const void *)start);
    for (uintptr_t line = (start | (GC_PREFETCH_LINE_BYTES - 1)) + 1; line < end; line += GC_PREFETCH_LINE_BYTES)
        __builtin_prefetch((const void *)line);
}

/* How far to prefetch from the address of an entry that is not narrow. */
static ALWAYS_INLINE uintptr_t end_of_prefetch(const struct trace *trace, uintptr_t entry)
{
    size_t bytes = GC_PREFETCH_MAX_BYTES;

    if (trace->kinds && gc__entry_is_mapped(entry))
        bytes = gc__entry_lane(entry) != 0 ? gc__cell_map(gc__entry_lane(entry))->end * GC_WORD_BYTES : 0;
    else if (!gc__entry_is_span(entry))
        bytes = gc__entry_count(entry) << GC_GRANULE_SHIFT;
    return gc__entry_address(entry) + gc__min(bytes, GC_PREFETCH_MAX_BYTES);
}

static ALWAYS_INLINE void prefetch_object(const struct trace *trace, uintptr_t entry)
{
    size_t granules = gc__entry_narrow_granules(entry);
    uintptr_t start = gc__entry_address(entry);

    prefetch(start, GC_LIKELY(granules != 0) ? start + (granules << GC_GRANULE_SHIFT) : end_of_prefetch(trace, entry));
}

/* Puts an entry into the object FIFO, and takes out the oldest if it was full. */
static ALWAYS_INLINE bool fetch_object(struct trace *trace, uintptr_t *entry)
{
    uintptr_t *place = &trace->marker->object[trace->objects_in++ % GC_OBJECT_FIFO_ENTRIES];
    uintptr_t oldest = *place;

    prefetch_object(trace, *entry);
    *place = *entry;
    *entry = oldest;
    if (GC_LIKELY(trace->objects == GC_OBJECT_FIFO_ENTRIES))
        return true;
    trace->objects++;
    return false;
}

/* Looks after the others; returns whether the marker's company changed. */
static __attribute__((noinline)) bool look_around(struct marker *marker, enum company company)
{
    bool given = gc__grey_offer(marker);

    return company == AMONG_IDLE ? given : !given && gc__pool_is_left_to_one(marker->pool);
}

/* Whether to leave the loop: the marker's company has changed, or it has none, and
 * its time is over. */
static ALWAYS_INLINE bool must_leave(struct trace *trace)
{
    bool changed;

    if (GC_LIKELY(--trace->patience != 0))
        return false;
    if (trace->company != AMONG_IDLE && trace->company != IN_COMPANY)
        return true;
    hand_over_worklist(trace);
    changed = look_around(trace->marker, trace->company);
    take_back_worklist(trace);
    trace->patience = GC_OFFER_INTERVAL;
    return changed;
}

static __attribute__((noinline)) void set_pending(struct marker *marker)
{
    for (struct pending *pending = marker->pending; pending != marker->pending + GC_PENDING_ENTRIES; pending++) {
        if (pending->bits != NULL)
            set_marks(pending->bits, pending->marks);
        pending->bits = NULL;
    }
}

/* An object goes from the worklist through the FIFO, which is kept full as long
 * as can be, then emptied: it is scanned as late after its prefetch as possible
 * (Cher, Hosking, Vijaykumar, ASPLOS 2004). The only grey object of all, one of
 * a list, is scanned at once. Ends when nothing is left (true), or when the
 * company has changed, or after so many objects alone. */
static ALWAYS_INLINE GC_SCANS_ANYTHING bool drain_with(struct marker *marker, enum past_end past_end,
                                                       enum company company, bool kinds, size_t patience)
{
    struct trace trace = resume(marker, company, patience);
    bool left = true;
    uintptr_t entry;

    trace.kinds = kinds;
    trace.collects = marks_in_company(&trace);
    do {
        if (trace.top != trace.bottom) {
            entry = *--trace.top;
            if ((trace.objects != 0 || trace.top != trace.bottom) && !fetch_object(&trace, &entry))
                continue;
        } else if (trace.edges_in != trace.edges_out) {
            visit_oldest(&trace);
            continue;
        } else if (trace.objects != 0) {
            entry = marker->object[(trace.objects_in - trace.objects--) % GC_OBJECT_FIFO_ENTRIES];
        } else {
            left = false;
            break;
        }
        scan_entry(&trace, entry, past_end);
    } while (!must_leave(&trace));
    suspend(&trace);
    if (trace.collects)
        set_pending(marker);
    return !left;
}

/* The loop for heaps in which no object says which of its words are pointers is the
 * shorter one. */
static ALWAYS_INLINE GC_SCANS_ANYTHING bool drain_in(struct marker *marker, enum company company, size_t patience)
{
    bool kinds = gc__kind_count > GC_KIND_COUNT;

    if (GC_UNLIKELY(marker->unaligned && kinds))
        return drain_with(marker, UNALIGNED_COUNT, company, true, patience);
    if (GC_UNLIKELY(marker->unaligned))
        return drain_with(marker, UNALIGNED_COUNT, company, false, patience);
    if (kinds)
        return drain_with(marker, PAST_END_IGNORED, company, true, patience);
    return drain_with(marker, PAST_END_IGNORED, company, false, patience);
}

static __attribute__((noinline)) GC_SCANS_ANYTHING bool drain_awaited(struct marker *marker, size_t objects)
{
    return drain_in(marker, AWAITED, objects);
}

GC_SCANS_ANYTHING bool gc__marker_drain_some(struct marker *marker, size_t objects)
{
    if (GC_UNLIKELY(marker->awaited != NULL))
        return drain_awaited(marker, objects);
    return drain_in(marker, ALONE, objects);
}

GC_SCANS_ANYTHING bool gc__marker_drain_beside(struct marker *marker, size_t objects)
{
    return drain_in(marker, BESIDE_MUTATORS, objects);
}

GC_SCANS_ANYTHING void gc__marker_drain_shared(struct marker *marker)
{
    bool done;

    do
        done = gc__pool_is_left_to_one(marker->pool) ? drain_in(marker, AMONG_IDLE, GC_OFFER_INTERVAL)
                                                     : drain_in(marker, IN_COMPANY, GC_OFFER_INTERVAL);
    while (!done);
}

/* ---- One object ------------------------------------------------------------------ */

static ALWAYS_INLINE void mark_object(struct marker *marker, struct object object, enum company company)
{
    struct trace trace = resume(marker, company, SIZE_MAX);

    mark(&trace, &trace.bits[object.granule / 64], object.granule);
    suspend(&trace);
}

void gc__marker_mark(struct marker *marker, struct object object)
{
    if (GC_UNLIKELY(marker->company == BESIDE_MUTATORS))
        mark_object(marker, object, BESIDE_MUTATORS);
    else
        mark_object(marker, object, ALONE);
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
    marker->overflowed = false;
}
