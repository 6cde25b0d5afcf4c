#include "gc/heap/kind.h"

#include "gc/base/align.h"
#include "gc/base/bitmap.h"
#include "gc/platform/platform.h"

#include <limits.h>
#include <string.h>

static const struct gc_kind builtin[GC_KIND_COUNT] = {
    [GC_KIND_CONSERVATIVE] = {.scanned = true, .zeroed = true, .address_bits = UINTPTR_MAX},
    [GC_KIND_ATOMIC] = {.index = GC_KIND_ATOMIC},
    [GC_KIND_UNCOLLECTABLE] =
        {.scanned = true, .zeroed = true, .is_root = true, .index = GC_KIND_UNCOLLECTABLE, .address_bits = UINTPTR_MAX},
};

/* Mapped when the first kind is made, so that programs without pay nothing. */
struct tables {
    struct gc_kind kind[GC_MAX_KINDS];
    struct lane lane[GC_MAX_LANES - GC_BUILTIN_LANES];
    struct cell_map map[GC_MAX_LANES - GC_BUILTIN_LANES];
};

/* Maps and names of kinds, one behind the other: none is ever given back. */
struct store {
    char *next;
    char *end;
    size_t bytes; /* of memory, in all */
};

#define STORE_BYTES ((size_t)64 << 10)

GC_OWN_STATE static struct tables *tables;
GC_OWN_STATE static struct store store;

const struct gc_kind *gc__kinds = builtin;
const struct lane *gc__user_lanes;
const struct cell_map *gc__cell_maps;
unsigned gc__kind_count = GC_KIND_COUNT;
unsigned gc__lane_count = GC_BUILTIN_LANES;

/* ---- Memory ------------------------------------------------------------------- */

static void *map(size_t bytes)
{
    void *memory = gc__os_map(bytes);

    if (memory != NULL)
        store.bytes += bytes;
    return memory;
}

static void *keep(size_t bytes)
{
    size_t room = gc__align_up(gc__max(bytes, STORE_BYTES), gc__os_page_bytes());
    void *kept;

    bytes = gc__align_up(bytes, sizeof(uintptr_t));
    if (bytes > (size_t)(store.end - store.next)) {
        store.next = store.end = map(room);
        if (store.next == NULL)
            return NULL;
        store.end += room;
    }
    kept = store.next;
    store.next += bytes;
    return kept;
}

static void *keep_copy(const void *of, size_t bytes)
{
    void *copy = keep(bytes);

    return copy != NULL ? memcpy(copy, of, bytes) : NULL;
}

static bool provide_tables(void)
{
    if (tables != NULL)
        return true;
    tables = map(gc__align_up(sizeof *tables, gc__os_page_bytes()));
    if (tables == NULL)
        return false;
    memcpy(tables->kind, builtin, sizeof builtin);
    gc__user_lanes = tables->lane;
    gc__cell_maps = tables->map;
    __atomic_store_n(&gc__kinds, tables->kind, __ATOMIC_RELEASE);
    return true;
}

size_t gc__kinds_metadata_bytes(void)
{
    return store.bytes;
}

/* ---- Making kinds --------------------------------------------------------------- */

/* A map with no bit set is none. */
static bool keep_map(const uint64_t *map_bits, size_t words, const uint64_t **kept)
{
    size_t count = gc__divide_up(words, 64);
    bool any = false;

    *kept = NULL;
    for (size_t i = 0; map_bits != NULL && i < count; i++)
        any |= map_bits[i] != 0;
    if (!any)
        return true;
    *kept = keep_copy(map_bits, count * sizeof *map_bits);
    return *kept != NULL;
}

/* Words that are more than addresses are decoded as those of a layout are. */
static bool is_plain(const struct gc_kind_options *options)
{
    return options->exact == 0 && options->tag_mask == 0 && options->tag_shift == 0;
}

static bool set_layout(struct gc_kind *kind, const struct gc_kind_options *options)
{
    kind->head_words = (uint32_t)(options->bytes / GC_WORD_BYTES);
    kind->element_words = (uint32_t)(options->element_bytes / GC_WORD_BYTES);
    if (!keep_map(options->pointers, kind->head_words, &kind->head_map) ||
        !keep_map(options->element_pointers, kind->element_words, &kind->element_map))
        return false;
    kind->scanned = kind->head_map != NULL || kind->element_map != NULL;
    return true;
}

static uint8_t form_of(const struct gc_kind_options *options)
{
    switch (options->tracing) {
    case GC_TRACE_LAYOUT: return KIND_LAYOUT;
    case GC_TRACE_CALLBACK: return KIND_CALLBACK;
    default: return KIND_WORDS;
    }
}

struct gc_kind *gc__kind_new(const struct gc_kind_options *options)
{
    static const uint64_t one_pointer = 1;
    const char *name = options->name != NULL ? options->name : "";
    struct gc_kind *kind;

    if (gc__kind_count == GC_MAX_KINDS || !provide_tables())
        return NULL;
    kind = &tables->kind[gc__kind_count];
    *kind = (struct gc_kind){
        .scanned = options->tracing != GC_TRACE_NOTHING,
        .zeroed = options->tracing != GC_TRACE_NOTHING,
        .form = form_of(options),
        .exact = options->exact != 0,
        .shift = (uint8_t)options->tag_shift,
        .address_bits = ~options->tag_mask,
        .index = (uint16_t)gc__kind_count,
        .trace = options->trace,
        .data = options->data,
        .bytes = options->bytes,
        .element_bytes = options->element_bytes,
        .name = keep_copy(name, strlen(name) + 1),
        .first_lane = GC_NO_LANE,
    };
    if (kind->name == NULL)
        return NULL;
    memset(kind->lane, 0xff, sizeof kind->lane); /* GC_NO_LANE */
    if (options->tracing == GC_TRACE_CONSERVATIVE && !is_plain(options)) {
        kind->form = KIND_LAYOUT; /* in which every word may be a pointer */
        kind->element_words = 1;
        kind->element_map = &one_pointer;
    }
    if (options->tracing == GC_TRACE_LAYOUT && !set_layout(kind, options))
        return NULL;
    gc__kind_count++;
    return kind;
}

struct gc_kind *gc__kind_new_ephemeron(const struct gc_kind_options *options)
{
    struct gc_kind *kind = gc__kind_new(options);

    if (kind == NULL)
        return NULL;
    kind->form = KIND_EPHEMERON;
    kind->scanned = true;
    return kind;
}

/* ---- Lanes ------------------------------------------------------------------------ */

static uint64_t first_bits(size_t count)
{
    return count < 64 ? ~(~UINT64_C(0) << count) : ~UINT64_C(0);
}

enum { WORDS_MAX = GC_LARGEST_CELL_BYTES / GC_WORD_BYTES };

static void add_pointers(uint64_t *to, size_t from, const uint64_t *map, size_t words)
{
    for (size_t i = 0; map != NULL && i < words; i++)
        if ((map[i / 64] >> i % 64 & 1) != 0)
            to[(from + i) / 64] |= UINT64_C(1) << (from + i) % 64;
}

/* The pointers of the head, and of as many elements as the cell has room for; returns
 * the number of words up to the last one. */
static size_t find_pointers(const struct gc_kind *kind, size_t words, uint64_t pointers[WORDS_MAX / 64])
{
    size_t element = kind->head_words, element_words = kind->element_words;
    size_t end = gc__divide_up(words, 64);

    add_pointers(pointers, 0, kind->head_map, gc__min(kind->head_words, words));
    for (; kind->element_map != NULL && element + element_words <= words; element += element_words)
        add_pointers(pointers, element, kind->element_map, element_words);
    while (end > 0 && pointers[end - 1] == 0)
        end--;
    return end > 0 ? end * 64 - (size_t)__builtin_clzll(pointers[end - 1]) : 0;
}

/* Few granules, or side by side and nothing else in them: scanned the fast way. */
static void find_granules(struct cell_map *map)
{
    unsigned from = (unsigned)__builtin_ctzll(map->pointers) / 2;
    unsigned granules = (map->end + 1U) / 2 - from;
    uint64_t words = map->pointers >> 2 * from;
    bool all = words == first_bits(2 * granules);

    if (granules > (all ? GC_NARROW_GRANULES : sizeof map->chosen * CHAR_BIT / 2))
        return;
    map->from = (uint8_t)from;
    map->granules = (uint8_t)granules;
    map->chosen = all ? 0 : (uint16_t)words;
}

static void set_map(struct cell_map *map, const struct gc_kind *kind, unsigned class_index)
{
    uint64_t pointers[WORDS_MAX / 64] = {0};
    size_t end;

    *map = (struct cell_map){
        .address_bits = kind->address_bits,
        .shift = kind->shift,
        .exact = kind->exact,
        .ephemeron = kind->form == KIND_EPHEMERON,
    };
    map->plain = !map->exact && map->shift == 0 && map->address_bits == UINTPTR_MAX;
    if (kind->form != KIND_LAYOUT && kind->form != KIND_EPHEMERON)
        return;
    end = find_pointers(kind, gc__sizeclass(class_index)->cell_bytes / GC_WORD_BYTES, pointers);
    if (end > 64)
        map->more = keep_copy(&pointers[1], (gc__divide_up(end, 64) - 1) * sizeof *pointers);
    if (end > 64 && map->more == NULL)
        return;
    map->pointers = pointers[0];
    map->end = (uint16_t)end;
    if (map->plain && !map->ephemeron && end != 0 && end <= 64)
        find_granules(map);
}

unsigned gc__kind_add_lane(unsigned kind, unsigned class_index)
{
    struct gc_kind *of = &tables->kind[kind];

    if (of->lane[class_index] != GC_NO_LANE)
        return of->lane[class_index];
    if (gc__lane_count == GC_MAX_LANES)
        return GC_NO_LANE;
    tables->lane[gc__lane_count - GC_BUILTIN_LANES] = (struct lane){(uint16_t)kind, (uint16_t)class_index};
    set_map(&tables->map[gc__lane_count - GC_BUILTIN_LANES], of, class_index);
    if (of->element_bytes == 0 && of->bytes <= GC_SMALL_MAX_BYTES && class_index == gc__sizeclass_of(of->bytes))
        __atomic_store_n(&of->first_lane, (uint16_t)gc__lane_count, __ATOMIC_RELAXED);
    __atomic_store_n(&of->lane[class_index], (uint16_t)gc__lane_count, __ATOMIC_RELAXED);
    return gc__lane_count++;
}
