#include "gc/platform/linux/kept.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

struct entry {
    _Atomic uint64_t key; /* 0: not taken. Never changes again */
    _Atomic uint64_t value;
};

/* Half of its entries are taken at most: then comes the next one, four times as large. */
struct table {
    size_t entries; /* a power of two */
    _Atomic size_t taken;
    _Atomic(struct table *) next;
    struct entry *entry;
};

#define FIRST_ENTRIES 1024

static struct entry first_entries[FIRST_ENTRIES];
static struct table first = {.entries = FIRST_ENTRIES, .entry = first_entries};

static size_t hash(uint64_t key)
{
    return (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20);
}

/* In this table; with `take`, one that is not taken becomes it. NULL: there is none. */
static struct entry *find_in(struct table *table, uint64_t key, bool take)
{
    for (size_t i = hash(key), tries = 0; tries < table->entries; i++, tries++) {
        struct entry *entry = &table->entry[i & (table->entries - 1)];
        uint64_t found = atomic_load(&entry->key);

        if (found == 0 && take && atomic_load(&table->taken) < table->entries / 2 &&
            atomic_compare_exchange_strong(&entry->key, &found, key)) {
            atomic_fetch_add(&table->taken, 1);
            return entry;
        }
        if (found == key)
            return entry;
        if (found == 0)
            return NULL;
    }
    return NULL;
}

static struct table *next_of(struct table *table)
{
    size_t bytes = sizeof(struct table) + 4 * table->entries * sizeof(struct entry);
    struct table *next = atomic_load(&table->next), *mine;

    if (next != NULL)
        return next;
    mine = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mine == MAP_FAILED)
        return NULL;
    mine->entries = 4 * table->entries;
    mine->entry = (struct entry *)(mine + 1);
    if (atomic_compare_exchange_strong(&table->next, &next, mine))
        return mine;
    munmap(mine, bytes);
    return next;
}

static _Atomic uint64_t *find(uint64_t key)
{
    for (struct table *table = &first; table != NULL; table = atomic_load(&table->next)) {
        struct entry *entry = find_in(table, key, false);

        if (entry != NULL)
            return &entry->value;
    }
    return NULL;
}

static _Atomic uint64_t *find_or_take(uint64_t key)
{
    _Atomic uint64_t *value = find(key);

    for (struct table *table = &first; value == NULL && table != NULL; table = value == NULL ? next_of(table) : NULL) {
        struct entry *entry = find_in(table, key, true);

        value = entry != NULL ? &entry->value : NULL;
    }
    return value;
}

struct gc__kept gc__keep(uint64_t key, uint64_t value)
{
    struct gc__kept kept = {find_or_take(key), 0};

    if (kept.place != NULL)
        kept.before = atomic_exchange(kept.place, value);
    return kept;
}

void gc__keep_as_before(struct gc__kept kept)
{
    if (kept.place != NULL)
        atomic_store(kept.place, kept.before);
}

void gc__forget_kept(uint64_t key)
{
    _Atomic uint64_t *value = find(key);

    if (value != NULL)
        atomic_store(value, 0);
}
