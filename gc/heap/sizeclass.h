/* sizeclass.h - which cell an object of a given size gets (segregated fits;
 * GC Handbook, 2nd ed., section 7.4).
 *
 * Every 8 bytes up to 128, then cells in eight steps a doubling up to 32 KiB, and
 * one a granule above each power of two, which is what most buffers are.
 * Cells are whole granules, so every other of the first classes has eight spare
 * bytes at the end of its cells; all above 128 bytes have them by design, and
 * large objects, too. So an address one past the end of an object points into the
 * same cell still. That matters for buffers that a program keeps along with their
 * ends: each end would keep the buffer behind it, whose own end the next, and so
 * on. Cells of 16, 32 ... 128 bytes are used to the last one
 * (`full`), as half of the memory of small objects would be lost otherwise: there
 * such an address may count for the cell before, and keep it alive on suspicion.
 * Where all objects are to have spare bytes, as in the place of malloc, whose
 * chunks have eight bytes of their own, these classes are not used.
 *
 * Made once by gc__sizeclass_init, then constant; any thread.
 *
 * Invariants (checked by gc__sizeclass_audit):
 *  1. usable bytes grow with the class; cells are whole granules that hold them
 *  2. class_of_words[w] is the smallest class in use that holds w words
 *  3. index = granule offset * reciprocal >> GC_RECIPROCAL_SHIFT is exact for
 *     every granule of a block */
#ifndef GC_HEAP_SIZECLASS_H
#define GC_HEAP_SIZECLASS_H

#include "gc/base/tunables.h"

#include <stdbool.h>
#include <stdint.h>

#define GC_LINEAR_CLASSES 16 /* 8, 16, 24 ... 128 */
#define GC_STEPS_PER_DOUBLING 8
#define GC_DOUBLINGS 8        /* cells of 128 bytes to 32 KiB */
#define GC_POWERS_AND_A_BIT 7 /* 272, 528 ... 16400 */
#define GC_CLASS_COUNT (GC_LINEAR_CLASSES + GC_STEPS_PER_DOUBLING * GC_DOUBLINGS + GC_POWERS_AND_A_BIT)

/* Exact because offset (below 2^14 granules) times the reciprocal's rounding
 * error (below the cell's 2^11 granules) stays below 2^31. */
#define GC_RECIPROCAL_SHIFT 31

struct sizeclass {
    uint32_t usable_bytes;
    uint32_t cell_bytes;
    uint16_t cell_granules;
    uint16_t cells; /* in a block */
    uint32_t reciprocal;
    uint8_t units;    /* of a block */
    bool full;        /* all of a cell is usable */
    uint64_t pattern; /* of 64 granules from a cell's start: a bit where a cell starts */
};

struct sizeclasses {
    struct sizeclass classes[GC_CLASS_COUNT];
    uint8_t class_of_words[GC_SMALL_MAX_BYTES / GC_WORD_BYTES + 1];
    bool spare; /* no class that is full is used */
};

extern struct sizeclasses gc__sizeclasses;

/* `spare`: every object is to have spare bytes at its end. */
void gc__sizeclass_init(bool spare);
void gc__sizeclass_audit(void);

/* `bytes` is at most GC_SMALL_MAX_BYTES. */
static inline unsigned gc__sizeclass_of(size_t bytes)
{
    return gc__sizeclasses.class_of_words[(bytes + GC_WORD_BYTES - 1) / GC_WORD_BYTES];
}

static inline const struct sizeclass *gc__sizeclass(unsigned class_index)
{
    return &gc__sizeclasses.classes[class_index];
}

static inline bool gc__sizeclass_is_used(unsigned class_index)
{
    return !(gc__sizeclasses.spare && gc__sizeclass(class_index)->full);
}

/* The smallest class for `bytes` whose cells all start at multiples of
 * `alignment` bytes, a power of two up to GC_LARGEST_CELL_BYTES. */
unsigned gc__sizeclass_aligned(size_t bytes, size_t alignment);

#endif
