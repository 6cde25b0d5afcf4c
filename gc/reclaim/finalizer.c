#include "gc/reclaim/finalizer.h"

#include "gc/base/align.h"
#include "gc/mark/by_kind.h"

/* ---- What is ready --------------------------------------------------------------------- */

static size_t bytes_of_places(size_t capacity)
{
    return gc__align_up(capacity * sizeof(struct ready_place), gc__os_page_bytes());
}

static bool grow(struct finalizers *finalizers)
{
    size_t capacity = gc__max(2 * finalizers->capacity, 256), bytes = bytes_of_places(capacity);
    struct ready_place *place = finalizers->capacity == 0
                                    ? gc__os_map(bytes)
                                    : gc__os_resize(finalizers->place, bytes_of_places(finalizers->capacity), bytes);

    if (place == NULL)
        return false;
    finalizers->place = place;
    finalizers->capacity = capacity;
    return true;
}

static void populate(struct finalizers *finalizers, size_t places)
{
    size_t done = finalizers->populated_bytes, step;

    if (places * sizeof(struct ready_place) <= done)
        return;
    step = gc__min(GC_POPULATE_STEP_BYTES, bytes_of_places(finalizers->capacity) - done);
    gc__os_populate((char *)finalizers->place + done, step);
    finalizers->populated_bytes = done + step;
}

/* For one more that is registered. */
static bool make_room(struct finalizers *finalizers)
{
    size_t needed = finalizers->table.count + 1;

    if (needed > finalizers->capacity && !grow(finalizers))
        return false;
    populate(finalizers, needed);
    return true;
}

static uint32_t free_place(struct finalizers *finalizers)
{
    uint32_t number = finalizers->free;

    if (number == 0)
        return (uint32_t)++finalizers->used;
    finalizers->free = finalizers->place[number - 1].next;
    return number;
}

static uint16_t queue_of(const struct attachment *entry)
{
    return (uint16_t)(entry->note & GC_FINALIZER_QUEUE_MASK);
}

static struct ready_place *place_at(const struct finalizers *finalizers, uint32_t number)
{
    return &finalizers->place[number - 1];
}

static bool has_place(const struct attachment *entry)
{
    return (entry->note & (GC_FINALIZER_READY | GC_FINALIZER_TO_REPORT)) != 0;
}

/* Puts it at the end of its queue. */
static void append(struct finalizers *finalizers, struct attachment *entry, uint32_t why)
{
    struct gc_finalizer_queue *queue = &finalizers->queue[queue_of(entry)];
    uint32_t number = free_place(finalizers);

    *place_at(finalizers, number) = (struct ready_place){.object = (void *)entry->object, .previous = queue->last};
    if (queue->last != 0)
        place_at(finalizers, queue->last)->next = number;
    else
        queue->first = number;
    queue->last = number;
    queue->count++;
    finalizers->ready_count++;
    finalizers->news = true;
    entry->next_place = number;
    entry->note |= why;
}

static void take_out(struct finalizers *finalizers, struct attachment *entry)
{
    struct gc_finalizer_queue *queue = &finalizers->queue[queue_of(entry)];
    uint32_t number = entry->next_place;
    struct ready_place *place = place_at(finalizers, number);

    *(place->previous != 0 ? &place_at(finalizers, place->previous)->next : &queue->first) = place->next;
    *(place->next != 0 ? &place_at(finalizers, place->next)->previous : &queue->last) = place->previous;
    *place = (struct ready_place){.next = finalizers->free};
    finalizers->free = number;
    queue->count--;
    finalizers->ready_count--;
    if (finalizers->ready_count == 0) { /* the next collection need not look at all of them */
        finalizers->used = 0;
        finalizers->free = 0;
    }
    entry->note &= ~(GC_FINALIZER_READY | GC_FINALIZER_TO_REPORT);
}

size_t gc__finalizers_metadata_bytes(const struct finalizers *finalizers)
{
    return gc__attachments_metadata_bytes(&finalizers->table) + bytes_of_places(finalizers->capacity);
}

/* ---- What is registered ---------------------------------------------------------------------- */

static size_t find(const struct attachments *table, uintptr_t object, uint32_t queue)
{
    size_t index = gc__attachments_first(table, object);

    while (index != SIZE_MAX && queue_of(&table->entry[index]) != queue)
        index = gc__attachments_next(table, index);
    return index;
}

static void drop(struct finalizers *finalizers, size_t index)
{
    struct attachment *entry = &finalizers->table.entry[index];

    if (has_place(entry))
        take_out(finalizers, entry);
    gc__attachments_remove(&finalizers->table, index);
}

bool gc__finalizers_set(struct finalizers *finalizers, uint32_t queue, uintptr_t object, gc_finalizer finalizer,
                        void *data, bool ordered)
{
    size_t index = find(&finalizers->table, object, queue);
    struct attachment entry = {
        .object = object,
        .note = queue | (ordered ? GC_FINALIZER_ORDERED : 0),
        .a = (void *)(uintptr_t)finalizer,
        .b = data,
    };

    if (finalizer != NULL && !make_room(finalizers))
        return false;
    if (finalizer != NULL && gc__attachments_add(&finalizers->table, entry) == NULL)
        return false;
    if (index != SIZE_MAX)
        drop(finalizers, index);
    return true;
}

static struct ready to_call(const struct attachment *entry)
{
    return (struct ready){(void *)entry->object, (gc_finalizer)(uintptr_t)entry->a, entry->b};
}

bool gc__finalizers_get(const struct finalizers *finalizers, uint32_t queue, uintptr_t object, struct ready *found)
{
    size_t index = find(&finalizers->table, object, queue);

    if (index == SIZE_MAX)
        return false;
    *found = to_call(&finalizers->table.entry[index]);
    return true;
}

void gc__finalizers_drop(struct finalizers *finalizers, uintptr_t object)
{
    size_t index;

    while ((index = gc__attachments_first(&finalizers->table, object)) != SIZE_MAX)
        drop(finalizers, index);
}

void gc__finalizers_move(struct finalizers *finalizers, uintptr_t from, uintptr_t to)
{
    struct attachments *table = &finalizers->table;

    for (size_t i = gc__attachments_first(table, from); i != SIZE_MAX; i = gc__attachments_next(table, i))
        if (has_place(&table->entry[i]))
            place_at(finalizers, table->entry[i].next_place)->object = (void *)to;
    gc__attachments_move(table, from, to);
}

/* ---- From one to the other -------------------------------------------------------------------- */

/* If it was to be told that it is in a cycle, that is over. */
static void make_ready(struct finalizers *finalizers, struct attachment *entry)
{
    if (has_place(entry))
        take_out(finalizers, entry);
    append(finalizers, entry, GC_FINALIZER_READY);
}

void gc__finalizers_make_all_ready(struct finalizers *finalizers, uint32_t queue)
{
    for (size_t i = 0; i < finalizers->table.count; i++) {
        struct attachment *entry = &finalizers->table.entry[i];

        if (queue_of(entry) == queue && (entry->note & GC_FINALIZER_READY) == 0)
            make_ready(finalizers, entry);
    }
}

bool gc__finalizers_take(struct finalizers *finalizers, uint32_t index, struct ready *taken)
{
    uint32_t first = finalizers->queue[index].first;
    struct attachment *entry;
    size_t found;

    if (first == 0)
        return false;
    found = find(&finalizers->table, (uintptr_t)place_at(finalizers, first)->object, index);
    entry = &finalizers->table.entry[found];
    *taken = to_call(entry);
    if ((entry->note & GC_FINALIZER_READY) != 0) {
        drop(finalizers, found);
    } else {
        taken->finalizer = NULL;
        take_out(finalizers, entry);
    }
    return true;
}

/* ---- While the world stands --------------------------------------------------------------------- */

static void mark_word(struct marker *marker, void *const *word)
{
    if (*word != NULL)
        gc__by_kind_report(marker, (uintptr_t)*word, false);
}

void gc__finalizers_mark_roots(const struct finalizers *finalizers, struct marker *marker, size_t from)
{
    for (size_t i = from; i < finalizers->table.count; i++)
        mark_word(marker, &finalizers->table.entry[i].b);
    for (size_t i = 0; i < finalizers->used; i++)
        mark_word(marker, &finalizers->place[i].object);
}

static bool is_white(const struct marker *marker, const struct attachment *entry)
{
    return !gc__is_marked_at(marker->region, entry->object);
}

static void mark_object(struct marker *marker, uintptr_t object)
{
    gc__marker_mark(marker, (struct object){(object - marker->base) >> GC_GRANULE_SHIFT, NULL});
}

static void set_mark(const struct marker *marker, uintptr_t object)
{
    size_t granule = (object - marker->base) >> GC_GRANULE_SHIFT;

    gc__bits_of(marker->region, granule)->mark |= gc__bit_of(granule);
}

static void clear_mark(const struct marker *marker, uintptr_t object)
{
    size_t granule = (object - marker->base) >> GC_GRANULE_SHIFT;

    gc__bits_of(marker->region, granule)->mark &= ~gc__bit_of(granule);
}

/* Before anything is marked for finalizers. Returns what they have in common: 0, if there
 * is nothing to be done. */
static uint32_t note_white(struct finalizers *finalizers, const struct marker *marker, size_t from)
{
    struct attachments *table = &finalizers->table;
    uint32_t notes = 0;

    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, marker->region, i + GC_ATTACHMENTS_AHEAD);
        if (is_white(marker, &table->entry[i]))
            notes |= table->entry[i].note |= GC_FINALIZER_WHITE;
    }
    return notes;
}

static void report_cycle(struct finalizers *finalizers, struct attachment *entry)
{
    if ((entry->note & GC_FINALIZER_REPORTED) == 0)
        append(finalizers, entry, GC_FINALIZER_REPORTED | GC_FINALIZER_TO_REPORT);
}

/* All that an object leads to, and itself only if others of those lead to it: its own
 * words are passed over where they do. */
static void mark_from(struct marker *marker, uintptr_t object)
{
    set_mark(marker, object);
    gc__by_kind_scan_all(marker, object);
    gc__marker_visit_edges(marker);
    clear_mark(marker, object);
    if (gc__marker_has_grey(marker))
        gc__marker_drain(marker);
}

/* What an earlier one leads to need not be looked at again, and has to wait. */
static void mark_from_ordered(struct finalizers *finalizers, struct marker *marker, size_t from, uint32_t reported)
{
    const uint32_t white = GC_FINALIZER_WHITE | GC_FINALIZER_ORDERED;
    struct attachments *table = &finalizers->table;

    for (size_t i = from; i < table->count; i++) {
        struct attachment *entry = &table->entry[i];

        if ((entry->note & (white | GC_FINALIZER_REPORTED)) != (white | reported) || !is_white(marker, entry))
            continue;
        mark_from(marker, entry->object);
        if (!is_white(marker, entry))
            report_cycle(finalizers, entry);
    }
}

/* What no ordered one leads to. */
static void move_ready(struct finalizers *finalizers, const struct marker *marker, size_t from)
{
    struct attachments *table = &finalizers->table;

    for (size_t i = from; i < table->count; i++) {
        struct attachment *entry = &table->entry[i];

        if ((entry->note & GC_FINALIZER_WHITE) != 0 && is_white(marker, entry))
            make_ready(finalizers, entry);
    }
}

/* What ordered ones lead to is marked already. */
static void mark_ready(struct finalizers *finalizers, struct marker *marker, size_t from)
{
    struct attachments *table = &finalizers->table;

    for (size_t i = from; i < table->count; i++) {
        struct attachment *entry = &table->entry[i];
        uint32_t how = entry->note & (GC_FINALIZER_WHITE | GC_FINALIZER_READY | GC_FINALIZER_ORDERED);

        entry->note &= ~GC_FINALIZER_WHITE;
        if (how == (GC_FINALIZER_WHITE | GC_FINALIZER_READY | GC_FINALIZER_ORDERED))
            set_mark(marker, entry->object);
        else if (how == (GC_FINALIZER_WHITE | GC_FINALIZER_READY))
            mark_object(marker, entry->object);
    }
    gc__marker_drain(marker);
}

/* A cycle that was reported is come to by the same one of its objects as then, so that no
 * other of them is told of. */
void gc__finalizers_find_ready(struct finalizers *finalizers, struct marker *marker, size_t from)
{
    uint32_t notes = note_white(finalizers, marker, from);

    if (notes == 0)
        return;
    if ((notes & GC_FINALIZER_REPORTED) != 0)
        mark_from_ordered(finalizers, marker, from, GC_FINALIZER_REPORTED);
    if ((notes & GC_FINALIZER_ORDERED) != 0)
        mark_from_ordered(finalizers, marker, from, 0);
    move_ready(finalizers, marker, from);
    mark_ready(finalizers, marker, from);
}
