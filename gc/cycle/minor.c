#include "gc/cycle/minor.h"

#include "gc/base/align.h"
#include "gc/mark/rescan.h"
#include "gc/mark/watch.h"

void gc__minor_init(struct minor *minor, bool wanted)
{
    *minor = (struct minor){.possible = wanted};
}

bool gc__minor_begin(struct minor *minor, struct gang *gang, bool full)
{
    minor->now = false;
    if (minor->watched && !full)
        minor->now = minor->tracked = gc__rescan_find_written(gang, gc__rescan_find_in_part);
    minor->watched = false;
    return minor->now;
}

/* As much as a page, or more where a fault is dear. */
size_t gc__minor_fault_bytes(const struct minor *minor)
{
    return gc__max(GC_PAGE_BYTES, GC_PAGE_BYTES * minor->write_ns / GC_WATCHED_WRITE_NS);
}

void gc__minor_note_full(struct minor *minor)
{
    minor->row = 0;
}

void gc__minor_note_work(struct minor *minor, size_t scanned, size_t all)
{
    minor->row++;
    if (scanned < all / GC_MINOR_WORK_SHARE) {
        minor->last_rest = 0;
        return;
    }
    minor->last_rest = (unsigned)gc__min(2 * minor->last_rest + 1, GC_MINOR_MAX_REST);
    minor->rest = minor->last_rest;
}

bool gc__minor_track(struct minor *minor, const struct region *region)
{
    struct gc__range range = {region->base, region->base + (region->chunks << GC_CHUNK_SHIFT)};

    minor->watched = false;
    minor->tracked = minor->tracked || gc__os_track_writes(range);
    if (minor->tracked && minor->write_ns == 0)
        minor->write_ns = gc__os_watched_write_ns();
    return minor->tracked;
}

static void watch(struct minor *minor, struct region *region)
{
    minor->watched = minor->tracked = gc__minor_track(minor, region) && gc__watch_restful(region);
    minor->failures = minor->watched ? 0 : minor->failures + 1;
    minor->possible = minor->failures < GC_MINOR_MAX_FAILURES;
}

void gc__minor_prepare(struct minor *minor, struct region *region, bool wanted)
{
    if (!minor->possible || !wanted || minor->row == GC_MINOR_MAX_ROW)
        return;
    if (minor->rest > 0)
        minor->rest--;
    else
        watch(minor, region);
}
