#include "gc/reclaim/attached.h"

#include "gc/mark/ephemeron.h"

void gc__attached_init(struct attached *attached)
{
    attached->links.placed = true;
    attached->ephemerons.placed = true;
    attached->finalizers.queue[0].mode = GC_FINALIZE_AT_ALLOCATION;
}

/* ---- Between collections ---------------------------------------------------------------- */

static void break_ephemerons_of(struct attachments *table, uintptr_t key)
{
    size_t index;

    while ((index = gc__attachments_first(table, key)) != SIZE_MAX) {
        *(struct ephemeron *)table->entry[index].a = (struct ephemeron){0, 0};
        gc__attachments_remove(table, index);
    }
}

/* One that is freed itself. */
static void forget_ephemeron(struct attachments *table, uintptr_t ephemeron)
{
    size_t index = gc__attachments_at(table, (const void *)ephemeron);

    if (index != SIZE_MAX)
        gc__attachments_remove(table, index);
}

void gc__attached_forget(struct attached *attached, const struct region *region, const struct object *object)
{
    uintptr_t start = (uintptr_t)gc__object_start(region, object);

    if (gc__kinds[gc__object_kind(region, object)].form == KIND_EPHEMERON)
        forget_ephemeron(&attached->ephemerons, start);
    gc__attachments_remove_within(&attached->links, start, start + gc__object_usable_bytes(region, object));
    gc__weak_clear_links_to(&attached->links, start);
    break_ephemerons_of(&attached->ephemerons, start);
    gc__finalizers_drop(&attached->finalizers, start);
}

static void note_move(struct attached *attached, uintptr_t from, uintptr_t to)
{
    attached->moved[attached->moves % GC_MOVES_KEPT] = (struct move){from, to};
    attached->moves++;
}

void gc__attached_move(struct attached *attached, const void *from, const void *to, size_t bytes)
{
    struct attachments *ephemerons = &attached->ephemerons;
    size_t index = gc__attachments_first(ephemerons, (uintptr_t)from);

    if (index != SIZE_MAX || gc__attachments_first(&attached->links, (uintptr_t)from) != SIZE_MAX)
        note_move(attached, (uintptr_t)from, (uintptr_t)to);
    for (; index != SIZE_MAX; index = gc__attachments_next(ephemerons, index))
        ((struct ephemeron *)ephemerons->entry[index].a)->key = (uintptr_t)to;
    gc__attachments_move(ephemerons, (uintptr_t)from, (uintptr_t)to);
    gc__attachments_remove_within(&attached->links, (uintptr_t)from, (uintptr_t)from + bytes);
    gc__weak_move_links(&attached->links, (uintptr_t)from, (uintptr_t)to);
    gc__finalizers_move(&attached->finalizers, (uintptr_t)from, (uintptr_t)to);
}

/* ---- While the world stands ------------------------------------------------------------------ */

static size_t first_of(const struct attachments *table, bool minor)
{
    return minor ? table->old : 0;
}

void gc__attached_mark_roots(const struct attached *attached, struct marker *marker, bool minor)
{
    gc__finalizers_mark_roots(&attached->finalizers, marker, first_of(&attached->finalizers.table, minor));
}

/* What an ephemeron or a short link leads to is gone before a finalizer can bring
 * it back; who holds them may be brought back with them. */
void gc__attached_process(struct attached *attached, struct marker *marker, bool minor)
{
    struct attachments *ephemerons = &attached->ephemerons, *links = &attached->links;
    struct attachments *finalizers = &attached->finalizers.table;
    size_t first_ephemeron = first_of(ephemerons, minor), first_link = first_of(links, minor);
    size_t first_finalizer = first_of(finalizers, minor);

    if (!attached->any)
        return;
    if (ephemerons->count > first_ephemeron)
        gc__ephemerons_mark(marker, ephemerons, first_ephemeron);
    if (finalizers->count > first_finalizer) {
        gc__ephemerons_break(marker->region, ephemerons, first_ephemeron, false);
        gc__weak_clear_short(marker->region, links, first_link);
        gc__finalizers_find_ready(&attached->finalizers, marker, first_finalizer);
    }
    gc__ephemerons_break(marker->region, ephemerons, first_ephemeron, true);
    gc__weak_clear(marker->region, links, first_link);

    gc__attachments_age(ephemerons);
    gc__attachments_age(links);
    gc__attachments_age(finalizers);
}

size_t gc__attached_metadata_bytes(const struct attached *attached)
{
    return gc__attachments_metadata_bytes(&attached->links) + gc__attachments_metadata_bytes(&attached->ephemerons) +
           gc__finalizers_metadata_bytes(&attached->finalizers);
}

void gc__attached_audit(const struct attached *attached, const struct region *region)
{
    gc__attachments_audit(&attached->links, region);
    gc__attachments_audit(&attached->ephemerons, region);
    gc__attachments_audit(&attached->finalizers.table, region);
}
