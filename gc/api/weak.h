/* weak.h - what the functions about weak pointers have in common. */
#ifndef GC_API_WEAK_H
#define GC_API_WEAK_H

#include "gc/cycle/heap.h"
#include "gc/mark/ephemeron.h"

#include <broom/weak.h>

/* Whether `address` is the start of a living object, and so may be attached to. What
 * is none lives for ever: it may be an integer with a tag. */
bool gc__weak_is_object(const void *address);

/* Makes a kind once. `ephemeron`: of ephemerons with `bytes` bytes, else a layout.
 * NULL: no memory. */
gc_kind *gc__weak_kind(gc_kind *_Atomic *kind, const char *name, size_t bytes, uint64_t pointers, bool ephemeron);

/* Under no lock: attaches an ephemeron to its key, which is an object. False: no
 * memory. */
bool gc__weak_attach_ephemeron(struct ephemeron *ephemeron);

#endif
