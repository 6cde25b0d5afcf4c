/* trace.h - the words of an object that may be pointers, as its kind says (layouts
 * and callbacks: GC Handbook, 2nd ed., section 11.2).
 *
 * Words are decoded: tags are gone. Whether one must be the very address of an
 * object (`exact`) is for the visitor to see to.
 *
 * Threads: any; nothing is written. */
#ifndef GC_MARK_TRACE_H
#define GC_MARK_TRACE_H

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/heap/resolve.h"
#include "gc/platform/platform.h"

/* What a trace callback reports to. */
struct gc_tracer {
    void (*visit)(struct gc_tracer *tracer, uintptr_t address);
    const struct gc_kind *kind;
    const uintptr_t *word; /* where the address was found; NULL: a callback told */
};

/* An object, or a part of it. */
struct traced {
    const struct gc_kind *kind;
    uintptr_t start;
    size_t bytes;  /* of its cell or pages */
    size_t usable; /* as callbacks are told */
};

struct traced gc__traced(const struct region *region, const struct object *object);

/* How an object of KIND_EPHEMERON begins. Broken, both are 0. */
struct ephemeron {
    uintptr_t key; /* the start of an object, or no address of the heap */
    uintptr_t value;
};

/* Visits all of an object; of an ephemeron that is not broken, the value too. */
void gc__trace(struct gc_tracer *tracer, const struct traced *object);

/* ---- Layouts -------------------------------------------------------------------- *
 * Inlined into the marker's loop. */

typedef void gc__visit_word(void *to, const uintptr_t *word);

static inline __attribute__((always_inline)) void gc__map_each(const uint64_t *map, size_t words, uintptr_t start,
                                                               gc__visit_word *visit, void *to)
{
    const uintptr_t *word = (const uintptr_t *)start;

    for (size_t i = 0; i < words; i += 64)
        for (uint64_t bits = map[i / 64] & gc__word_mask(i, words); bits != 0; bits &= bits - 1)
            visit(to, &word[i + (size_t)__builtin_ctzll(bits)]);
}

/* Of the head, if the part begins with it, and of those elements that begin in the
 * part and are whole. */
static inline __attribute__((always_inline)) void gc__layout_each(const struct traced *object, struct gc__range part,
                                                                  gc__visit_word *visit, void *to)
{
    const struct gc_kind *kind = object->kind;
    uintptr_t elements = object->start + kind->head_words * GC_WORD_BYTES, end = object->start + object->bytes;
    size_t bytes = kind->element_words * GC_WORD_BYTES;

    if (kind->head_map != NULL && part.start <= object->start)
        gc__map_each(kind->head_map, gc__min(kind->head_words, object->bytes / GC_WORD_BYTES), object->start, visit,
                     to);
    if (kind->element_map == NULL)
        return;
    if (part.start > elements)
        elements += gc__divide_up(part.start - elements, bytes) * bytes;
    for (; elements < part.end && elements + bytes <= end; elements += bytes)
        gc__map_each(kind->element_map, kind->element_words, elements, visit, to);
}

#endif
