/* interpose_epoll.c - what a program gives to epoll is held by the kernel alone, and in
 * events that are packed: so it is kept here as well. The table is ordinary data, and
 * so a root.
 *
 * An entry stays until its pair of files is given something else, or is deleted: not
 * when one of them is closed. Of each pair one object at most is kept too long.
 *
 * Threads: any, without a lock; the entry of a pair is written by who calls epoll_ctl
 * for it. A child of fork finds the table as it was. */

#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

struct entry {
    _Atomic uint64_t pair; /* of files, plus one; 0: not taken. Never changes again */
    _Atomic uint64_t data;
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

static uint64_t pair_of(int poll, int file)
{
    return ((uint64_t)(uint32_t)poll << 32 | (uint32_t)file) + 1;
}

static size_t hash(uint64_t pair)
{
    return (size_t)(pair * UINT64_C(0x9e3779b97f4a7c15) >> 20);
}

/* In this table; with `take`, one that is not taken becomes it. NULL: there is none. */
static struct entry *find_in(struct table *table, uint64_t pair, bool take)
{
    for (size_t i = hash(pair), tries = 0; tries < table->entries; i++, tries++) {
        struct entry *entry = &table->entry[i & (table->entries - 1)];
        uint64_t found = atomic_load(&entry->pair);

        if (found == 0 && take && atomic_load(&table->taken) < table->entries / 2 &&
            atomic_compare_exchange_strong(&entry->pair, &found, pair)) {
            atomic_fetch_add(&table->taken, 1);
            return entry;
        }
        if (found == pair)
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

static struct entry *find(uint64_t pair)
{
    for (struct table *table = &first; table != NULL; table = atomic_load(&table->next)) {
        struct entry *entry = find_in(table, pair, false);

        if (entry != NULL)
            return entry;
    }
    return NULL;
}

static struct entry *find_or_take(uint64_t pair)
{
    struct entry *entry = find(pair);

    for (struct table *table = &first; entry == NULL && table != NULL; table = entry == NULL ? next_of(table) : NULL)
        entry = find_in(table, pair, true);
    return entry;
}

/* Kept before the kernel may hand it to another thread. Where the call fails, what was
 * there before is kept still. */
EXPORT int epoll_ctl(int poll, int operation, int file, struct epoll_event *event)
{
    bool gives = operation != EPOLL_CTL_DEL && event != NULL;
    struct entry *entry = gives ? find_or_take(pair_of(poll, file)) : find(pair_of(poll, file));
    uint64_t before = 0;
    int result;

    if (entry != NULL && gives)
        before = atomic_exchange(&entry->data, event->data.u64);
    result = (int)syscall(SYS_epoll_ctl, poll, operation, file, event);
    if (entry != NULL && result != 0 && gives)
        atomic_store(&entry->data, before);
    if (entry != NULL && result == 0 && operation == EPOLL_CTL_DEL)
        atomic_store(&entry->data, 0);
    return result;
}
