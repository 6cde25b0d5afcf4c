#include "gc/mark/grey.h"

#include "gc/base/bitmap.h"
#include "gc/mark/entry.h"
#include "gc/platform/platform.h"

/* Remembers a grey object that the worklist had no room for. Cold: always so
 * that other markers may do the same. */
static __attribute__((cold)) void overflow(struct marker *marker, size_t granule)
{
    struct block *block = &marker->region->blocks[granule / GC_UNIT_GRANULES];

    if (block->form == FORM_BLOCK)
        __atomic_store_n(&gc__block_head(block)->rescan, true, __ATOMIC_RELAXED);
    else
        __atomic_fetch_or(gc__large_flags(marker->region, granule >> (GC_PAGE_SHIFT - GC_GRANULE_SHIFT)),
                          GC_LARGE_RESCAN, __ATOMIC_RELAXED);
    marker->overflowed = true;
}

__attribute__((cold)) void gc__grey_push(struct marker *marker, uintptr_t entry, size_t granule)
{
    if (!gc__worklist_push(&marker->worklist, entry))
        overflow(marker, granule);
}

/* ---- Spans of large objects --------------------------------------------------------- */

static size_t head_of_piece(const struct marker *marker, uintptr_t piece)
{
    size_t page = (piece - marker->base) >> GC_PAGE_SHIFT, head = page;

    gc__large_find(marker->region, page, &head);
    return head;
}

static void push_span(struct marker *marker, uintptr_t from, size_t pieces)
{
    if (!gc__worklist_push(&marker->worklist, gc__entry_span(from, pieces)))
        overflow(marker, gc__large_granule(head_of_piece(marker, from)));
}

/* The pieces from here to the end of the object; if there are more than a span
 * may have, the others go back to the worklist. */
static size_t cut_span(struct marker *marker, uintptr_t from)
{
    size_t head = head_of_piece(marker, from);
    uintptr_t end = (uintptr_t)gc__page_address(marker->region, head) + gc__large_bytes(marker->region, head);
    size_t pieces = (end - from) / GC_SCAN_PIECE_BYTES;

    if (pieces <= GC_SPAN_MAX_PIECES)
        return pieces;
    push_span(marker, from + GC_SPAN_MAX_PIECES * GC_SCAN_PIECE_BYTES, 0);
    return GC_SPAN_MAX_PIECES;
}

/* Pages that nobody has touched are zero; to read one costs a fault. The first pieces go
 * to the worklist last, and are scanned first. */
static void push_touched(struct marker *marker, uintptr_t from, size_t pieces)
{
    uint64_t touched[GC_SPAN_MAX_PIECES / GC_WORD_BITS] = {0};
    size_t end = pieces, start, count;

    gc__os_note_touched(from, pieces, touched);
    count = gc__bitmap_count(touched, 0, pieces);
    gc__large_note_untouched(marker->region, (from - marker->base) >> GC_PAGE_SHIFT, pieces - count);
    for (; count > 0 && end > 0; end = start) {
        for (start = end; start > 0 && gc__bitmap_test(touched, start - 1);)
            start--;
        if (start < end)
            push_span(marker, from + start * GC_SCAN_PIECE_BYTES, end - start);
        else
            start--;
    }
}

/* The second halves go to the worklist, the largest first: the oldest entries, those
 * that go to other markers, are worth most, and pieces are still scanned in order. */
struct gc__range gc__grey_split(struct marker *marker, uintptr_t entry)
{
    size_t pieces = gc__entry_count(entry);
    uintptr_t from = gc__entry_address(entry);

    if (pieces == 0 && (pieces = cut_span(marker, from)) >= GC_SPARSE_MIN_PIECES &&
        gc__os_page_bytes() == GC_SCAN_PIECE_BYTES) {
        push_touched(marker, from, pieces);
        return (struct gc__range){from, from};
    }
    for (; pieces > 1; pieces -= pieces / 2)
        push_span(marker, from + (pieces - pieces / 2) * GC_SCAN_PIECE_BYTES, pieces / 2);
    return (struct gc__range){from, from + GC_SCAN_PIECE_BYTES};
}

/* ---- Between markers ------------------------------------------------------------------ */

/* The older half of the worklist, or a packet of it: the oldest entries have the largest graphs behind them, as a rule.
 */
bool gc__grey_offer(struct marker *marker)
{
    struct worklist *list = &marker->worklist;
    size_t entries = gc__worklist_entries(list), half = entries / 2;

    if (half == 0 || !gc__pool_wants(marker->pool))
        return false;
    if (entries < GC_OFFER_MIN_ENTRIES && !gc__entry_is_span(*list->bottom))
        return false;
    half = half < GC_PACKET_ENTRIES ? half : GC_PACKET_ENTRIES;
    if (!gc__pool_give(marker->pool, list->bottom, half))
        return false;
    list->bottom += half;
    return true;
}

void gc__marker_accept(struct marker *marker, const uintptr_t *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uintptr_t address = gc__entry_address(entries[i]);

        if (gc__entry_is_span(entries[i]))
            push_span(marker, address, gc__entry_count(entries[i]));
        else
            gc__grey_push(marker, entries[i], (address - marker->base) >> GC_GRANULE_SHIFT);
    }
}

void gc__marker_abandon(struct marker *marker)
{
    marker->worklist.top = marker->worklist.bottom = marker->worklist.base;
    marker->edges_out = marker->edges_in;
    marker->objects = 0;
    marker->company = ALONE;
    gc__worklist_trim(&marker->worklist);
}
