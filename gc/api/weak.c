/* The public functions about weak links, weak references and ephemerons: see
 * broom/weak.h. */

#include "gc/api/weak.h"

#include "gc/api/enter.h"
#include "gc/base/check.h"

#include <errno.h>

bool gc__weak_is_object(const void *address)
{
    return address != NULL && gc_base(address) == address;
}

gc_kind *gc__weak_kind(gc_kind *_Atomic *kind, const char *name, size_t bytes, uint64_t pointers, bool ephemeron)
{
    const struct gc_kind_options options = {
        .name = name, .tracing = GC_TRACE_LAYOUT, .bytes = bytes, .pointers = &pointers};

    if (*kind != NULL)
        return *kind;
    gc__enter(name);
    gc__world_lock(&gc__heap.world);
    gc__concurrent_hold(&gc__heap); /* a marker may be at work that knows of no kinds */
    if (*kind == NULL)
        *kind = ephemeron ? gc__kind_new_ephemeron(&options) : gc__kind_new(&options);
    gc__concurrent_release(&gc__heap);
    gc__world_unlock(&gc__heap.world);
    if (*kind == NULL)
        errno = ENOMEM;
    return *kind;
}

/* ---- Links -------------------------------------------------------------------------- */

static int weak_link(void **link, void *object, uint32_t clear)
{
    bool added;

    gc__world_lock(&gc__heap.world);
    gc__heap.attached.any = true;
    added = gc__weak_add(&gc__heap.attached.links, &gc__heap.region, link, (uintptr_t)object, clear == GC_CLEAR_LATE);
    __atomic_store_n(link, added ? object : NULL, __ATOMIC_RELAXED);
    gc__world_unlock(&gc__heap.world);
    GC_HOLD_UNTIL_HERE(object);
    return added ? 0 : ENOMEM;
}

int gc_weak_link(void **link, void *object, uint32_t clear)
{
    gc__enter("gc_weak_link");
    if (clear > GC_CLEAR_LATE)
        return EINVAL;
    if (gc__weak_is_object(object))
        return weak_link(link, object, clear);
    gc_weak_unlink(link);
    __atomic_store_n(link, object, __ATOMIC_RELAXED);
    return 0;
}

void gc_weak_unlink(void **link)
{
    gc__enter("gc_weak_unlink");
    gc__world_lock(&gc__heap.world);
    gc__weak_remove(&gc__heap.attached.links, link);
    __atomic_store_n(link, NULL, __ATOMIC_RELAXED);
    gc__world_unlock(&gc__heap.world);
}

/* ---- References ------------------------------------------------------------------------ */

struct gc_weak_ref {
    void *object;
};

GC_OWN_STATE static gc_kind *_Atomic ref_kind;

gc_weak_ref *gc_weak_ref_new(void *object, uint32_t clear)
{
    gc_kind *kind = gc__weak_kind(&ref_kind, "weak reference", sizeof(gc_weak_ref), 0, false);
    gc_weak_ref *ref = kind != NULL ? gc_new(kind) : NULL;
    int error;

    if (ref == NULL)
        return NULL;
    error = gc_weak_link(&ref->object, object, clear);
    if (error == 0)
        return ref;
    gc_free(ref);
    errno = error;
    return NULL;
}

void *gc_weak_ref_get(const gc_weak_ref *ref)
{
    return __atomic_load_n(&ref->object, __ATOMIC_RELAXED);
}

/* ---- Ephemerons -------------------------------------------------------------------------- */

struct gc_ephemeron {
    struct ephemeron pair;
};

GC_OWN_STATE static gc_kind *_Atomic ephemeron_kind;
GC_OWN_STATE static gc_kind *_Atomic constant_kind; /* of those whose keys are no objects: both words are pointers */

bool gc__weak_attach_ephemeron(struct ephemeron *ephemeron)
{
    struct attachment entry = {.object = ephemeron->key, .a = ephemeron};
    bool added;

    gc__world_lock(&gc__heap.world);
    gc__heap.attached.any = true;
    added = gc__attachments_add(&gc__heap.attached.ephemerons, entry) != NULL;
    gc__world_unlock(&gc__heap.world);
    return added;
}

gc_ephemeron *gc_ephemeron_new(void *key, void *value)
{
    bool is_object = gc__weak_is_object(key);
    gc_kind *kind;
    gc_ephemeron *ephemeron;

    if (key == NULL) {
        errno = EINVAL;
        return NULL;
    }
    kind = is_object ? gc__weak_kind(&ephemeron_kind, "ephemeron", sizeof(gc_ephemeron), 0, true)
                     : gc__weak_kind(&constant_kind, "ephemeron of a constant", sizeof(gc_ephemeron), 3, false);
    ephemeron = kind != NULL ? gc_new(kind) : NULL;
    if (ephemeron == NULL)
        return NULL;
    ephemeron->pair = (struct ephemeron){(uintptr_t)key, (uintptr_t)value};
    if (is_object && !gc__weak_attach_ephemeron(&ephemeron->pair)) {
        gc_free(ephemeron);
        ephemeron = NULL;
        errno = ENOMEM;
    }
    GC_HOLD_UNTIL_HERE(key);
    GC_HOLD_UNTIL_HERE(value);
    return ephemeron;
}

void *gc_ephemeron_key(const gc_ephemeron *ephemeron)
{
    return (void *)__atomic_load_n(&ephemeron->pair.key, __ATOMIC_RELAXED);
}

void *gc_ephemeron_value(const gc_ephemeron *ephemeron)
{
    return (void *)__atomic_load_n(&ephemeron->pair.value, __ATOMIC_RELAXED);
}

/* The key is held meanwhile, so it cannot be broken between the two. */
bool gc_ephemeron_set_value(gc_ephemeron *ephemeron, void *value)
{
    void *key = gc_ephemeron_key(ephemeron);

    if (key != NULL)
        __atomic_store_n(&ephemeron->pair.value, (uintptr_t)value, __ATOMIC_RELAXED);
    GC_HOLD_UNTIL_HERE(key);
    return key != NULL;
}
