/* resident.h - which pages are in memory, without /proc/self/pagemap: a process that
 * changed its user (setuid), or forbids to be looked at (PR_SET_DUMPABLE), and is not
 * root's, may not open that, nor any file there that tells of single pages. */
#ifndef GC_PLATFORM_LINUX_RESIDENT_H
#define GC_PLATFORM_LINUX_RESIDENT_H

#include "gc/platform/platform.h"

/* Calls `visit` for the pages of `range` that are in memory, or for all of them, as far as
 * they can be read: a guard cannot. Page by page, by address; `range` begins and ends with a
 * page. */
void gc__each_resident(struct gc__range range, bool all, void (*visit)(struct gc__range page, void *argument),
                       void *argument);

/* Of so many private pages from `start`: sets the bits of those in memory. False: it is not
 * known. */
bool gc__note_resident(uintptr_t start, size_t pages, uint64_t *bits);

/* Whether the system may have taken pages out of memory at all; and some of this process
 * that have not come back. */
bool gc__system_may_swap(void);
bool gc__process_may_be_swapped(void);

#endif
