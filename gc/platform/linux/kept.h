/* kept.h - what a program gives to the kernel, which alone holds it until it gives it
 * back: so it is kept here as well. The table is ordinary data, and so a root.
 *
 * A value stays until its key is given another one, or is forgotten. Entries are never
 * taken out: of file numbers a process has only so many.
 *
 * Threads: any, without a lock; the entry of a key is written by who makes the call for
 * it. A child of fork finds the table as it was. */
#ifndef GC_PLATFORM_LINUX_KEPT_H
#define GC_PLATFORM_LINUX_KEPT_H

#include <stdatomic.h>
#include <stdint.h>

/* What a key stands for, with a file number or two; none is 0. */
enum gc__kept_sort { GC_KEPT_EPOLL = 1, GC_KEPT_QUEUE };

static inline uint64_t gc__kept_key(enum gc__kept_sort sort, int number, int other)
{
    return (uint64_t)sort << 62 | (uint64_t)(number & 0x3fffffff) << 32 | (uint32_t)other;
}

/* Where something is kept, and what was before. NULL: there is no memory. */
struct gc__kept {
    _Atomic uint64_t *place;
    uint64_t before;
};

struct gc__kept gc__keep(uint64_t key, uint64_t value);
void gc__keep_as_before(struct gc__kept kept);
void gc__forget_kept(uint64_t key);

#endif
