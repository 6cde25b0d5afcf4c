#include "gc/roots/ranges.h"

#include "gc/base/align.h"
#include "gc/base/check.h"

#include <string.h>

static size_t bytes_for(size_t capacity)
{
    return gc__align_up(capacity * sizeof(struct gc__range), gc__os_page_bytes());
}

/* Makes room for one more range: twice the memory, and the old memory back. */
static bool make_room(struct ranges *ranges)
{
    size_t capacity = ranges->capacity == 0 ? 128 : ranges->capacity * 2;
    struct gc__range *range;

    if (ranges->count < ranges->capacity)
        return true;
    range = gc__os_map(bytes_for(capacity));
    if (range == NULL)
        return false;
    if (ranges->range != NULL) {
        memcpy(range, ranges->range, ranges->count * sizeof *range);
        gc__os_release(ranges->range, bytes_for(ranges->capacity));
    }
    ranges->range = range;
    ranges->capacity = capacity;
    return true;
}

/* The first range that ends at or behind `address`; the count if there is none. */
static size_t first_reaching(const struct ranges *ranges, uintptr_t address)
{
    size_t low = 0, high = ranges->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->range[middle].end < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Ranges [first, first + old) become the `new` ranges at `with`. There is room. */
static void replace(struct ranges *ranges, size_t first, size_t old, const struct gc__range *with, size_t new)
{
    struct gc__range *at = ranges->range + first;

    memmove(at + new, at + old, (ranges->count - first - old) * sizeof *at);
    if (new > 0)
        memcpy(at, with, new * sizeof *at);
    ranges->count = ranges->count + new - old;
}

bool gc__ranges_add(struct ranges *ranges, struct gc__range range)
{
    size_t first, last;

    if (range.start >= range.end)
        return true;
    if (!make_room(ranges))
        return false;
    first = last = first_reaching(ranges, range.start);
    while (last < ranges->count && ranges->range[last].start <= range.end) {
        range.start = ranges->range[last].start < range.start ? ranges->range[last].start : range.start;
        range.end = ranges->range[last].end > range.end ? ranges->range[last].end : range.end;
        last++;
    }
    replace(ranges, first, last - first, &range, 1);
    return true;
}

bool gc__ranges_remove(struct ranges *ranges, struct gc__range range)
{
    struct gc__range rest[2];
    size_t first, last, left = 0;

    if (range.start >= range.end)
        return true;
    if (!make_room(ranges)) /* cutting out a middle makes one more */
        return false;
    first = first_reaching(ranges, range.start + 1);
    for (last = first; last < ranges->count && ranges->range[last].start < range.end; last++) {
        struct gc__range old = ranges->range[last];
        if (old.start < range.start)
            rest[left++] = (struct gc__range){old.start, range.start};
        if (old.end > range.end)
            rest[left++] = (struct gc__range){range.end, old.end};
    }
    replace(ranges, first, last - first, rest, left);
    return true;
}

struct gc__range gc__ranges_first_part(const struct ranges *ranges, struct gc__range range, bool *is_inside)
{
    size_t next = first_reaching(ranges, range.start + 1);

    *is_inside = false;
    if (next == ranges->count)
        return range;
    *is_inside = ranges->range[next].start <= range.start;
    range.end = gc__min(range.end, *is_inside ? ranges->range[next].end : ranges->range[next].start);
    return range;
}

bool gc__ranges_find(const struct ranges *ranges, uintptr_t address, struct gc__range *found)
{
    size_t next = first_reaching(ranges, address + 1);

    if (next == ranges->count || ranges->range[next].start > address)
        return false;
    *found = ranges->range[next];
    return true;
}

size_t gc__ranges_metadata_bytes(const struct ranges *ranges)
{
    return bytes_for(ranges->capacity);
}

void gc__ranges_audit(const struct ranges *ranges)
{
    GC_AUDIT(ranges->count <= ranges->capacity);
    for (size_t i = 0; i < ranges->count; i++) {
        GC_AUDIT(ranges->range[i].start < ranges->range[i].end);
        GC_AUDIT(i == 0 || ranges->range[i - 1].end < ranges->range[i].start);
    }
}
