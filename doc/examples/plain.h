/* plain.h - for allocators without kinds, finalizers and weak maps: as much of
 * broom/runtime.h as the examples use. Kinds say nothing, nothing is ever cleared,
 * and no finalizer runs.
 */
#ifndef PLAIN_H
#define PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* clang-format off */
typedef struct gc_kind gc_kind;
typedef struct gc_finalizer_queue gc_finalizer_queue;
typedef void (*gc_finalizer)(void *object, void *data);
typedef size_t (*gc_weak_map_hash)(const void *key);
typedef bool (*gc_weak_map_equal)(const void *a, const void *b);
enum { GC_TRACE_CONSERVATIVE, GC_TRACE_LAYOUT, GC_WEAK_VALUES, GC_FINALIZE_UNORDERED, GC_FINALIZE_ON_DEMAND, GC_PLAIN_BUCKETS = 1021 };

struct gc_kind_options { const char *name; uint32_t tracing; size_t bytes, element_bytes; const uint64_t *pointers, *element_pointers; };
struct gc_entry { void *key, *value; struct gc_entry *next; };
typedef struct { gc_weak_map_hash hash; gc_weak_map_equal equal; size_t count; struct gc_entry *bucket[GC_PLAIN_BUCKETS]; } gc_weak_map;

#define GC_POINTER_AT(type, member) (UINT64_C(1) << (offsetof(type, member) / sizeof(void *)))

static inline gc_kind *gc_kind_new(const struct gc_kind_options *options, size_t size) { (void)size; return (gc_kind *)(uintptr_t)options; }
static inline void *gc_new_bytes(gc_kind *kind, size_t bytes) { (void)kind; return gc_malloc(bytes); }
static inline gc_finalizer_queue *gc_finalizer_queue_new(uint32_t mode) { (void)mode; return gc_malloc(1); }
static inline int gc_set_finalizer_in(gc_finalizer_queue *queue, void *object, gc_finalizer finalizer, void *data, uint32_t order)
{ (void)queue; (void)object; (void)finalizer; (void)data; (void)order; return 0; }
static inline bool gc_get_finalizer(gc_finalizer_queue *queue, const void *object, gc_finalizer *finalizer, void **data)
{ (void)queue; (void)object; (void)finalizer; (void)data; return false; }
static inline int gc_set_finalizer(void *object, gc_finalizer finalizer, void *data) { (void)object; (void)finalizer; (void)data; return 0; }
static inline void *gc_stack_new(size_t bytes, void **memory, size_t *size) { *memory = gc_malloc(bytes); *size = bytes; return *memory; }
static inline struct gc_stack *gc_stack_of_thread(void) { return NULL; }
static inline void gc_stack_switch(const struct gc_stack *from, const struct gc_stack *to) { (void)from; (void)to; }
static inline size_t gc_run_finalizers(gc_finalizer_queue *queue, size_t max) { (void)queue; (void)max; return 0; }
static inline void *gc_base(const void *pointer) { return (void *)(uintptr_t)pointer; }
static inline void gc_collect(void) {}
/* clang-format on */

static inline gc_weak_map *gc_weak_map_new(uint32_t mode, gc_weak_map_hash hash, gc_weak_map_equal equal)
{
    gc_weak_map *map = gc_malloc(sizeof *map);
    (void)mode;
    map->hash = hash;
    map->equal = equal;
    return map;
}

static inline void *gc_weak_map_get(gc_weak_map *map, const void *key)
{
    struct gc_entry *entry = map->bucket[map->hash(key) % GC_PLAIN_BUCKETS];
    while (entry && !map->equal(entry->key, key))
        entry = entry->next;
    return entry ? entry->value : NULL;
}

static inline int gc_weak_map_put(gc_weak_map *map, void *key, void *item)
{
    struct gc_entry *entry = gc_malloc(sizeof *entry), **bucket = &map->bucket[map->hash(key) % GC_PLAIN_BUCKETS];
    *entry = (struct gc_entry){key, item, *bucket};
    *bucket = entry;
    map->count++;
    return 0;
}

static inline size_t gc_weak_map_count(gc_weak_map *map)
{
    return map->count;
}

#endif
