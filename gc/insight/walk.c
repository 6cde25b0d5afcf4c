/* walk.c - what the heap holds, object by object and kind by kind. */

#include "gc/api/enter.h"
#include "gc/base/check.h"
#include "gc/cycle/pause.h"

#include <broom/event.h>
#include <string.h>

/* ---- What was not handed out ---------------------------------------------------------
 * Cells of runs are allocated, but no objects. Their bits are cleared while the world
 * stands, and set again: then nobody has to look for them. */

typedef void change_bits(const struct region *region, uint64_t *word, uint64_t bits);

static void change_run(const struct region *region, const struct run *run, change_bits *change)
{
    for (const char *cell = run->cur; cell < run->end; cell += run->cell_bytes) {
        size_t granule = gc__granule_of(region, cell);

        change(region, &gc__bits_of(region, granule)->allocated, gc__bit_of(granule));
    }
}

static void change_runs(const struct heap *heap, change_bits *change)
{
    for (struct mutator *mutator = heap->world.first; mutator != NULL; mutator = mutator->next)
        for (unsigned lane = 0; (lane = gc__mutator_used_lane(mutator, lane)) < mutator->lanes; lane++)
            change_run(&heap->region, gc__mutator_run(mutator, lane), change);
}

/* ---- Walking --------------------------------------------------------------------------- */

struct walk {
    const struct heap *heap;
    bool (*visit)(const struct object *object, void *data);
    void *data;
    bool goes_on;
};

static void walk_block(struct walk *walk, struct block *block)
{
    const struct region *region = &walk->heap->region;
    size_t first = gc__block_first_granule(region, block), end = first + block->units * GC_UNIT_GRANULES;

    for (size_t granule = first; walk->goes_on && granule < end; granule += 64)
        for (uint64_t cells = gc__bits_of(region, granule)->allocated; walk->goes_on && cells != 0;
             cells &= cells - 1) {
            struct object object = {granule + (size_t)__builtin_ctzll(cells), block};

            if (gc__object_is_live(region, &object))
                walk->goes_on = walk->visit(&object, walk->data);
        }
}

static void walk_large(struct walk *walk)
{
    const struct region *region = &walk->heap->region;
    size_t head, page = 0;

    for (; walk->goes_on && gc__large_next(region, page, &head); page = head + gc__large_pages(region, head)) {
        struct object object = {gc__large_granule(head), NULL};

        if (!gc__large_is_condemned(region, head))
            walk->goes_on = walk->visit(&object, walk->data);
    }
}

static void walk_heap(void *argument)
{
    struct walk *walk = argument;
    const struct region *region = &walk->heap->region;

    change_runs(walk->heap, gc__bits_clear);
    for (size_t unit = 0; walk->goes_on && unit < region->accessible * GC_UNITS_PER_CHUNK; unit++)
        if (gc__block_is_head(&region->blocks[unit]))
            walk_block(walk, &region->blocks[unit]);
    walk_large(walk);
    change_runs(walk->heap, gc__bits_set);
}

static void *walk_spilled(uintptr_t sp, const char *call, uintptr_t argument, uintptr_t unused)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);
    struct walk *walk = (struct walk *)argument;

    (void)unused;
    gc__world_begin(mutator);
    gc__world_lock(&gc__heap.world);
    gc__pause_to_look(&gc__heap, walk_heap, walk);
    gc__world_unlock(&gc__heap.world);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return NULL;
}

static bool walk_all(const char *call, bool (*visit)(const struct object *object, void *data), void *data)
{
    struct walk walk = {.heap = &gc__heap, .visit = visit, .data = data, .goes_on = true};

    gc__os_spill_registers(walk_spilled, call, (uintptr_t)&walk, 0);
    return walk.goes_on;
}

/* ---- Object by object -------------------------------------------------------------------- */

struct client {
    bool (*visit)(const struct gc_object_info *object, void *data);
    void *data;
};

static bool show(const struct object *object, void *data)
{
    const struct region *region = &gc__heap.region;
    const struct client *client = data;
    unsigned kind = gc__object_kind(region, object);
    struct gc_object_info info = {
        .start = gc__object_start(region, object),
        .bytes = gc__object_usable_bytes(region, object),
        .kind = kind < GC_KIND_COUNT ? NULL : gc__kind_at(kind),
        .sort = kind < GC_KIND_COUNT ? kind : (unsigned)GC_OBJECT_OF_KIND,
        .large = object->block == NULL,
    };

    gc__heap.snapshot.spoilt = true; /* the client may keep what it finds dead */
    return client->visit(&info, client->data);
}

_Static_assert((int)GC_OBJECT_CONSERVATIVE == (int)GC_KIND_CONSERVATIVE &&
                   (int)GC_OBJECT_ATOMIC == (int)GC_KIND_ATOMIC &&
                   (int)GC_OBJECT_UNCOLLECTABLE == (int)GC_KIND_UNCOLLECTABLE &&
                   (int)GC_OBJECT_OF_KIND == (int)GC_KIND_COUNT,
               "the built-in kinds are the sorts");

bool gc_for_each_object(bool (*visit)(const struct gc_object_info *object, void *data), void *data)
{
    struct client client = {visit, data};

    return walk_all("gc_for_each_object", show, &client);
}

/* ---- Kind by kind -------------------------------------------------------------------------- */

struct census_of_kinds {
    struct gc_kind_stats *out;
    size_t capacity;
};

static bool count(const struct object *object, void *data)
{
    const struct census_of_kinds *census = data;
    unsigned kind = gc__object_kind(&gc__heap.region, object);

    if (kind < census->capacity) {
        census->out[kind].objects++;
        census->out[kind].bytes += gc__object_bytes(&gc__heap.region, object);
    }
    return true;
}

size_t gc_get_kind_stats(struct gc_kind_stats *out, size_t capacity)
{
    static const char *const built_in[] = {"conservative", "atomic", "uncollectable"};
    struct census_of_kinds census = {out, capacity};
    size_t kinds;

    gc__enter("gc_get_kind_stats");
    kinds = gc__kind_count;
    for (size_t i = 0; i < kinds && i < capacity; i++)
        out[i] = (struct gc_kind_stats){
            .kind = i < GC_KIND_COUNT ? NULL : gc__kind_at((unsigned)i),
            .name = i < GC_KIND_COUNT ? built_in[i] : gc__kinds[i].name,
        };
    census.capacity = kinds < capacity ? kinds : capacity;
    walk_all("gc_get_kind_stats", count, &census);
    return kinds;
}
