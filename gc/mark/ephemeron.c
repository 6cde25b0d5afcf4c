#include "gc/mark/ephemeron.h"

#include "gc/mark/by_kind.h"

/* A key outside of the heap lives for ever. */
static bool key_lives(const struct marker *marker, uintptr_t key)
{
    return key - marker->base >= marker->span || gc__is_marked_at(marker->region, key);
}

void gc__ephemeron_scan(struct marker *marker, uintptr_t address)
{
    const struct ephemeron *ephemeron = (const struct ephemeron *)address;

    if (key_lives(marker, ephemeron->key))
        gc__by_kind_report(marker, ephemeron->value, false);
}

/* Its key lives. If it is white itself, it may still be scanned. */
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

void gc__ephemerons_mark(struct marker *marker, struct attachments *table, size_t from)
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

void gc__ephemerons_break(const struct region *region, struct attachments *table, size_t from, bool dead)
{
    for (size_t i = from; i < table->count;) {
        struct ephemeron *ephemeron = table->entry[i].a;
        bool key_is_white;

        gc__attachments_prefetch(table, region, i + GC_ATTACHMENTS_AHEAD);
        key_is_white = !gc__is_marked_at(region, table->entry[i].object);
        if (key_is_white)
            ephemeron->key = ephemeron->value = 0;
        if (key_is_white || (dead && !gc__is_marked_at(region, (uintptr_t)ephemeron)))
            gc__attachments_remove(table, i);
        else
            i++;
    }
}
