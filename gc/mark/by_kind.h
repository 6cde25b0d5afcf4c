/* by_kind.h - scanning objects whose kind has more to say than that every word may
 * be a pointer: layouts and callbacks (gc/mark/trace.h).
 *
 * The marker's inlined loop scans cells by the maps of their lanes itself. Objects in
 * pages of their own and those of callbacks come here, with the marker's state in
 * its struct.
 *
 * Threads: the marker's. */
#ifndef GC_MARK_BY_KIND_H
#define GC_MARK_BY_KIND_H

#include "gc/mark/marker.h"
#include "gc/mark/trace.h"

/* The words of a part of an object that may be pointers. If a callback tells: all
 * of them, of the whole object. */
void gc__by_kind_scan_part(struct marker *marker, const struct traced *object, struct gc__range part);

/* A word that may be a pointer, decoded. */
void gc__by_kind_report(struct marker *marker, uintptr_t address, bool exact);

/* All of the object at `address`, if it may hold pointers. */
void gc__by_kind_scan_all(struct marker *marker, uintptr_t address);

/* A piece of a large object; false: it is to be scanned word by word. */
bool gc__by_kind_scan_piece(struct marker *marker, struct gc__range piece);

/* Of a large object: scanned in pieces, unless a callback tells; 0: not at all. */
uintptr_t gc__by_kind_entry_of_large(const struct marker *marker, size_t granule);

#endif
