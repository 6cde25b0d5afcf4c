/* worklist.h - the grey objects (tri-colour abstraction: GC Handbook, 2nd
 * ed., section 2.2; mark stack overflow: section 2.6).
 *
 * A stack in its own reserved memory, made accessible step by step. When no
 * more can be had a push fails; the marker then remembers the object's block
 * and comes back to it, so nothing is lost.
 *
 * What an entry says is the marker's business.
 *
 * Threads: one marker's own. */
#ifndef GC_MARK_WORKLIST_H
#define GC_MARK_WORKLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct worklist {
    uintptr_t *top;    /* the next free entry */
    uintptr_t *bottom; /* the oldest entry; those before it were given away */
    uintptr_t *base;
    uintptr_t *end;   /* of what is accessible */
    uintptr_t *limit; /* of what is reserved */
};

void gc__worklist_init(struct worklist *list, void *memory, size_t bytes);

/* Makes room at the top: what was given away at the bottom is used again, or
 * more is made accessible. False when there is no more. */
bool gc__worklist_grow(struct worklist *list);

/* Gives memory back that deep heaps needed. The list is empty. */
void gc__worklist_trim(struct worklist *list);

static inline bool gc__worklist_push(struct worklist *list, uintptr_t entry)
{
    if (__builtin_expect(list->top == list->end, 0) && !gc__worklist_grow(list))
        return false;
    *list->top++ = entry;
    return true;
}

static inline bool gc__worklist_is_empty(const struct worklist *list)
{
    return list->top == list->bottom;
}

static inline size_t gc__worklist_entries(const struct worklist *list)
{
    return (size_t)(list->top - list->bottom);
}

static inline size_t gc__worklist_metadata_bytes(const struct worklist *list)
{
    return (size_t)(list->end - list->base) * sizeof *list->base;
}

#endif
