#include "gc/heap/region.h"

#include "gc/base/align.h"
#include "gc/heap/block.h"
#include "gc/heap/large.h"
#include "gc/platform/platform.h"

static const size_t table_bytes_per_chunk[TABLE_COUNT] = {
    [TABLE_BITS] = GC_BITS_BYTES_PER_CHUNK,
    [TABLE_BLOCKS] = sizeof(struct block) * GC_UNITS_PER_CHUNK,
    [TABLE_LARGE_PAGES] = sizeof(struct large_page) * GC_PAGES_PER_CHUNK,
    [TABLE_USED] = GC_PAGES_PER_CHUNK / 8,
    [TABLE_DIRTY] = GC_PAGES_PER_CHUNK / 8,
    [TABLE_WRITTEN] = GC_PAGES_PER_CHUNK / 8,
    [TABLE_MARKED_PAGES] = GC_PAGES_PER_CHUNK / 8,
    [TABLE_CHUNKS] = sizeof(struct chunk),
};

/* ---- Making it ----------------------------------------------------------- */

static size_t table_bytes(size_t chunks, enum region_table table)
{
    return gc__align_up(chunks * table_bytes_per_chunk[table], gc__os_page_bytes());
}

static size_t all_tables_bytes(size_t chunks)
{
    size_t bytes = 0;

    for (unsigned t = 0; t < TABLE_COUNT; t++)
        bytes += table_bytes(chunks, t);
    return bytes;
}

static void lay_out(struct region *region)
{
    char *next = region->reservation + (region->chunks << GC_CHUNK_SHIFT);

    region->base = (uintptr_t)region->reservation;
    for (unsigned t = 0; t < TABLE_COUNT; t++) {
        region->table_start[t] = next;
        next += table_bytes(region->chunks, t);
    }
    region->bits = (void *)region->table_start[TABLE_BITS];
    region->blocks = (void *)region->table_start[TABLE_BLOCKS];
    region->large_pages = (void *)region->table_start[TABLE_LARGE_PAGES];
    region->used = (void *)region->table_start[TABLE_USED];
    region->dirty = (void *)region->table_start[TABLE_DIRTY];
    region->written = (void *)region->table_start[TABLE_WRITTEN];
    region->marked_pages = (void *)region->table_start[TABLE_MARKED_PAGES];
    region->chunk = (void *)region->table_start[TABLE_CHUNKS];
    region->mark_stack = next;
}

static bool reserve(struct region *region, size_t bytes)
{
    uintptr_t hint = gc__os_address_is_free() ? GC_RESERVE_HINT : 0;
    size_t left = gc__os_address_space_left();

    region->chunks = bytes >> GC_CHUNK_SHIFT;
    region->mark_stack_bytes =
        gc__max(gc__align_up(bytes / GC_MARK_STACK_SHARE, gc__os_page_bytes()), GC_MARK_STACK_STEP_BYTES);
    region->reservation_bytes = bytes + all_tables_bytes(region->chunks) + region->mark_stack_bytes;
    if (left != SIZE_MAX && region->reservation_bytes > left / 2)
        return false;
    region->reservation = gc__os_reserve(region->reservation_bytes, GC_CHUNK_BYTES, hint);
    return region->reservation != NULL;
}

bool gc__region_init(struct region *region, size_t bytes, size_t max_bytes)
{
    *region = (struct region){.max_pages = max_bytes >> GC_PAGE_SHIFT};
    bytes = gc__max(gc__align_up(bytes, GC_CHUNK_BYTES), GC_RESERVE_MIN_BYTES);
    while (!reserve(region, bytes)) {
        /* Eighths, not halves: under a tight limit every megabyte counts. */
        bytes = gc__align_down(bytes / 8 * 7, GC_CHUNK_BYTES);
        if (bytes < GC_RESERVE_MIN_BYTES)
            return false;
    }
    lay_out(region);
    return true;
}

void gc__region_destroy(struct region *region)
{
    gc__os_release(region->reservation, region->reservation_bytes);
}

/* ---- Growing the accessible part ----------------------------------------- */

static bool commit_tables(struct region *region, size_t chunks)
{
    for (unsigned t = 0; t < TABLE_COUNT; t++) {
        size_t done = table_bytes(region->accessible, t);
        size_t wanted = table_bytes(chunks, t);

        if (wanted > done && !gc__os_commit(region->table_start[t] + done, wanted - done))
            return false;
    }
    return true;
}

bool gc__region_show_tables(struct region *region)
{
    for (unsigned t = 0; t < TABLE_COUNT && !region->tables_shown; t++) {
        size_t done = table_bytes(region->accessible, t);
        size_t all = table_bytes(region->chunks, t);

        if (all > done && !gc__os_show(region->table_start[t] + done, all - done))
            return false;
    }
    region->tables_shown = true;
    return true;
}

static bool grow_to(struct region *region, size_t chunks)
{
    size_t old = region->accessible;
    char *start = (char *)region->base + (old << GC_CHUNK_SHIFT);
    size_t bytes = (chunks - old) << GC_CHUNK_SHIFT;

    if (chunks > region->chunks || !commit_tables(region, chunks) || !gc__os_commit(start, bytes))
        return false;
    for (size_t c = old; c < chunks; c++)
        region->chunk[c] = (struct chunk){
            .prefix = GC_PAGES_PER_CHUNK,
            .suffix = GC_PAGES_PER_CHUNK,
            .longest = GC_PAGES_PER_CHUNK,
            .purpose = CHUNK_FREE,
        };
    __atomic_store_n(&region->accessible, chunks, __ATOMIC_RELEASE);
    return true;
}

bool gc__region_grow(struct region *region, size_t chunks)
{
    size_t needed = region->accessible + chunks;
    size_t wanted = gc__min(region->accessible + gc__max(chunks, region->accessible / GC_GROWTH_SHARE), region->chunks);

    return (wanted > needed && grow_to(region, wanted)) || grow_to(region, needed);
}

/* ---- Figures ---------------------------------------------------------------- */

size_t gc__region_metadata_bytes(const struct region *region)
{
    size_t bytes = region->chunks_with_bits * table_bytes_per_chunk[TABLE_BITS];

    for (unsigned t = 0; t < TABLE_COUNT; t++)
        if (t != TABLE_BITS)
            bytes += table_bytes(region->accessible, t);
    return bytes;
}
