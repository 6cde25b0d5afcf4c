#include "gc/faces/arena.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"
#include "gc/platform/platform.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* Pieces are powers of two of bytes, this one and larger ones. */
#define SMALLEST_SHIFT 6
#define CLASSES 20

/* Before what is handed out. */
struct header {
    uint32_t piece; /* where it begins, in granules */
    uint8_t class_index;
    _Atomic uint8_t taken;
};

_Static_assert(sizeof(struct header) <= GC_GRANULE_BYTES, "one granule before what is handed out");

/* A free piece begins with the number of the next one. */
static char *_Atomic arena;
static _Atomic size_t used; /* the first so many bytes were pieces once */

/* Stacks of free pieces: the granule at which the first begins, zero for none, and in the upper half how
 * often that has changed, so that who was interrupted notices (Treiber's). */
static _Atomic uint64_t free_pieces[CLASSES];

#define CHANGE ((uint64_t)1 << 32)

static char *piece_at(uint32_t granule)
{
    return arena + ((size_t)granule << GC_GRANULE_SHIFT);
}

static _Atomic uint32_t *next_of(uint32_t granule)
{
    return (_Atomic uint32_t *)(void *)piece_at(granule);
}

static uint32_t pop(unsigned class_index)
{
    uint64_t top = atomic_load(&free_pieces[class_index]), next;

    do {
        if ((uint32_t)top == 0)
            return 0;
        next = ((top & ~(CHANGE - 1)) + CHANGE) | atomic_load(next_of((uint32_t)top));
    } while (!atomic_compare_exchange_weak(&free_pieces[class_index], &top, next));
    return (uint32_t)top;
}

static void push(unsigned class_index, uint32_t granule)
{
    uint64_t top = atomic_load(&free_pieces[class_index]);

    do
        atomic_store(next_of(granule), (uint32_t)top);
    while (!atomic_compare_exchange_weak(&free_pieces[class_index], &top, ((top & ~(CHANGE - 1)) + CHANGE) | granule));
}

/* The first granule stays unused: zero is none. */
static uint32_t cut(unsigned class_index)
{
    size_t bytes = (size_t)1 << (SMALLEST_SHIFT + class_index);
    size_t begin = atomic_load(&used), start;

    do {
        start = gc__max(begin, GC_GRANULE_BYTES);
        if (start + bytes > GC_ARENA_BYTES)
            return 0;
    } while (!atomic_compare_exchange_weak(&used, &begin, start + bytes));
    return (uint32_t)(start >> GC_GRANULE_SHIFT);
}

/* Of two threads that map it, one's stays. */
static bool is_mapped(void)
{
    char *none = NULL, *memory;

    if (arena != NULL)
        return true;
    memory = gc__os_map_for_program(GC_ARENA_BYTES);
    if (memory != NULL && !atomic_compare_exchange_strong(&arena, &none, memory))
        gc__os_release(memory, GC_ARENA_BYTES);
    return arena != NULL;
}

struct gc__range gc__arena_range(void)
{
    uintptr_t start = is_mapped() ? (uintptr_t)arena : 0;

    return (struct gc__range){start, start != 0 ? start + GC_ARENA_BYTES : 0};
}

static unsigned class_of(size_t bytes)
{
    unsigned class_index = 0;

    while (class_index < CLASSES && bytes > (size_t)1 << (SMALLEST_SHIFT + class_index))
        class_index++;
    return class_index;
}

static struct header *header_of(const void *address)
{
    return (struct header *)(void *)((char *)(uintptr_t)address - GC_GRANULE_BYTES);
}

void *gc__arena_allocate(size_t bytes, size_t alignment)
{
    size_t slack = gc__max(alignment, GC_GRANULE_BYTES); /* the header's granule is in there */
    unsigned class_index = bytes <= GC_ARENA_BYTES && slack <= GC_ARENA_BYTES ? class_of(bytes + slack) : CLASSES;
    uint32_t granule = 0;
    char *start;

    if (class_index < CLASSES && is_mapped() && (granule = pop(class_index)) == 0)
        granule = cut(class_index);
    if (granule == 0)
        return NULL;
    memset(piece_at(granule), 0, (size_t)1 << (SMALLEST_SHIFT + class_index));
    start = (char *)gc__align_up((uintptr_t)piece_at(granule) + GC_GRANULE_BYTES, slack);
    *header_of(start) = (struct header){granule, (uint8_t)class_index, true};
    return start;
}

bool gc__arena_owns(const void *address)
{
    return (uintptr_t)address - (uintptr_t)arena < used;
}

size_t gc__arena_usable_bytes(const void *address)
{
    const struct header *header = header_of(address);
    const char *end = piece_at(header->piece) + ((size_t)1 << (SMALLEST_SHIFT + header->class_index));

    return (size_t)(end - (const char *)address);
}

void gc__arena_free(void *address)
{
    struct header *header = header_of(address);

    if (atomic_exchange(&header->taken, false))
        push(header->class_index, header->piece);
}
