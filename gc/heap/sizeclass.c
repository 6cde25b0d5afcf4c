#include "gc/heap/sizeclass.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

GC_OWN_STATE struct sizeclasses gc__sizeclasses;

/* A larger block is worth it while it saves more than this share of itself. */
#define TAIL_SHARE 32

/* The cell that comes after one of at least 128 bytes. */
static size_t next_cell_bytes(size_t cell_bytes)
{
    size_t power = gc__power_of_two_in(cell_bytes);
    size_t step = power / GC_STEPS_PER_DOUBLING;

    if (cell_bytes == power && step > GC_GRANULE_BYTES)
        return cell_bytes + GC_GRANULE_BYTES;
    return gc__align_down(cell_bytes, step) + step;
}

static uint64_t cell_pattern(size_t cell_granules)
{
    uint64_t pattern = 0;

    for (size_t granule = 0; granule < 64; granule += cell_granules)
        pattern |= (uint64_t)1 << granule;
    return pattern;
}

/* The fewest units whose tail behind the last cell is small; the fewest with
 * the smallest tail if there are none. */
static unsigned block_units(size_t cell_bytes)
{
    unsigned best = 1;

    for (unsigned units = 1; units <= GC_MAX_BLOCK_UNITS; units++) {
        size_t bytes = units * GC_UNIT_BYTES;
        size_t best_tail = best * GC_UNIT_BYTES % cell_bytes;

        if (bytes % cell_bytes <= bytes / TAIL_SHARE)
            return units;
        if (bytes % cell_bytes * best < best_tail * units)
            best = units;
    }
    return best;
}

void gc__sizeclass_init(bool spare)
{
    unsigned words = 0;
    size_t bytes = 0;

    gc__sizeclasses.spare = spare;
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++) {
        struct sizeclass *class = &gc__sizeclasses.classes[c];
        bool linear = c < GC_LINEAR_CLASSES;
        size_t usable, cell_granules;

        bytes = linear ? gc__align_up((c + 1) * GC_WORD_BYTES, GC_GRANULE_BYTES) : next_cell_bytes(bytes);
        usable = linear ? (c + 1) * GC_WORD_BYTES : bytes - GC_WORD_BYTES;
        cell_granules = bytes >> GC_GRANULE_SHIFT;
        class->usable_bytes = (uint32_t)usable;
        class->full = usable == bytes;
        class->cell_bytes = (uint32_t)bytes;
        class->cell_granules = (uint16_t)cell_granules;
        class->units = (uint8_t)block_units(bytes);
        class->cells = (uint16_t)(class->units * GC_UNIT_BYTES / bytes);
        class->reciprocal = (uint32_t)((((uint64_t)1 << GC_RECIPROCAL_SHIFT) + cell_granules - 1) / cell_granules);
        class->pattern = cell_pattern(cell_granules);
        while (gc__sizeclass_is_used(c) && words * GC_WORD_BYTES <= usable)
            gc__sizeclasses.class_of_words[words++] = (uint8_t)c;
    }
}

unsigned gc__sizeclass_aligned(size_t bytes, size_t alignment)
{
    unsigned c = gc__sizeclass_of(bytes);

    while (gc__sizeclass(c)->cell_bytes % alignment != 0 || !gc__sizeclass_is_used(c))
        c++;
    return c;
}

static void audit_class(unsigned c)
{
    const struct sizeclass *class = gc__sizeclass(c);
    uint64_t granules = class->cell_granules;

    GC_AUDIT(class->cell_bytes == granules << GC_GRANULE_SHIFT);
    GC_AUDIT(c == 0 || class->usable_bytes > gc__sizeclass(c - 1)->usable_bytes);
    GC_AUDIT(class->usable_bytes <= class->cell_bytes && class->cell_bytes < class->usable_bytes + GC_GRANULE_BYTES);
    GC_AUDIT(class->full == (class->usable_bytes == class->cell_bytes));
    GC_AUDIT(class->cells * class->cell_bytes <= class->units * GC_UNIT_BYTES);
    for (uint64_t offset = 0; offset < class->units * GC_UNIT_GRANULES; offset++)
        GC_AUDIT(offset * class->reciprocal >> GC_RECIPROCAL_SHIFT == offset / granules);
}

static void audit_table(void)
{
    unsigned smallest = 0;

    for (size_t bytes = 0; bytes <= GC_SMALL_MAX_BYTES; bytes++) {
        while (gc__sizeclass(smallest)->usable_bytes < bytes || !gc__sizeclass_is_used(smallest))
            smallest++;
        GC_AUDIT(gc__sizeclass_of(bytes) == smallest);
    }
}

void gc__sizeclass_audit(void)
{
    for (unsigned c = 0; c < GC_CLASS_COUNT; c++)
        audit_class(c);
    GC_AUDIT(gc__sizeclass(GC_CLASS_COUNT - 1)->cell_bytes == GC_LARGEST_CELL_BYTES);
    audit_table();
}
