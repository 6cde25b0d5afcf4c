/* protect.h - objects with pages that the program has made unwritable. */
#ifndef GC_FACES_PROTECT_H
#define GC_FACES_PROTECT_H

#include "gc/platform/platform.h"

/* Ranges that are, and must be, noted. */
extern size_t gc__protected_count;

/* The object is freed: its pages can be written again. */
void gc__unprotect(struct gc__range object);

#endif
