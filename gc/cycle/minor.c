#include "gc/cycle/minor.h"

#include "gc/base/align.h"
#include "gc/mark/rescan.h"

void gc__minor_init(struct minor *minor, bool wanted)
{
    *minor = (struct minor){.possible = wanted};
}

bool gc__minor_begin(struct minor *minor, struct region *region)
{
    bool watched = minor->watched;

    minor->watched = false;
    if (!watched)
        return false;
    minor->tracked = gc__rescan_find_written(region);
    return minor->tracked;
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

static bool track(struct minor *minor, const struct region *region)
{
    struct gc__range range = {region->base, region->base + (region->chunks << GC_CHUNK_SHIFT)};

    if (!minor->tracked)
        minor->tracked = minor->possible = gc__os_track_writes(range);
    return minor->tracked;
}

void gc__minor_prepare(struct minor *minor, struct region *region, bool wanted)
{
    if (!minor->possible || !wanted || minor->row == GC_MINOR_MAX_ROW)
        return;
    if (minor->rest > 0)
        minor->rest--;
    else
        minor->watched = track(minor, region) && gc__rescan_watch(region);
}
