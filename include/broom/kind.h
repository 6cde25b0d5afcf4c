/* broom/kind.h - kinds: what the collector knows of your objects.
 *
 * Objects from gc_malloc are scanned word by word, since anything in them may be
 * a pointer. A kind says more: which words are pointers (a layout), or a function that
 * reports them (a trace callback). Then numbers cannot keep objects alive by accident,
 * tagged pointers are understood, and marking has less to do.
 *
 * A kind costs an object nothing: blocks of the heap hold objects of one kind.
 * Make a kind once for each type of your runtime, and keep it. Hundreds are cheap. There
 * can be GC_MAX_KINDS, among them three built-in ones, up to seven for broom/weak.h and one
 * for gc_stack_new, each made at its first use; and a kind is never destroyed. About 3800
 * pairs of kind and size class can be in use; small objects of any further pair take a page
 * each.
 *
 *     struct node { struct node *left, *right; double weight; };
 *
 *     static const uint64_t pointers = GC_POINTER_AT(struct node, left) | GC_POINTER_AT(struct node, right);
 *     gc_kind *nodes = gc_kind_new(&(struct gc_kind_options){
 *         .name = "node", .tracing = GC_TRACE_LAYOUT, .bytes = sizeof(struct node), .pointers = &pointers,
 *     }, sizeof(struct gc_kind_options));
 *     struct node *node = gc_new(nodes);
 *
 * Everything else is as for gc_malloc: objects are zeroed (except those of
 * GC_TRACE_NOTHING), do not move, and may be given to gc_free, gc_realloc,
 * gc_usable_size and gc_base. gc_realloc keeps the kind. What broom.h says for all
 * functions holds here. */
#ifndef BROOM_KIND_H
#define BROOM_KIND_H

#include <broom.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GC_MAX_KINDS 1024

typedef struct gc_kind gc_kind;

/* ---- Plain objects by type ------------------------------------------------- */

#define GC_NEW(type) ((type *)gc_malloc(sizeof(type)))
#define GC_NEW_ARRAY(type, count) ((type *)gc_calloc((count), sizeof(type)))

/* ---- Making a kind ----------------------------------------------------------- */

enum gc_tracing {
    GC_TRACE_CONSERVATIVE, /* every aligned word may be a pointer */
    GC_TRACE_NOTHING,      /* no pointers; such objects are not zeroed */
    GC_TRACE_LAYOUT,       /* the words that `pointers` and `element_pointers` name */
    GC_TRACE_CALLBACK      /* what `trace` reports */
};

/* Maps have a bit for each word. This is the bit of a member, for types of at most 64
 * words. */
#define GC_POINTER_AT(type, member) (UINT64_C(1) << (offsetof(type, member) / sizeof(void *)))

/* What a trace callback reports to. */
typedef struct gc_tracer gc_tracer;

/* Reports every pointer in the object to `tracer`. `bytes` is its usable size.
 * Called in collections, for any object of the kind, by several threads at once,
 * also for objects that are still all zeros, and for an object more than once. It
 * may read the object and what it leads to outside of the heap, such as memory
 * from malloc, and call gc_trace_pointer and gc_trace_range: nothing else of
 * Broom, nothing that takes a lock (a stopped thread may hold it), and it must not
 * allocate, nor leave by longjmp or an exception. */
typedef void (*gc_trace_function)(void *object, size_t bytes, gc_tracer *tracer, void *data);

struct gc_kind_options {
    const char *name;     /* for reports; copied. NULL: "" */
    uint32_t tracing;     /* an enum gc_tracing */
    uint32_t exact;       /* 1: only a word that is the address of an object keeps it; one into its middle does not */
    size_t bytes;         /* of an object; with elements: of what comes before them, may be 0 */
    size_t element_bytes; /* 0: no elements */
    const uint64_t *pointers;         /* a bit for each word of `bytes`; copied. NULL: no pointers */
    const uint64_t *element_pointers; /* a bit for each word of an element; copied. NULL: no pointers */
    gc_trace_function trace;
    void *data;         /* for `trace`; a root */
    uintptr_t tag_mask; /* bits of a word that are no part of the address, but a tag: they are cleared, */
    uint32_t tag_shift; /* and the rest is shifted left by this many bits; neither is done for gc_trace_pointer */
};

/* A new kind, for the rest of the process. `size` is sizeof(struct
 * gc_kind_options). With GC_TRACE_LAYOUT, `bytes` and `element_bytes` are multiples of 8.
 * NULL with errno = EINVAL for a value out of its range and for options that contradict
 * each other; ENOMEM when there is no memory, or there are GC_MAX_KINDS already.
 * collects: never. */
GC__EXPORT gc_kind *gc_kind_new(const struct gc_kind_options *options, size_t size);

/* ---- Objects of a kind --------------------------------------------------------- */

/* An object of the kind's `bytes`.
 * collects: may. */
GC__EXPORT void *gc_new(gc_kind *kind) GC__MALLOC;

/* An object with `count` elements. Overflow: NULL, ENOMEM. A kind without elements:
 * misuse.
 * collects: may. */
GC__EXPORT void *gc_new_array(gc_kind *kind, size_t count) GC__MALLOC;

/* An object of `bytes` bytes, whatever the kind's options say.
 * collects: may. */
GC__EXPORT void *gc_new_bytes(gc_kind *kind, size_t bytes) GC__MALLOC GC__SIZE(2);

/* The kind of a living object; NULL for those that gc_malloc and its like made.
 * An address that is not the start of a living object: misuse.
 * collects: never. */
GC__EXPORT gc_kind *gc_kind_of(const void *object);

/* Its name; lives as long as the process.
 * collects: never. */
GC__EXPORT const char *gc_kind_name(const gc_kind *kind);

/* ---- For trace callbacks ------------------------------------------------------- */

/* Reports a pointer to an object, or into it if the kind is not exact. Any word is
 * allowed: what is no pointer is ignored.
 * collects: never. */
GC__EXPORT void gc_trace_pointer(gc_tracer *tracer, const void *pointer);

/* Reports that every aligned word of [start, end) may be a pointer.
 * collects: never. */
GC__EXPORT void gc_trace_range(gc_tracer *tracer, const void *start, const void *end);

#ifdef __cplusplus
}
#endif

#endif
