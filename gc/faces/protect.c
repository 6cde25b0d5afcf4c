/* protect.c - mprotect and pkey_mprotect on memory of malloc's, as for the guards of
 * coroutines' stacks and for code that is written at run time.
 *
 * What the program may not read the collector must: a guard can be read. And nobody is to
 * be given pages that cannot be written: an object with such pages lives until they can
 * be again, or it is freed, whatever free means otherwise. So its address is kept here,
 * in ordinary data, which is a root.
 *
 * Threads: any, under a lock of its own: not the heap's, as a signal's handler may come here in
 * the middle of malloc, where its thread must not wait for a collector. */

#include "gc/faces/protect.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"
#include "gc/cycle/heap.h"

#include <errno.h>
#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))

static struct gc__range noted[GC_PROTECTED_RANGES];
size_t gc__protected_count;

EXPORT int mprotect(void *start, size_t bytes, int rights);
EXPORT int pkey_mprotect(void *start, size_t bytes, int rights, int key);

/* ---- The lock -------------------------------------------------------------------------- */

/* The process of who has it: that of a fork's parent is no more. */
static _Atomic long owner;

/* Neither a handler nor a collector comes in between: they would wait for it. */
static uint64_t lock(void)
{
    uint64_t blocked = gc__os_hold_all_signals();
    long self = gc__os_process_id(), other = 0;

    while (!atomic_compare_exchange_weak(&owner, &other, self))
        if (other == self) {
            gc__os_yield();
            other = 0;
        }
    return blocked;
}

static void unlock(uint64_t blocked)
{
    atomic_store(&owner, 0);
    gc__os_release_signals(blocked);
}

/* ---- What is noted ----------------------------------------------------------------------- */

static bool is_in_heap(struct gc__range range)
{
    uintptr_t offset = gc__region_offset(&gc__heap.region, range.start);

    return gc__heap.started && offset < gc__region_span(&gc__heap.region);
}

static bool is_empty(struct gc__range range)
{
    return range.start >= range.end;
}

static bool is_noted(struct gc__range range)
{
    for (size_t i = 0; i < gc__protected_count; i++)
        if (range.start >= noted[i].start && range.end <= noted[i].end)
            return true;
    return false;
}

/* What there is no room for can be written still. */
static void note(struct gc__range range)
{
    if (gc__protected_count < GC_PROTECTED_RANGES)
        noted[gc__protected_count++] = range;
    else
        gc__os_protect((void *)range.start, range.end - range.start, gc__os_rights_to_write());
}

/* What lies on either side of `range` stays noted. The entries that note() adds are looked at
 * again, and have nothing in common with it. */
static void forget(struct gc__range range)
{
    for (size_t i = 0; i < gc__protected_count;) {
        struct gc__range before = {noted[i].start, gc__min(noted[i].end, range.start)};
        struct gc__range behind = {gc__max(noted[i].start, range.end), noted[i].end};

        noted[i] = is_empty(before) ? behind : before;
        if (is_empty(noted[i]))
            noted[i] = noted[--gc__protected_count];
        else
            i++;
        if (!is_empty(before) && !is_empty(behind))
            note(behind);
    }
}

static int protect(struct gc__range range, int rights)
{
    size_t bytes = range.end - range.start;
    bool can_be_written = gc__os_rights_let_write(rights);
    uint64_t blocked = lock();
    int result;

    result = gc__os_protect((void *)range.start, bytes, can_be_written ? rights : gc__os_rights_to_read(rights));
    if (result == 0 && (can_be_written || !is_noted(range))) {
        forget(range);
        if (!can_be_written)
            note(range);
    }
    unlock(blocked);
    return result;
}

EXPORT int mprotect(void *start, size_t bytes, int rights)
{
    struct gc__range range = {(uintptr_t)start, (uintptr_t)start + gc__align_up(bytes, gc__os_page_bytes())};

    if (is_empty(range) || !is_in_heap(range) || (gc__protected_count == 0 && gc__os_rights_let_write(rights)))
        return gc__os_protect(start, bytes, rights);
    return protect(range, rights);
}

/* By a key each thread says for itself what it may read: ours are not to be kept from it.
 * -1: by none. */
EXPORT int pkey_mprotect(void *start, size_t bytes, int rights, int key)
{
    if (key == -1)
        return mprotect(start, bytes, rights);
    if (!is_in_heap((struct gc__range){(uintptr_t)start, (uintptr_t)start + bytes}))
        return gc__os_protect_by_key(start, bytes, rights, key);
    errno = EINVAL;
    return -1;
}

void gc__unprotect(struct gc__range object)
{
    uint64_t blocked = lock();

    for (size_t i = 0; i < gc__protected_count; i++) {
        struct gc__range both = {gc__max(noted[i].start, object.start), gc__min(noted[i].end, object.end)};

        if (!is_empty(both))
            gc__os_protect((void *)both.start, both.end - both.start, gc__os_rights_to_write());
    }
    forget(object);
    unlock(blocked);
}
