#define _GNU_SOURCE
#include "gc/platform/linux/thread_area.h"

#include <dlfcn.h>

/* What glibc tells debuggers (nptl_db): looked up by name, for no program
 * should depend on it. A field is described by an element's size in bits, the
 * number of elements and the offset. */
struct field {
    uint32_t bits;
    uint32_t elements;
    uint32_t offset;
};

struct layout {
    const uint32_t *descriptor_bytes;
    const uint32_t *block_bytes;  /* of a block of values... */
    const struct field *specific; /* ...and the descriptor's pointers to such blocks */
};

static const struct layout *find_layout(void)
{
    GC_OWN_STATE static struct layout layout;
    GC_OWN_STATE static bool looked;

    if (!looked) {
        layout.descriptor_bytes = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
        layout.block_bytes = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread_key_data_level2");
        layout.specific = dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific");
        looked = true;
    }
    return &layout;
}

/* On x86 the thread pointer points at the descriptor, on ARM behind it. */
static uintptr_t descriptor_start(uint32_t bytes)
{
    uintptr_t thread_pointer = (uintptr_t)__builtin_thread_pointer();

#if defined __x86_64__
    (void)bytes;
    return thread_pointer;
#else
    return thread_pointer - bytes;
#endif
}

/* The first block of values lies in the descriptor, the others in memory of
 * malloc's. */
void gc__thread_area_each_range(void (*visit)(struct gc__range range, void *argument), void *argument)
{
    const struct layout *layout = find_layout();
    uintptr_t start;
    const uintptr_t *blocks;
    size_t count;

    if (layout->descriptor_bytes == NULL)
        return;
    start = descriptor_start(*layout->descriptor_bytes);
    visit((struct gc__range){start, start + *layout->descriptor_bytes}, argument);

    if (layout->block_bytes == NULL || layout->specific == NULL)
        return;
    blocks = (const uintptr_t *)(start + layout->specific->offset);
    count = (size_t)layout->specific->bits * layout->specific->elements / 8 / sizeof *blocks;
    for (size_t i = 0; i < count; i++)
        if (blocks[i] != 0)
            visit((struct gc__range){blocks[i], blocks[i] + *layout->block_bytes}, argument);
}
