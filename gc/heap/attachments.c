#include "gc/heap/attachments.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <string.h>

#define FIRST_CAPACITY ((size_t)128)
#define LEAST_HEAD_BITS 7
#define SPARSE_SHARE 8 /* a table that is used to less than this share is too large */

/* ---- The hash tables --------------------------------------------------------------- */

/* Addresses within 64 granules have their heads within 64, in an order that differs
 * from one such group to another: no alignment of objects puts them all into one. */
static size_t hash(const struct attachments *table, uintptr_t address)
{
    uint64_t granule = address >> GC_GRANULE_SHIFT, group = granule >> 6;
    uint64_t scattered = group * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(scattered >> (64 - table->head_bits + 6) << 6 | ((granule ^ group ^ group >> 6) & 63));
}

/* Where the number of an entry stands in its object's chain. */
static uint32_t *number_of(const struct attachments *table, const struct attachment *entry)
{
    return entry->previous != 0 ? &table->entry[entry->previous - 1].next : &table->head[hash(table, entry->object)];
}

static void set_previous(const struct attachments *table, uint32_t of, uint32_t number)
{
    if (of != 0)
        table->entry[of - 1].previous = number;
}

/* And in the chain of its place, which is a short one: granules have two words. */
static uint32_t *place_number_of(const struct attachments *table, size_t index)
{
    uint32_t *number = &table->place_head[hash(table, (uintptr_t)table->entry[index].a)];

    while (*number != index + 1)
        number = &table->entry[*number - 1].next_place;
    return number;
}

static void link_entry(struct attachments *table, size_t index)
{
    struct attachment *entry = &table->entry[index];
    uint32_t number = (uint32_t)index + 1, *head = &table->head[hash(table, entry->object)];

    entry->previous = 0;
    entry->next = *head;
    set_previous(table, *head, number);
    *head = number;
    if (!table->placed)
        return;
    head = &table->place_head[hash(table, (uintptr_t)entry->a)];
    entry->next_place = *head;
    *head = number;
}

static void unlink_entry(struct attachments *table, size_t index)
{
    struct attachment *entry = &table->entry[index];

    *number_of(table, entry) = entry->next;
    set_previous(table, entry->next, entry->previous);
    if (table->placed)
        *place_number_of(table, index) = entry->next_place;
}

size_t gc__attachments_next(const struct attachments *table, size_t index)
{
    uintptr_t object = table->entry[index].object;

    do {
        if (table->entry[index].next == 0)
            return SIZE_MAX;
        index = table->entry[index].next - 1;
    } while (table->entry[index].object != object);
    return index;
}

uint32_t gc__attachments_chain(const struct attachments *table, uintptr_t address)
{
    return table->head[hash(table, address)];
}

void gc__attachments_prefetch_chain(const struct attachments *table, uintptr_t address)
{
    __builtin_prefetch(&table->head[hash(table, address)]);
}

size_t gc__attachments_first(const struct attachments *table, uintptr_t object)
{
    uint32_t number = table->count != 0 ? table->head[hash(table, object)] : 0;

    while (number != 0 && table->entry[number - 1].object != object)
        number = table->entry[number - 1].next;
    return number != 0 ? number - 1 : SIZE_MAX;
}

/* One whose `a` is in [start, end), a part of a granule. */
static size_t first_within(const struct attachments *table, uintptr_t start, uintptr_t end)
{
    uint32_t number = table->count != 0 ? table->place_head[hash(table, start)] : 0;

    while (number != 0 && (uintptr_t)table->entry[number - 1].a - start >= end - start)
        number = table->entry[number - 1].next_place;
    return number != 0 ? number - 1 : SIZE_MAX;
}

size_t gc__attachments_at(const struct attachments *table, const void *place)
{
    uint32_t number = table->count != 0 ? table->place_head[hash(table, (uintptr_t)place)] : 0;

    while (number != 0 && table->entry[number - 1].a != place)
        number = table->entry[number - 1].next_place;
    return number != 0 ? number - 1 : SIZE_MAX;
}

/* ---- Memory ------------------------------------------------------------------------- */

static size_t bytes_of_entries(size_t capacity)
{
    return gc__align_up(capacity * sizeof(struct attachment), gc__os_page_bytes());
}

/* Those of both hash tables, one behind the other. */
static size_t bytes_of_heads(const struct attachments *table)
{
    size_t bytes = sizeof(uint32_t) << table->head_bits;

    return gc__align_up(table->placed ? 2 * bytes : bytes, gc__os_page_bytes());
}

static struct attachment *resized_entries(const struct attachments *table, size_t capacity)
{
    if (table->capacity == 0)
        return gc__os_map(bytes_of_entries(capacity));
    return gc__os_resize(table->entry, bytes_of_entries(table->capacity), bytes_of_entries(capacity));
}

/* As many heads as entries, at least. */
static bool change_capacity(struct attachments *table, size_t capacity)
{
    struct attachments changed = *table;

    changed.capacity = capacity;
    changed.head_bits = LEAST_HEAD_BITS;
    while ((size_t)1 << changed.head_bits < capacity)
        changed.head_bits++;
    changed.head = gc__os_map(bytes_of_heads(&changed));
    if (changed.head == NULL)
        return false;
    changed.entry = resized_entries(table, capacity);
    if (changed.entry == NULL) {
        gc__os_release(changed.head, bytes_of_heads(&changed));
        return false;
    }
    changed.place_head = changed.head + ((size_t)1 << changed.head_bits);
    changed.populated_bytes = gc__min(changed.populated_bytes, bytes_of_entries(capacity));
    gc__os_populate(changed.head, bytes_of_heads(&changed)); /* most of it is written now, in no order */
    for (size_t i = 0; i < changed.count; i++)
        link_entry(&changed, i);
    if (table->capacity != 0)
        gc__os_release(table->head, bytes_of_heads(table));
    *table = changed;
    return true;
}

static void populate_entries(struct attachments *table, size_t count)
{
    size_t done = table->populated_bytes, step;

    if (count * sizeof(struct attachment) <= done)
        return;
    step = gc__min(GC_POPULATE_STEP_BYTES, bytes_of_entries(table->capacity) - done);
    gc__os_populate((char *)table->entry + done, step);
    table->populated_bytes = done + step;
}

size_t gc__attachments_metadata_bytes(const struct attachments *table)
{
    return table->capacity == 0 ? 0 : bytes_of_entries(table->capacity) + bytes_of_heads(table);
}

/* ---- Adding and removing ---------------------------------------------------------------- */

static size_t is_in_large(const struct attachment *entry)
{
    return (entry->note & GC_ATTACHMENT_IN_LARGE) != 0;
}

struct attachment *gc__attachments_add(struct attachments *table, struct attachment entry)
{
    if (table->count == table->capacity &&
        (table->count >= GC_ATTACHMENTS_MAX / 2 || !change_capacity(table, gc__max(2 * table->count, FIRST_CAPACITY))))
        return NULL;
    populate_entries(table, table->count + 1);
    table->entry[table->count] = entry;
    link_entry(table, table->count);
    table->in_large += is_in_large(&entry);
    return &table->entry[table->count++];
}

/* Not before the second time in a row: where all dies at once as many may follow. */
void gc__attachments_age(struct attachments *table)
{
    bool sparse = table->capacity > FIRST_CAPACITY && table->count < table->capacity / SPARSE_SHARE;

    table->old = table->count;
    if (sparse && table->sparse)
        change_capacity(table, gc__max(2 * table->count, FIRST_CAPACITY));
    table->sparse = sparse;
}

static void fill_gap(struct attachments *table, size_t gap, size_t from)
{
    struct attachment *entry = &table->entry[from];
    uint32_t number = (uint32_t)gap + 1;

    if (gap == from)
        return;
    *number_of(table, entry) = number;
    set_previous(table, entry->next, number);
    if (table->placed)
        *place_number_of(table, from) = number;
    table->entry[gap] = *entry;
}

void gc__attachments_remove(struct attachments *table, size_t index)
{
    unlink_entry(table, index);
    table->in_large -= is_in_large(&table->entry[index]);
    if (index < table->old) {
        fill_gap(table, index, --table->old);
        index = table->old;
    }
    fill_gap(table, index, --table->count);
}

static bool is_condemned(const struct attachments *table, size_t index)
{
    return (table->entry[index].object & GC_ATTACHMENT_CONDEMNED) != 0;
}

/* What takes the place of one that is removed was looked at before. */
static void remove_each_condemned(struct attachments *table, size_t from)
{
    for (size_t i = table->count; i-- > from;)
        if (is_condemned(table, i))
            gc__attachments_remove(table, i);
}

/* The others are moved together, and their chains made anew. */
static void keep_others(struct attachments *table)
{
    size_t end = table->condemned < table->count ? table->count : 0; /* of all, none has to be looked at */
    size_t kept = 0, old = 0;

    table->in_large = 0;
    for (size_t i = 0; i < end; i++) {
        if (is_condemned(table, i))
            continue;
        old += i < table->old;
        table->in_large += is_in_large(&table->entry[i]);
        table->entry[kept++] = table->entry[i];
    }
    memset(table->head, 0, bytes_of_heads(table));
    table->count = kept;
    table->old = old;
    for (size_t i = 0; i < kept; i++)
        link_entry(table, i);
}

/* To take one out of its chains costs as much as to put one in. */
void gc__attachments_remove_condemned(struct attachments *table, size_t from)
{
    if (table->condemned > table->count / 2)
        keep_others(table);
    else if (table->condemned > 0)
        remove_each_condemned(table, from);
    table->condemned = 0;
}

static void remove_all_within(struct attachments *table, uintptr_t start, uintptr_t end)
{
    for (size_t i = table->count; i-- > 0;)
        if ((uintptr_t)table->entry[i].a - start < end - start)
            gc__attachments_remove(table, i);
}

/* They are sought by granules, or all are looked at, whichever is less. */
void gc__attachments_remove_within(struct attachments *table, uintptr_t start, uintptr_t end)
{
    size_t index;

    if (table->count == 0 || (end - start > GC_SMALL_MAX_BYTES && table->in_large == 0))
        return;
    if ((end - start) >> GC_GRANULE_SHIFT >= table->count) {
        remove_all_within(table, start, end);
        return;
    }
    for (uintptr_t next; start < end; start = next) {
        next = gc__min(gc__align_up(start + 1, GC_GRANULE_BYTES), end);
        while ((index = first_within(table, start, next)) != SIZE_MAX)
            gc__attachments_remove(table, index);
    }
}

/* They are young again, as the object is that they belong to now. */
void gc__attachments_move(struct attachments *table, uintptr_t from, uintptr_t to)
{
    size_t index;

    while ((index = gc__attachments_first(table, from)) != SIZE_MAX) {
        struct attachment entry = table->entry[index];

        entry.object = to;
        gc__attachments_remove(table, index);
        gc__attachments_add(table, entry); /* there is room */
    }
}

/* ---- Audit ---------------------------------------------------------------------------------- */

static void audit_entry(const struct attachments *table, const struct region *region, size_t index)
{
    const struct attachment *entry = &table->entry[index];
    struct object found;

    GC_AUDIT(gc__resolve(region, (struct ambiguous){entry->object}, &found));
    GC_AUDIT((uintptr_t)gc__object_start(region, &found) == entry->object && gc__object_is_live(region, &found));
    GC_AUDIT(*number_of(table, entry) == index + 1);
    GC_AUDIT(!table->placed || gc__attachments_at(table, entry->a) == index);
}

static size_t audit_chain(const struct attachments *table, size_t head)
{
    size_t length = 0;
    uint32_t previous = 0;

    for (uint32_t number = table->head[head]; number != 0; number = table->entry[number - 1].next, length++) {
        GC_AUDIT(hash(table, table->entry[number - 1].object) == head && table->entry[number - 1].previous == previous);
        previous = number;
    }
    return length;
}

void gc__attachments_audit(const struct attachments *table, const struct region *region)
{
    size_t linked = 0, in_large = 0;

    GC_AUDIT(table->old <= table->count && table->count <= table->capacity && table->condemned == 0);
    for (size_t i = 0; i < table->count; i++) {
        audit_entry(table, region, i);
        in_large += is_in_large(&table->entry[i]);
    }
    for (size_t h = 0; table->capacity != 0 && h < (size_t)1 << table->head_bits; h++)
        linked += audit_chain(table, h);
    GC_AUDIT(linked == table->count && in_large == table->in_large);
}
