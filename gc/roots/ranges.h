/* ranges.h - the user's root ranges.
 *
 * Owns a sorted array of disjoint ranges in memory of its own; there is no
 * limit to their number but memory. Threads: one at a time.
 *
 * Invariant (checked by gc__ranges_audit): start < end of each range, and each
 * range ends before the next starts. */
#ifndef GC_ROOTS_RANGES_H
#define GC_ROOTS_RANGES_H

#include "gc/platform/platform.h"

struct ranges {
    struct gc__range *range;
    size_t count;
    size_t capacity;
};

/* The set becomes its union with, or loses, [start, end). False: no memory;
 * nothing has changed then. */
bool gc__ranges_add(struct ranges *ranges, struct gc__range range);
bool gc__ranges_remove(struct ranges *ranges, struct gc__range range);

/* The first part of [start, end), which is not empty, that is all inside of the set, or all
 * outside. */
struct gc__range gc__ranges_first_part(const struct ranges *ranges, struct gc__range range, bool *is_inside);

/* The range that has `address` in it. False: none has. */
bool gc__ranges_find(const struct ranges *ranges, uintptr_t address, struct gc__range *found);

size_t gc__ranges_metadata_bytes(const struct ranges *ranges);
void gc__ranges_audit(const struct ranges *ranges);

#endif
