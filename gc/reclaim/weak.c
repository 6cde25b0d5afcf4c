#include "gc/reclaim/weak.h"

void gc__weak_remove(struct attachments *table, void **link)
{
    size_t index = gc__attachments_at(table, link);

    if (index != SIZE_MAX)
        gc__attachments_remove(table, index);
}

static uint32_t note_of(const struct region *region, void **link, bool is_long)
{
    struct object holder;
    uint32_t note = is_long ? GC_WEAK_LONG : 0;

    if (gc__region_offset(region, (uintptr_t)link) < gc__region_span(region))
        note |= GC_WEAK_IN_HEAP;
    if (gc__resolve(region, gc__ambiguous(link), &holder) && holder.block == NULL)
        note |= GC_ATTACHMENT_IN_LARGE;
    return note;
}

bool gc__weak_add(struct attachments *table, const struct region *region, void **link, uintptr_t target, bool is_long)
{
    struct attachment entry = {.object = target, .note = note_of(region, link, is_long), .a = link};

    gc__weak_remove(table, link);
    return gc__attachments_add(table, entry) != NULL;
}

/* Others may be reading it. */
static void set_link(const struct attachment *entry, uintptr_t from, uintptr_t to)
{
    uintptr_t *link = entry->a;

    if (__atomic_load_n(link, __ATOMIC_RELAXED) == from)
        __atomic_store_n(link, to, __ATOMIC_RELAXED);
}

void gc__weak_clear_links_to(struct attachments *table, uintptr_t target)
{
    size_t index;

    while ((index = gc__attachments_first(table, target)) != SIZE_MAX) {
        set_link(&table->entry[index], target, 0);
        gc__attachments_remove(table, index);
    }
}

void gc__weak_move_links(struct attachments *table, uintptr_t from, uintptr_t to)
{
    for (size_t i = gc__attachments_first(table, from); i != SIZE_MAX; i = gc__attachments_next(table, i))
        set_link(&table->entry[i], from, to);
    gc__attachments_move(table, from, to);
}

/* ---- While the world stands ----------------------------------------------------------- */

/* Whether the object that holds the link is white, or was cut short of it. */
static bool is_gone(const struct region *region, const struct attachment *entry)
{
    struct object holder;

    if ((entry->note & GC_WEAK_IN_HEAP) == 0)
        return false;
    return !gc__resolve(region, gc__ambiguous(entry->a), &holder) ||
           (gc__bits_of(region, holder.granule)->mark & gc__bit_of(holder.granule)) == 0;
}

static void clear(struct attachments *table, size_t index)
{
    set_link(&table->entry[index], table->entry[index].object, 0);
    gc__attachments_condemn(table, index);
}

void gc__weak_clear_short(const struct region *region, struct attachments *table, size_t from)
{
    for (size_t i = from; i < table->count; i++) {
        const struct attachment *entry = &table->entry[i];

        gc__attachments_prefetch(table, region, i + GC_ATTACHMENTS_AHEAD);
        if ((entry->note & GC_WEAK_LONG) == 0 && !gc__is_marked_at(region, entry->object))
            clear(table, i);
    }
    gc__attachments_remove_condemned(table, from);
}

void gc__weak_clear(const struct region *region, struct attachments *table, size_t from)
{
    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, region, i + GC_ATTACHMENTS_AHEAD);
        if (!gc__is_marked_at(region, table->entry[i].object))
            clear(table, i);
        else if (is_gone(region, &table->entry[i]))
            gc__attachments_condemn(table, i);
    }
    gc__attachments_remove_condemned(table, from);
}
