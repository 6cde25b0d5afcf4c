#include "gc/mark/by_kind.h"

#include "gc/mark/entry.h"
#include "gc/mark/ephemeron.h"

/* As the inlined loop does it: see marker.c. */
static inline __attribute__((always_inline)) void report(struct marker *marker, uintptr_t address, bool exact)
{
    uintptr_t offset = address - marker->base;

    if (offset >= marker->span)
        return;
    if (exact) {
        if (offset % GC_GRANULE_BYTES != 0)
            return;
        marker->exact[marker->edges_in % GC_EDGE_RING_ENTRIES] = marker->edges_in + 1;
    }
    __builtin_prefetch(&marker->region->bits[offset >> GC_GRANULE_SHIFT >> 6]);
    marker->edge[marker->edges_in++ % GC_EDGE_RING_ENTRIES] = offset;
    if (marker->edges_in - marker->edges_out >= 2 * GC_EDGE_BATCH)
        gc__marker_visit_due(marker);
}

void gc__by_kind_report(struct marker *marker, uintptr_t address, bool exact)
{
    report(marker, address, exact);
}

struct scanning {
    struct marker *marker;
    const struct gc_kind *kind;
};

static inline __attribute__((always_inline)) GC_SCANS_ANYTHING void scan_word(void *to, const uintptr_t *word)
{
    struct scanning *scanning = to;

    report(scanning->marker, gc__kind_decode(scanning->kind, *word), scanning->kind->exact);
}

struct telling {
    struct gc_tracer tracer;
    struct marker *marker;
};

static void visit_told(struct gc_tracer *tracer, uintptr_t address)
{
    report(((struct telling *)tracer)->marker, address, tracer->kind->exact);
}

void gc__by_kind_scan_part(struct marker *marker, const struct traced *object, struct gc__range part)
{
    struct telling telling = {.tracer.visit = visit_told, .marker = marker};

    switch ((enum kind_form)object->kind->form) {
    case KIND_WORDS: gc__marker_scan_range(marker, part.start, part.end, gc__marker_past_end(marker)); break;
    case KIND_LAYOUT: gc__layout_each(object, part, scan_word, &(struct scanning){marker, object->kind}); break;
    case KIND_EPHEMERON:
        gc__ephemeron_scan(marker, object->start);
        gc__layout_each(object, part, scan_word, &(struct scanning){marker, object->kind});
        break;
    case KIND_CALLBACK: gc__trace(&telling.tracer, object); break;
    }
}

void gc__by_kind_scan_all(struct marker *marker, uintptr_t address)
{
    size_t granule = (address - marker->base) >> GC_GRANULE_SHIFT;
    struct block *block = &marker->region->blocks[granule / GC_UNIT_GRANULES];
    struct object object = {granule, block->form == FORM_BLOCK ? gc__block_head(block) : NULL};
    struct traced traced = gc__traced(marker->region, &object);

    if (traced.kind->scanned)
        gc__by_kind_scan_part(marker, &traced, (struct gc__range){traced.start, traced.start + traced.bytes});
}

/* ---- Large objects ---------------------------------------------------------------- */

/* Another marker may set a flag meanwhile. */
static const struct gc_kind *kind_of_large(const struct marker *marker, size_t head)
{
    const uint32_t *flags = gc__large_flags(marker->region, head);

    return &gc__kinds[__atomic_load_n(flags, __ATOMIC_RELAXED) & GC_LARGE_KIND_MASK];
}

bool gc__by_kind_scan_piece(struct marker *marker, struct gc__range piece)
{
    size_t page = (piece.start - marker->base) >> GC_PAGE_SHIFT, head = page;
    struct traced traced;

    gc__large_find(marker->region, page, &head);
    if (kind_of_large(marker, head)->form == KIND_WORDS)
        return false;
    traced = gc__traced(marker->region, &(struct object){gc__large_granule(head), NULL});
    gc__by_kind_scan_part(marker, &traced, piece);
    return true;
}

uintptr_t gc__by_kind_entry_of_large(const struct marker *marker, size_t granule)
{
    size_t head = granule >> (GC_PAGE_SHIFT - GC_GRANULE_SHIFT);
    const struct gc_kind *kind = kind_of_large(marker, head);
    uintptr_t address = (uintptr_t)gc__page_address(marker->region, head);

    if (!kind->scanned)
        return 0;
    return kind->form == KIND_CALLBACK ? gc__entry_mapped(address, 0) : gc__entry_span(address, 0);
}
