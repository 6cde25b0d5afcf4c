#include "gc/reclaim/finalizer.h"

#include "gc/base/align.h"
#include "gc/mark/by_kind.h"

#include <string.h>

/* ---- What is ready --------------------------------------------------------------------- */

static size_t bytes_of_ready(size_t capacity)
{
    return gc__align_up(capacity * sizeof(struct ready), gc__os_page_bytes());
}

/* For one more that is registered, and its report. */
static bool make_room(struct finalizers *finalizers)
{
    size_t needed = 2 * (finalizers->table.count + 1) + finalizers->ready_count;
    size_t capacity = gc__max(2 * finalizers->capacity, 256);
    struct ready *ready;

    if (needed <= finalizers->capacity)
        return true;
    ready = gc__os_map(bytes_of_ready(capacity));
    if (ready == NULL)
        return false;
    if (finalizers->capacity != 0) {
        memcpy(ready, finalizers->ready, finalizers->used * sizeof *ready);
        gc__os_release(finalizers->ready, bytes_of_ready(finalizers->capacity));
    }
    finalizers->ready = ready;
    finalizers->capacity = capacity;
    return true;
}

static uint32_t free_place(struct finalizers *finalizers)
{
    uint32_t number = finalizers->free;

    if (number == 0)
        return (uint32_t)++finalizers->used;
    finalizers->free = finalizers->ready[number - 1].next;
    return number;
}

/* Returns the number of its place. */
static uint32_t append(struct finalizers *finalizers, struct ready ready)
{
    struct gc_finalizer_queue *queue = &finalizers->queue[ready.queue];
    uint32_t number = free_place(finalizers);

    finalizers->ready[number - 1] = ready;
    if (queue->last != 0)
        finalizers->ready[queue->last - 1].next = number;
    else
        queue->first = number;
    queue->last = number;
    queue->count += ready.finalizer != NULL;
    finalizers->ready_count++;
    finalizers->news = true;
    return number;
}

size_t gc__finalizers_metadata_bytes(const struct finalizers *finalizers)
{
    return gc__attachments_metadata_bytes(&finalizers->table) + bytes_of_ready(finalizers->capacity);
}

/* ---- What is registered ---------------------------------------------------------------------- */

static uint32_t queue_of(const struct attachment *entry)
{
    return entry->note & GC_FINALIZER_QUEUE_MASK;
}

static size_t find(const struct attachments *table, uintptr_t object, uint32_t queue)
{
    size_t index = gc__attachments_first(table, object);

    while (index != SIZE_MAX && queue_of(&table->entry[index]) != queue)
        index = gc__attachments_next(table, index);
    return index;
}

static struct ready *place_of(const struct finalizers *finalizers, const struct attachment *entry)
{
    return &finalizers->ready[(uintptr_t)entry->a - 1];
}

/* That it is in a cycle, if that is still to be told. Few objects ever are. */
static struct ready *report_of(const struct finalizers *finalizers, const struct attachment *entry)
{
    if ((entry->note & GC_FINALIZER_REPORTED) == 0)
        return NULL;
    for (size_t i = 0; i < finalizers->used; i++) {
        struct ready *place = &finalizers->ready[i];

        if (place->finalizer == NULL && (uintptr_t)place->object == entry->object && place->queue == queue_of(entry))
            return place;
    }
    return NULL;
}

/* If it is ready, its place remains in the queue, empty; so does that of a report. */
static void drop(struct finalizers *finalizers, size_t index)
{
    const struct attachment *entry = &finalizers->table.entry[index];
    struct ready *report = report_of(finalizers, entry);

    if (report != NULL)
        report->object = NULL;
    if ((entry->note & GC_FINALIZER_READY) != 0) {
        struct ready *place = place_of(finalizers, entry);

        finalizers->queue[place->queue].count--;
        place->object = place->data = NULL;
        place->finalizer = NULL;
    }
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

bool gc__finalizers_get(const struct finalizers *finalizers, uint32_t queue, uintptr_t object, struct ready *found)
{
    size_t index = find(&finalizers->table, object, queue);
    const struct attachment *entry;

    if (index == SIZE_MAX)
        return false;
    entry = &finalizers->table.entry[index];
    if ((entry->note & GC_FINALIZER_READY) != 0)
        *found = *place_of(finalizers, entry);
    else
        *found = (struct ready){.finalizer = (gc_finalizer)(uintptr_t)entry->a, .data = entry->b};
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

    for (size_t i = gc__attachments_first(table, from); i != SIZE_MAX; i = gc__attachments_next(table, i)) {
        struct ready *report = report_of(finalizers, &table->entry[i]);

        if (report != NULL)
            report->object = (void *)to;
        if ((table->entry[i].note & GC_FINALIZER_READY) != 0)
            place_of(finalizers, &table->entry[i])->object = (void *)to;
    }
    gc__attachments_move(table, from, to);
}

/* ---- From one to the other -------------------------------------------------------------------- */

static void make_ready(struct finalizers *finalizers, struct attachment *entry)
{
    uint32_t number = append(finalizers, (struct ready){
                                             .object = (void *)entry->object,
                                             .finalizer = (gc_finalizer)(uintptr_t)entry->a,
                                             .data = entry->b,
                                             .queue = queue_of(entry),
                                         });

    entry->a = (void *)(uintptr_t)number;
    entry->note |= GC_FINALIZER_READY;
}

void gc__finalizers_make_all_ready(struct finalizers *finalizers, uint32_t queue)
{
    for (size_t i = 0; i < finalizers->table.count; i++) {
        struct attachment *entry = &finalizers->table.entry[i];

        if (queue_of(entry) == queue && (entry->note & GC_FINALIZER_READY) == 0)
            make_ready(finalizers, entry);
    }
}

static struct ready take_first(struct finalizers *finalizers, struct gc_finalizer_queue *queue)
{
    uint32_t number = queue->first;
    struct ready *place = &finalizers->ready[number - 1], taken = *place;

    queue->first = place->next;
    queue->last = queue->first != 0 ? queue->last : 0;
    finalizers->ready_count--;
    *place = (struct ready){.next = finalizers->free};
    finalizers->free = number;
    if (finalizers->ready_count == 0) { /* the next collection need not look at all of them */
        finalizers->used = 0;
        finalizers->free = 0;
    }
    return taken;
}

/* Passes over what was dropped since. */
bool gc__finalizers_take(struct finalizers *finalizers, uint32_t index, struct ready *taken)
{
    struct gc_finalizer_queue *queue = &finalizers->queue[index];

    while (queue->first != 0) {
        size_t entry;

        *taken = take_first(finalizers, queue);
        entry = taken->object != NULL ? find(&finalizers->table, (uintptr_t)taken->object, index) : SIZE_MAX;
        if (entry == SIZE_MAX)
            continue;
        if (taken->finalizer != NULL) {
            queue->count--;
            gc__attachments_remove(&finalizers->table, entry);
        }
        return true;
    }
    return false;
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
    for (size_t i = 0; i < finalizers->used; i++) {
        mark_word(marker, &finalizers->ready[i].object);
        mark_word(marker, &finalizers->ready[i].data);
    }
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

/* Before anything is marked for finalizers. False: nothing is to be done. */
static bool note_white(struct finalizers *finalizers, const struct marker *marker, size_t from)
{
    struct attachments *table = &finalizers->table;
    bool any = false;

    for (size_t i = from; i < table->count; i++) {
        gc__attachments_prefetch(table, marker->region, i + GC_ATTACHMENTS_AHEAD);
        if (is_white(marker, &table->entry[i])) {
            table->entry[i].note |= GC_FINALIZER_WHITE;
            any = true;
        }
    }
    return any;
}

static void report_cycle(struct finalizers *finalizers, struct attachment *entry)
{
    if ((entry->note & GC_FINALIZER_REPORTED) != 0)
        return;
    entry->note |= GC_FINALIZER_REPORTED;
    append(finalizers, (struct ready){.object = (void *)entry->object, .queue = queue_of(entry)});
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
static void mark_from_ordered(struct finalizers *finalizers, struct marker *marker, size_t from)
{
    struct attachments *table = &finalizers->table;

    for (size_t i = from; i < table->count; i++) {
        struct attachment *entry = &table->entry[i];

        if ((entry->note & GC_FINALIZER_WHITE) == 0 || (entry->note & GC_FINALIZER_ORDERED) == 0 ||
            !is_white(marker, entry))
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

void gc__finalizers_find_ready(struct finalizers *finalizers, struct marker *marker, size_t from)
{
    if (!note_white(finalizers, marker, from))
        return;
    mark_from_ordered(finalizers, marker, from);
    move_ready(finalizers, marker, from);
    mark_ready(finalizers, marker, from);
}
