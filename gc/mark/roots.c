#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/mark/marker.h"

/* The halves of two words, the words themselves. */
typedef uint32_t halves __attribute__((vector_size(16), aligned(1)));
typedef uint64_t wholes __attribute__((vector_size(16)));

#define WORDS_AT_ONCE 4
#define UPPER_HALF 32 /* bits down */
#define HALF_BYTES 4

static inline GC_SCANS_ANYTHING halves upper_halves(const uintptr_t *words)
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
            gc__marker_scan_range(marker, start, start + step, PAST_END_IGNORED);
    }
    gc__marker_scan_range(marker, start, end, PAST_END_IGNORED);
}

void gc__marker_scan_roots(struct marker *marker, struct gc__range range, enum past_end past_end)
{
    uintptr_t start = gc__align_up(range.start, sizeof(uintptr_t));
    uintptr_t end = gc__align_down(range.end, sizeof(uintptr_t));

    if (start >= end)
        return;
    if (past_end == PAST_END_COUNTS)
        gc__marker_scan_range(marker, start, end, PAST_END_COUNTS);
    else
        scan_sparse(marker, start, end);
    if (marker->unaligned)
        scan_sparse(marker, start + HALF_BYTES, end - HALF_BYTES);
}

void gc__marker_scan_between(struct marker *marker, struct gc__range range)
{
    uintptr_t start = gc__align_down(range.start, sizeof(uintptr_t));
    uintptr_t end = gc__align_down(range.end, sizeof(uintptr_t));

    for (unsigned shift = 1; shift < sizeof(uintptr_t) && end - start > sizeof(uintptr_t); shift++)
        scan_sparse(marker, start + shift, end - sizeof(uintptr_t) + shift);
}

static void mark_all_of(struct marker *marker, struct block *block)
{
    size_t first = gc__block_first_granule(marker->region, block);

    for (size_t granule = first; granule < first + block->units * GC_UNIT_GRANULES; granule += 64)
        for (uint64_t cells = gc__bits_of(marker->region, granule)->allocated; cells != 0; cells &= cells - 1)
            gc__marker_mark(marker, (struct object){granule + (size_t)__builtin_ctzll(cells), block});
}

/* What the callbacks of kinds are given. */
static void scan_data_of_kinds(struct marker *marker)
{
    for (unsigned kind = GC_KIND_COUNT; kind < gc__kind_count; kind++) {
        uintptr_t data = (uintptr_t)&gc__kinds[kind].data;

        gc__marker_scan_range(marker, data, data + sizeof(void *), PAST_END_IGNORED);
    }
}

void gc__marker_mark_root_kinds(struct marker *marker)
{
    struct region *region = marker->region;
    size_t units = region->accessible * GC_UNITS_PER_CHUNK;
    size_t head, page = 0;

    scan_data_of_kinds(marker);
    for (size_t unit = 0; unit < units; unit++) {
        struct block *block = &region->blocks[unit];
        if (gc__block_is_head(block) && gc__kinds[block->kind].is_root)
            mark_all_of(marker, block);
    }
    for (; gc__large_next(region, page, &head); page = head + gc__large_pages(region, head))
        if (gc__kinds[gc__large_kind(region, head)].is_root)
            gc__marker_mark(marker, (struct object){gc__large_granule(head), NULL});
}
