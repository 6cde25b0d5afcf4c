#include "gc/mark/root_watch.h"

#include "gc/base/align.h"

static void scan(struct marker *marker, struct gc__range range)
{
    if (range.start < range.end)
        gc__marker_scan_roots(marker, range, PAST_END_IGNORED);
}

/* A word that is not aligned may lie on two pages. */
static void scan_with_edges(struct marker *marker, struct gc__range part, struct gc__range pages)
{
    if (part.start > pages.start)
        part.start -= GC_WORD_BYTES;
    if (part.end < pages.end)
        part.end += GC_WORD_BYTES;
    scan(marker, part);
}

/* ---- What can be watched --------------------------------------------------------------- */

static struct gc__range whole_pages(struct gc__range range)
{
    return (struct gc__range){gc__align_up(range.start, gc__os_page_bytes()),
                              gc__align_down(range.end, gc__os_page_bytes())};
}

static bool is_in_heap(const struct region *region, struct gc__range range)
{
    return range.start < region->base + (region->chunks << GC_CHUNK_SHIFT) && region->base < range.end;
}

static bool is_worth_watching(const struct marker *marker, struct gc__range pages)
{
    return pages.start < pages.end && pages.end - pages.start >= GC_WATCHED_ROOTS_BYTES &&
           !is_in_heap(marker->region, pages);
}

/* Written, perhaps, without the system's knowing. */
static bool is_pinned(const struct root_watch *watch, struct gc__range range)
{
    bool is_inside;
    struct gc__range part = gc__ranges_first_part(watch->pinned, range, &is_inside);

    return is_inside || part.end < range.end;
}

/* What the system tracks is private: what was there before it was told is gone when it is
 * not tracked any more. */
static bool watch_piece(const struct root_watch *watch, struct gc__range piece, struct gc__range pages)
{
    if (gc__os_watch_writes(&piece, 1))
        return true;
    return gc__root_watch_is_private(watch, pages) && gc__os_track_writes_outside(pages) &&
           gc__os_watch_writes(&piece, 1);
}

/* ---- Bringing it under watch -------------------------------------------------------------- */

static void forget(struct root_watch *watch)
{
    watch->private.count = watch->known.count = watch->settled.count = 0;
}

void gc__root_watch_begin(struct root_watch *watch, const struct ranges *pinned)
{
    forget(watch);
    watch->pinned = pinned;
}

static void add_private(struct gc__range mapping, enum gc__mapping kind, void *watch)
{
    if (kind < GC_MAPPING_SHARED)
        gc__ranges_add(&((struct root_watch *)watch)->private, mapping);
}

/* What it does not tell of, or there is no memory to note, is taken for shared. */
void gc__root_watch_look(struct root_watch *watch)
{
    watch->private.count = 0;
    gc__os_each_mapping(false, add_private, watch);
}

/* Empty: all is settled. */
static struct gc__range next_piece(const struct root_watch *watch, struct gc__range pages)
{
    bool settled = true;
    struct gc__range part = {pages.start, pages.start};

    while (settled && part.end < pages.end)
        part = gc__ranges_first_part(&watch->settled, (struct gc__range){part.end, pages.end}, &settled);
    if (settled)
        return (struct gc__range){pages.end, pages.end};
    return (struct gc__range){part.start, gc__min(part.end, part.start + GC_ROOTS_PIECE_BYTES)};
}

bool gc__root_watch_more(struct root_watch *watch, struct marker *marker, struct gc__range range)
{
    struct gc__range pages = whole_pages(range), piece;

    if (!is_worth_watching(marker, pages))
        return false;
    piece = next_piece(watch, pages);
    if (piece.start == piece.end)
        return false;
    if (is_pinned(watch, piece))
        return gc__ranges_add(&watch->settled, piece);
    if (!watch_piece(watch, piece, pages)) {
        gc__ranges_add(&watch->settled, pages);
        return false;
    }
    scan_with_edges(marker, piece, pages);
    return gc__ranges_add(&watch->known, piece) && gc__ranges_add(&watch->settled, piece);
}

/* ---- Scanning -------------------------------------------------------------------------------- */

struct scanning {
    struct root_watch *watch;
    struct marker *marker;
    struct gc__range pages;
};

static void scan_written(struct gc__range written, void *argument)
{
    struct scanning *scanning = argument;

    scanning->watch->written += (written.end - written.start) / gc__os_page_bytes();
    scan_with_edges(scanning->marker, written, scanning->pages);
}

/* Some of it may be gone, or be another's: it is to be watched anew. */
static void scan_known(struct scanning *scanning, struct gc__range part, bool again)
{
    struct root_watch *watch = scanning->watch;

    if (gc__os_each_written(part, again, scan_written, scanning))
        return;
    gc__ranges_remove(&watch->settled, part);
    if (!gc__ranges_remove(&watch->known, part))
        forget(watch);
    scan_with_edges(scanning->marker, part, scanning->pages);
}

void gc__root_watch_scan(struct root_watch *watch, struct marker *marker, struct gc__range range, bool again)
{
    struct gc__range pages = whole_pages(range), rest = pages;
    struct scanning scanning = {watch, marker, pages};
    bool is_known;

    if (!is_worth_watching(marker, pages)) {
        scan(marker, range);
        return;
    }
    scan(marker, (struct gc__range){range.start, pages.start + GC_WORD_BYTES});
    scan(marker, (struct gc__range){pages.end - GC_WORD_BYTES, range.end});
    while (rest.start < rest.end) {
        struct gc__range part = gc__ranges_first_part(&watch->known, rest, &is_known);

        if (is_known && !is_pinned(watch, part))
            scan_known(&scanning, part, again);
        else
            scan_with_edges(marker, part, pages);
        rest.start = part.end;
    }
}

size_t gc__root_watch_metadata_bytes(const struct root_watch *watch)
{
    return gc__ranges_metadata_bytes(&watch->private) + gc__ranges_metadata_bytes(&watch->known) +
           gc__ranges_metadata_bytes(&watch->settled);
}
