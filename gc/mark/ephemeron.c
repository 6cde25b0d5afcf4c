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
static bool mark_now(struct marker *marker, uintptr_t value, struct object *object)
{
    if (value - marker->base >= marker->span || !gc__resolve(marker->region, (struct ambiguous){value}, object) ||
        (gc__bits_of(marker->region, object->granule)->mark & gc__bit_of(object->granule)) != 0)
        return false;
    gc__marker_mark(marker, *object);
    return true;
}

/* Its key lives. If it is white itself, it may still be scanned. */
static bool mark_value_now(struct marker *marker, const struct attachment *entry)
{
    const struct ephemeron *ephemeron = entry->a;
    struct object object;

    if (!gc__is_marked_at(marker->region, (uintptr_t)ephemeron))
        return false;
    return mark_now(marker, ephemeron->value, &object);
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

static uintptr_t value_of(const struct attachment *entry)
{
    return ((const struct ephemeron *)entry->a)->value;
}

static void look_values_up(struct attachments *table, size_t from)
{
    for (size_t i = from; i < table->count; i++) {
        if (i + 2 * GC_ATTACHMENTS_AHEAD < table->count)
            __builtin_prefetch(table->entry[i + 2 * GC_ATTACHMENTS_AHEAD].a);
        if (i + GC_ATTACHMENTS_AHEAD < table->count)
            gc__attachments_prefetch_chain(table, value_of(&table->entry[i + GC_ATTACHMENTS_AHEAD]));
        table->entry[i].b = (void *)value_of(&table->entry[i]);
        table->entry[i].note = gc__attachments_chain(table, value_of(&table->entry[i]));
    }
}

static void make_due(struct marker *marker, size_t index)
{
    struct attachment *entry = &marker->awaited->entry[index];

    entry->b = NULL;
    entry->note = marker->due;
    marker->due = (uint32_t)index + 1;
}

void gc__ephemerons_find_due(struct marker *marker, size_t granule)
{
    const struct attachments *table = marker->awaited;
    size_t index = gc__attachments_first(table, (uintptr_t)gc__granule_address(marker->region, granule));

    for (; index != SIZE_MAX; index = gc__attachments_next(table, index))
        make_due(marker, index);
}

/* Those of the chain whose key is `key`, which has turned from white. Returns one of them. */
static const struct attachment *next_of_chain(struct marker *marker, uint32_t chain, uintptr_t key)
{
    const struct attachment *next = NULL, *entry;

    for (; chain != 0; chain = entry->next) {
        entry = &marker->awaited->entry[chain - 1];
        if (entry->object != key)
            continue;
        if (next == NULL)
            next = entry;
        else
            make_due(marker, chain - 1);
    }
    return next;
}

/* Its key lives. Returns an entry whose key lives by that; there may be more that are due. */
static const struct attachment *mark_value(struct marker *marker, const struct attachment *entry)
{
    uintptr_t value = entry->b != NULL ? (uintptr_t)entry->b : value_of(entry), start;
    struct object object;

    if (!gc__is_marked_at(marker->region, (uintptr_t)entry->a))
        return NULL;
    if (!mark_now(marker, value, &object))
        return NULL;
    start = (uintptr_t)gc__granule_address(marker->region, object.granule);
    return next_of_chain(
        marker, entry->b != NULL && start == value ? entry->note : gc__attachments_chain(marker->awaited, start),
        start);
}

static void follow(struct marker *marker, const struct attachment *entry)
{
    for (size_t steps = 1; entry != NULL; steps++) {
        entry = mark_value(marker, entry);
        drain_now_and_then(marker, steps);
    }
}

static void follow_those_due(struct marker *marker)
{
    while (marker->due != 0) {
        const struct attachment *entry = &marker->awaited->entry[marker->due - 1];

        marker->due = entry->note;
        follow(marker, entry);
    }
}

static void mark_awaited(struct marker *marker, struct attachments *table, size_t from)
{
    look_values_up(table, from);
    marker->awaited = table;
    marker->company = AWAITED;
    marker->due = 0;
    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, marker->region, i + GC_ATTACHMENTS_AHEAD);
        if (gc__is_marked_at(marker->region, table->entry[i].object))
            follow(marker, &table->entry[i]);
    }
    do {
        follow_those_due(marker);
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
    for (size_t i = from; i < table->count; i++) {
        struct ephemeron *ephemeron = table->entry[i].a;
        bool key_is_white;

        gc__attachments_prefetch(table, region, i + GC_ATTACHMENTS_AHEAD);
        key_is_white = !gc__is_marked_at(region, table->entry[i].object);
        if (key_is_white)
            ephemeron->key = ephemeron->value = 0;
        if (key_is_white || (dead && !gc__is_marked_at(region, (uintptr_t)ephemeron)))
            gc__attachments_condemn(table, i);
    }
    gc__attachments_remove_condemned(table, from);
}
