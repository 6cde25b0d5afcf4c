/* kind.h - how the objects of a block are traced, born and kept.
 *
 * A block holds cells of one kind, so a kind costs an object nothing. */
#ifndef GC_HEAP_KIND_H
#define GC_HEAP_KIND_H

#include <stdbool.h>

enum gc__kind {
    GC_KIND_CONSERVATIVE,  /* every aligned word is ambiguous */
    GC_KIND_ATOMIC,        /* no pointers */
    GC_KIND_UNCOLLECTABLE, /* conservative, and a root */
    GC_KIND_COUNT
};

struct kind {
    bool scanned; /* may hold pointers: becomes grey; an atomic object goes from white to black */
    bool zeroed;  /* handed out as zeros */
    bool is_root; /* every allocated object is a root */
};

static const struct kind gc__kinds[GC_KIND_COUNT] = {
    [GC_KIND_CONSERVATIVE] = {.scanned = true, .zeroed = true, .is_root = false},
    [GC_KIND_ATOMIC] = {.scanned = false, .zeroed = false, .is_root = false},
    [GC_KIND_UNCOLLECTABLE] = {.scanned = true, .zeroed = true, .is_root = true},
};

#endif
