#include "gc/heap/attachments.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <string.h>

#define FIRST_CAPACITY ((size_t)128)
#define LEAST_HEAD_BITS 7
#define SPARSE_SHARE 8 /* a table that is used to less than this share is too large */

/* ---- The hash table --------------------------------------------------------------- */

/* Objects within 64 granules have their heads within 64, in an order that differs
 * from one such group to another: no alignment of theirs puts them all into one. */
static size_t hash(const struct attachments *table, uintptr_t object)
{
    uint64_t granule = object >> GC_GRANULE_SHIFT, group = granule >> 6;
    uint64_t scattered = group * UINT64_C(0x9e3779b97f4a7c15);

    return (size_t)(scattered >> (64 - table->head_bits + 6) << 6 | ((granule ^ group ^ group >> 6) & 63));
}

static void link_entry(struct attachments *table, size_t index)
{
    uint32_t *head = &table->head[hash(table, table->entry[index].object)];

    table->entry[index].next = *head;
    *head = (uint32_t)index + 1;
}

/* Where the number of an entry stands in its chain. */
static uint32_t *place_of(struct attachments *table, size_t index)
{
    uint32_t *place = &table->head[hash(table, table->entry[index].object)];

    while (*place != index + 1)
        place = &table->entry[*place - 1].next;
    return place;
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

size_t gc__attachments_first(const struct attachments *table, uintptr_t object)
{
    uint32_t number = table->count != 0 ? table->head[hash(table, object)] : 0;

    while (number != 0 && table->entry[number - 1].object != object)
        number = table->entry[number - 1].next;
    return number != 0 ? number - 1 : SIZE_MAX;
}

/* ---- Memory ------------------------------------------------------------------------- */

static size_t bytes_of_entries(size_t capacity)
{
    return gc__align_up(capacity * sizeof(struct attachment), gc__os_page_bytes());
}

static size_t bytes_of_heads(unsigned bits)
{
    return gc__align_up(sizeof(uint32_t) << bits, gc__os_page_bytes());
}

static void unmap(struct attachments *table)
{
    if (table->capacity == 0)
        return;
    gc__os_release(table->entry, bytes_of_entries(table->capacity));
    gc__os_release(table->head, bytes_of_heads(table->head_bits));
}

/* As many heads as entries, at least. */
static bool change_capacity(struct attachments *table, size_t capacity)
{
    struct attachments larger = *table;

    larger.capacity = capacity;
    larger.head_bits = LEAST_HEAD_BITS;
    while ((size_t)1 << larger.head_bits < capacity)
        larger.head_bits++;
    larger.entry = gc__os_map(bytes_of_entries(capacity));
    if (larger.entry == NULL)
        return false;
    larger.head = gc__os_map(bytes_of_heads(larger.head_bits));
    if (larger.head == NULL) {
        gc__os_release(larger.entry, bytes_of_entries(capacity));
        return false;
    }
    if (table->count != 0)
        memcpy(larger.entry, table->entry, table->count * sizeof *larger.entry);
    for (size_t i = 0; i < larger.count; i++)
        link_entry(&larger, i);
    unmap(table);
    *table = larger;
    return true;
}

size_t gc__attachments_metadata_bytes(const struct attachments *table)
{
    return table->capacity == 0 ? 0 : bytes_of_entries(table->capacity) + bytes_of_heads(table->head_bits);
}

/* ---- Adding and removing ---------------------------------------------------------------- */

struct attachment *gc__attachments_add(struct attachments *table, struct attachment entry)
{
    if (table->count == table->capacity &&
        (table->count >= GC_ATTACHMENTS_MAX / 2 || !change_capacity(table, gc__max(2 * table->count, FIRST_CAPACITY))))
        return NULL;
    table->entry[table->count] = entry;
    link_entry(table, table->count);
    return &table->entry[table->count++];
}

void gc__attachments_age(struct attachments *table)
{
    table->old = table->count;
    if (table->capacity > FIRST_CAPACITY && table->count < table->capacity / SPARSE_SHARE)
        change_capacity(table, gc__max(2 * table->count, FIRST_CAPACITY));
}

static void fill_gap(struct attachments *table, size_t gap, size_t from)
{
    if (gap == from)
        return;
    *place_of(table, from) = (uint32_t)gap + 1;
    table->entry[gap] = table->entry[from];
}

void gc__attachments_remove(struct attachments *table, size_t index)
{
    *place_of(table, index) = table->entry[index].next;
    if (index < table->old) {
        fill_gap(table, index, --table->old);
        index = table->old;
    }
    fill_gap(table, index, --table->count);
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
    uintptr_t object = table->entry[index].object;
    struct object found;
    size_t i;

    GC_AUDIT(gc__resolve(region, (struct ambiguous){object}, &found));
    GC_AUDIT((uintptr_t)gc__object_start(region, &found) == object && gc__object_is_live(region, &found));
    for (i = gc__attachments_first(table, object); i != index; i = gc__attachments_next(table, i))
        GC_AUDIT(i != SIZE_MAX);
}

void gc__attachments_audit(const struct attachments *table, const struct region *region)
{
    size_t linked = 0;

    GC_AUDIT(table->old <= table->count && table->count <= table->capacity);
    for (size_t i = 0; i < table->count; i++)
        audit_entry(table, region, i);
    for (size_t h = 0; table->capacity != 0 && h < (size_t)1 << table->head_bits; h++)
        for (uint32_t number = table->head[h]; number != 0; number = table->entry[number - 1].next, linked++)
            GC_AUDIT(hash(table, table->entry[number - 1].object) == h);
    GC_AUDIT(linked == table->count);
}
