#include "gc/heap/kind.h"

#include "gc/base/align.h"
#include "gc/platform/platform.h"

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
};

/* Maps, names and lanes of kinds, one behind the other: none is ever given back. */
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
unsigned gc__kind_count = GC_KIND_COUNT;
unsigned gc__lane_count = GC_BUILTIN_LANES;

/* ---- Memory ------------------------------------------------------------------- */

static void *map(size_t bytes)
{
    void *memory = gc__os_reserve(bytes, gc__os_page_bytes(), 0);

    if (memory == NULL)
        return NULL;
    if (!gc__os_commit(memory, bytes)) {
        gc__os_release(memory, bytes);
        return NULL;
    }
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

static uint16_t first_words(const struct gc_kind *kind, const struct gc_kind_options *options)
{
    uint16_t count = 0;

    if (!is_plain(options))
        return 0;
    while (count < 64 && (kind->pointers >> count & 1) != 0)
        count++;
    if (count % 2 != 0 || (count < 64 && kind->pointers >> count != 0))
        return 0;
    return count;
}

static bool set_layout(struct gc_kind *kind, const struct gc_kind_options *options)
{
    kind->head_words = (uint32_t)(options->bytes / GC_WORD_BYTES);
    kind->element_words = (uint32_t)(options->element_bytes / GC_WORD_BYTES);
    if (!keep_map(options->pointers, kind->head_words, &kind->head_map) ||
        !keep_map(options->element_pointers, kind->element_words, &kind->element_map))
        return false;
    kind->scanned = kind->head_map != NULL || kind->element_map != NULL;
    if (kind->element_map == NULL && kind->head_map != NULL && kind->head_words <= 64)
        kind->pointers =
            kind->head_words == 64 ? *kind->head_map : *kind->head_map & ~(~UINT64_C(0) << kind->head_words);
    kind->first_words = first_words(kind, options);
    return true;
}

static bool set_lanes(struct gc_kind *kind)
{
    kind->first_lane = GC_NO_LANE;
    kind->lane = keep(GC_CLASS_COUNT * sizeof *kind->lane);
    if (kind->lane == NULL)
        return false;
    memset(kind->lane, 0xff, GC_CLASS_COUNT * sizeof *kind->lane);
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
    };
    if (kind->name == NULL || !set_lanes(kind))
        return NULL;
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
    kind->pointers = 0; /* not to be scanned as a mere layout */
    kind->first_words = 0;
    return kind;
}

unsigned gc__kind_add_lane(unsigned kind, unsigned class_index)
{
    struct gc_kind *of = &tables->kind[kind];

    if (of->lane[class_index] != GC_NO_LANE)
        return of->lane[class_index];
    if (gc__lane_count == GC_MAX_LANES)
        return GC_NO_LANE;
    tables->lane[gc__lane_count - GC_BUILTIN_LANES] = (struct lane){(uint16_t)kind, (uint16_t)class_index};
    if (of->element_bytes == 0 && of->bytes <= GC_SMALL_MAX_BYTES && class_index == gc__sizeclass_of(of->bytes))
        __atomic_store_n(&of->first_lane, (uint16_t)gc__lane_count, __ATOMIC_RELAXED);
    __atomic_store_n(&of->lane[class_index], (uint16_t)gc__lane_count, __ATOMIC_RELAXED);
    return gc__lane_count++;
}
