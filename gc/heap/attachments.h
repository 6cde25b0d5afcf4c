/* attachments.h - what is attached to objects from outside: weak links,
 * finalizers, ephemerons. A table of them is found by the object's address.
 *
 * The entries stand side by side, so that a collection goes through them in a
 * line; a hash table of their numbers finds those of an object. All of it lies in
 * mapped memory beside the heap, and is no root. Objects that lie together have
 * their places in the hash table together, so that it is as friendly to the cache
 * as the heap is. Its chains are linked both ways: an object may have a million
 * entries, and each is removed in a few steps.
 *
 * What is attached to an object may itself lie at an address, as a link does; a table
 * of such things (`placed`) has a second hash table, which finds them by that.
 *
 * Entries are old or young: what was there in the last cycle, and survived it, was
 * marked, and so a minor cycle need not look at it.
 *
 * Threads: under the heap's lock.
 *
 * Invariants (checked by gc__attachments_audit):
 *  1. every entry is in the chain of its object's hash, and no chain has another
 *  2. likewise for `a`, if the table is a placed one; no two entries have the same
 *  3. between two cycles every entry's object is a living one */
#ifndef GC_HEAP_ATTACHMENTS_H
#define GC_HEAP_ATTACHMENTS_H

#include "gc/heap/resolve.h"

struct attachment {
    uintptr_t object; /* its start */
    uint32_t next;    /* of the same hash: its number plus one; 0: none */
    uint32_t previous;
    uint32_t next_place; /* of the same hash of `a` */
    uint32_t note;       /* what a, b and this are for is the owner's business */
    void *a;
    void *b;
};

struct attachments {
    bool placed; /* entries are found by `a`, too */
    bool sparse; /* the last cycle left few of many */
    struct attachment *entry;
    uint32_t *head;       /* by hash of the object: a number plus one; 0: none */
    uint32_t *place_head; /* by that of `a`; as many */
    size_t count;
    size_t old; /* the first so many */
    size_t capacity;
    size_t populated_bytes; /* of the entries: there is memory for those */
    size_t in_large;        /* entries with that note */
    size_t condemned;       /* between two steps of a cycle */
    unsigned head_bits;     /* there are 2 to the power of this heads */
};

/* Part of the note: `a` lies in a large object, which has many granules. */
#define GC_ATTACHMENT_IN_LARGE 0x80000000u

/* No more than the numbers of entries can tell. */
#define GC_ATTACHMENTS_MAX ((size_t)UINT32_MAX - 1)

/* In the address of the object, which is that of a granule: the hash is the same. */
#define GC_ATTACHMENT_CONDEMNED ((uintptr_t)1)

/* Attaches an entry to an object. NULL: no memory. The address holds until entries
 * are added or removed. */
struct attachment *gc__attachments_add(struct attachments *table, struct attachment entry);

/* The last one becomes number `index`, or the last old one and then the last. */
void gc__attachments_remove(struct attachments *table, size_t index);

/* The first entry of an object, and the next; SIZE_MAX: there is none. */
size_t gc__attachments_first(const struct attachments *table, uintptr_t object);
size_t gc__attachments_next(const struct attachments *table, size_t index);

/* A number plus one, 0 for none: of the chain in which those of an object at `address`
 * are, the first, if there are any. And that fetched, for soon. */
uint32_t gc__attachments_chain(const struct attachments *table, uintptr_t address);
void gc__attachments_prefetch_chain(const struct attachments *table, uintptr_t address);

/* The entry whose `a` this is; SIZE_MAX: there is none. */
size_t gc__attachments_at(const struct attachments *table, const void *place);

/* A cycle, which may find that most are to go, condemns those, and has them removed
 * together: they are found by nobody in between. What is behind `from` is looked at. */
static inline void gc__attachments_condemn(struct attachments *table, size_t index)
{
    table->entry[index].object |= GC_ATTACHMENT_CONDEMNED;
    table->condemned++;
}
void gc__attachments_remove_condemned(struct attachments *table, size_t from);

/* Removes all whose `a` lies in [start, end), an object or a part of one. */
void gc__attachments_remove_within(struct attachments *table, uintptr_t start, uintptr_t end);

/* All entries of an object are another's now, a new one's. */
void gc__attachments_move(struct attachments *table, uintptr_t from, uintptr_t to);

/* The cycle has seen all of them, and those that are left are old. If the one
 * before left few, too, gives memory back that many more needed. */
void gc__attachments_age(struct attachments *table);

size_t gc__attachments_metadata_bytes(const struct attachments *table);

void gc__attachments_audit(const struct attachments *table, const struct region *region);

/* ---- While the world stands ------------------------------------------------------- */

static inline bool gc__is_marked_at(const struct region *region, uintptr_t object)
{
    size_t granule = (object - region->base) >> GC_GRANULE_SHIFT;

    return (gc__bits_of(region, granule)->mark & gc__bit_of(granule)) != 0;
}

/* Fetches the mark bits of the object of an entry that is looked at soon. */
static inline void gc__attachments_prefetch(const struct attachments *table, const struct region *region, size_t index)
{
    if (index < table->count)
        __builtin_prefetch(gc__bits_of(region, (table->entry[index].object - region->base) >> GC_GRANULE_SHIFT));
}

/* So many entries ahead. */
#define GC_ATTACHMENTS_AHEAD 8

#endif
