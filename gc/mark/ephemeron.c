#include "gc/mark/ephemeron.h"

#include "gc/mark/by_kind.h"

#define DRAIN_INTERVAL 1024 /* entries */

void gc__ephemeron_scan(struct marker *marker, uintptr_t address)
{
    const struct ephemeron *ephemeron = (const struct ephemeron *)address;

    if (gc__ephemeron_key_lives(marker, ephemeron->key))
        gc__by_kind_report(marker, ephemeron->value, false);
}

/* ---- Going through the table ------------------------------------------------------------ */

/* What a pass comes to. */
struct pass {
    bool marked;   /* something turned from white, */
    bool any_open; /* and some keys were white when it came by: they may have turned since */
};

/* At once, for the next entry may be that of its key. False: it was no white object. */
static bool mark_now(struct marker *marker, uintptr_t value)
{
    struct object object;

    if (value - marker->base >= marker->span || !gc__resolve(marker->region, (struct ambiguous){value}, &object) ||
        (gc__bits_of(marker->region, object.granule)->mark & gc__bit_of(object.granule)) != 0)
        return false;
    gc__marker_mark(marker, object);
    return true;
}

/* Its key lives. If it is white itself, it may still be scanned. */
static bool mark_value_now(struct marker *marker, const struct attachment *entry)
{
    const struct ephemeron *ephemeron = entry->a;

    if (!gc__is_marked_at(marker->region, (uintptr_t)ephemeron))
        return false;
    if (!marker->past_end_everywhere)
        return mark_now(marker, ephemeron->value);
    gc__by_kind_report(marker, ephemeron->value, false);
    return true;
}

static void look_at(struct marker *marker, const struct attachment *entry, struct pass *pass)
{
    if (gc__is_marked_at(marker->region, entry->object))
        pass->marked |= mark_value_now(marker, entry);
    else
        pass->any_open = true;
}

/* So that little is grey at a time. */
static void drain_now_and_then(struct marker *marker, size_t i)
{
    if (i % DRAIN_INTERVAL == 0 && gc__marker_has_grey(marker))
        gc__marker_drain(marker);
}

static struct pass pass_forwards(struct marker *marker, const struct attachments *table, size_t from)
{
    struct pass pass = {false, false};

    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, marker->region, i + GC_ATTACHMENTS_AHEAD);
        look_at(marker, &table->entry[i], &pass);
        drain_now_and_then(marker, i);
    }
    gc__marker_drain(marker);
    return pass;
}

static struct pass pass_backwards(struct marker *marker, const struct attachments *table, size_t from)
{
    struct pass pass = {false, false};

    for (size_t i = table->count; i-- > from;) {
        gc__attachments_prefetch(table, marker->region, i - GC_ATTACHMENTS_AHEAD);
        look_at(marker, &table->entry[i], &pass);
        drain_now_and_then(marker, i);
    }
    gc__marker_drain(marker);
    return pass;
}

/* ---- Awaiting keys ------------------------------------------------------------------------ */

static void mark_value(struct marker *marker, const struct attachment *entry)
{
    const struct ephemeron *ephemeron = entry->a;

    if (gc__is_marked_at(marker->region, (uintptr_t)ephemeron))
        gc__by_kind_report(marker, ephemeron->value, false);
}

void gc__ephemerons_find_due(struct marker *marker, size_t granule)
{
    struct attachments *table = marker->awaited;
    size_t index = gc__attachments_first(table, (uintptr_t)gc__granule_address(marker->region, granule));

    for (; index != SIZE_MAX; index = gc__attachments_next(table, index)) {
        table->entry[index].note = marker->due;
        marker->due = (uint32_t)index + 1;
    }
}

static void mark_those_due(struct marker *marker)
{
    while (marker->due != 0) {
        const struct attachment *entry = &marker->awaited->entry[marker->due - 1];

        marker->due = entry->note;
        mark_value(marker, entry);
    }
}

static void mark_awaited(struct marker *marker, struct attachments *table, size_t from)
{
    marker->awaited = table;
    marker->company = AWAITED;
    marker->due = 0;
    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, marker->region, i + GC_ATTACHMENTS_AHEAD);
        if (gc__is_marked_at(marker->region, table->entry[i].object))
            mark_value(marker, &table->entry[i]);
    }
    do {
        mark_those_due(marker);
        gc__marker_drain(marker);
    } while (marker->due != 0);
    marker->company = ALONE;
    marker->awaited = NULL;
}

void gc__ephemerons_mark(struct marker *marker, struct attachments *table, size_t from)
{
    struct pass pass = pass_forwards(marker, table, from);

    if (pass.marked && pass.any_open)
        pass = pass_backwards(marker, table, from);
    if (pass.marked && pass.any_open)
        mark_awaited(marker, table, from);
}

/* ---- Breaking ------------------------------------------------------------------------------ */

void gc__ephemerons_break(const struct region *region, struct attachments *table, size_t from, bool dead)
{
    for (size_t i = table->count; i-- > from;) { /* so little has to be moved: see gc/reclaim/weak.c */
        struct ephemeron *ephemeron = table->entry[i].a;
        bool key_is_white;

        gc__attachments_prefetch(table, region, i - GC_ATTACHMENTS_AHEAD);
        key_is_white = !gc__is_marked_at(region, table->entry[i].object);
        if (key_is_white)
            ephemeron->key = ephemeron->value = 0;
        if (key_is_white || (dead && !gc__is_marked_at(region, (uintptr_t)ephemeron)))
            gc__attachments_remove(table, i);
    }
}
