/* mappings.h - all memory of the process as roots, where "segments" are not enough:
 * for programs that know nothing of a collector.
 *
 * Such a program keeps pointers in memory that it mapped itself; and it may load a
 * library, and allocate meanwhile: whoever collects must not ask the loader, for the
 * one who has its lock may be waiting to allocate. So the kernel is asked, when the
 * world stands: what is mapped, and which pages of that were ever written. Stacks, as far as
 * nothing else can lie there, and our own memory are left out.
 *
 * A compiler at run time, as Java's, writes pointers into the code that it makes, where an
 * instruction has them: at any address.
 *
 * In there is what is a root besides: thread-local variables, the C library's
 * descriptors of threads and values of pthread_setspecific, and the loader's data,
 * RELRO too.
 *
 * Threads: under the heap's lock. */
#ifndef GC_ROOTS_MAPPINGS_H
#define GC_ROOTS_MAPPINGS_H

#include "gc/roots/ranges.h"
#include "gc/roots/world.h"

struct mappings {
    struct ranges ranges[GC_MAPPING_KINDS]; /* code is in those of its memory, too */
    bool of_files;                          /* those that are shared of files with a name, too */
    bool failed;
};

/* Asks the system. The world stands. False: it does not say, or there is no memory to
 * note it. */
bool gc__mappings_read(struct mappings *mappings, struct world *world);

/* Calls `visit` for what of these may hold pointers, and in code anywhere. Returns the bytes of
 * that. */
size_t gc__mappings_each(const struct mappings *mappings, enum gc__mapping kind,
                         void (*visit)(struct gc__range range, void *argument), void *argument);

size_t gc__mappings_metadata_bytes(const struct mappings *mappings);

#endif
