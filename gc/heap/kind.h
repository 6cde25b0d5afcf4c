/* kind.h - how the objects of a block are traced, born and kept.
 *
 * A block holds cells of one kind, so a kind costs an object nothing. Three kinds
 * are built in; others are made by the program, and never unmade.
 *
 * A lane is a pair of kind and size class. For each a mutator has a run, and the
 * heap a bin. Those of the built-in kinds are numbered by class; a kind of the
 * program's gets one when its first object of a class is allocated, so that
 * hundreds of kinds, with a class or two each, cost little.
 *
 * Threads: made under the heap's lock; what is there is constant, and any thread
 * may read it. */
#ifndef GC_HEAP_KIND_H
#define GC_HEAP_KIND_H

#include "gc/heap/sizeclass.h"

#include <broom/kind.h>
#include <stddef.h>

/* The built-in ones. */
enum gc__kind {
    GC_KIND_CONSERVATIVE,  /* every aligned word is ambiguous */
    GC_KIND_ATOMIC,        /* no pointers */
    GC_KIND_UNCOLLECTABLE, /* conservative, and a root */
    GC_KIND_COUNT
};

/* How the marker scans an object. */
enum kind_form {
    KIND_WORDS,    /* word by word */
    KIND_LAYOUT,   /* the words of a map */
    KIND_CALLBACK, /* by a function of the program's */
    KIND_EPHEMERON /* a key and a value, that counts if the key lives; then as a layout (gc/mark/ephemeron.h) */
};

struct gc_kind {
    bool scanned;  /* may hold pointers: becomes grey; an atomic object goes from white to black */
    bool zeroed;   /* handed out as zeros */
    bool is_root;  /* every allocated object is a root */
    uint8_t form;  /* an enum kind_form */
    bool exact;    /* a word must be the very address of an object */
    uint8_t shift; /* of a word, for its address... */
    uint16_t index;
    uintptr_t address_bits;      /* ...of which these bits are part */
    uint32_t head_words;         /* as of the maps */
    uint32_t element_words;      /* 0: no elements */
    const uint64_t *head_map;    /* NULL: no pointers */
    const uint64_t *element_map; /* NULL: no pointers */
    gc_trace_function trace;
    void *data; /* a root */
    size_t bytes;
    size_t element_bytes;
    const char *name;
    uint16_t first_lane;           /* that of `bytes`; or GC_NO_LANE */
    uint16_t lane[GC_CLASS_COUNT]; /* by class; GC_NO_LANE: none yet. Built-in kinds do not use it */
};

#define GC_MAX_LANES 4096
#define GC_BUILTIN_LANES (GC_KIND_COUNT * GC_CLASS_COUNT)
#define GC_NO_LANE UINT16_MAX

struct lane {
    uint16_t kind;
    uint16_t class_index;
};

/* An entry of the marker has room for so many granules in the low bits of an address. */
#define GC_NARROW_GRANULES (GC_GRANULE_BYTES - 1)

/* What of the words of a lane's cells may be a pointer, for the marker's loop. */
struct cell_map {
    uint64_t pointers;      /* by word, of the first 64, */
    const uint64_t *more;   /* and of the others */
    uintptr_t address_bits; /* as of the kind, and these */
    uint16_t end;           /* behind the last pointer; 0: this does not say it, see gc/mark/by_kind.h */
    uint16_t chosen;        /* of the granules below: these words are pointers; 0: all */
    uint8_t granules;       /* 0; or words are plain, and all pointers are in so many granules... */
    uint8_t from;           /* ...from this one on */
    uint8_t shift;
    bool exact;
    bool plain;     /* words are addresses as they are, and need not be exact */
    bool ephemeron; /* the first two words are its key and value: see gc/mark/ephemeron.h */
};

/* All kinds, by index, and how many there are; all lanes. */
extern const struct gc_kind *gc__kinds;
extern unsigned gc__kind_count;
extern const struct lane *gc__user_lanes;
extern const struct cell_map *gc__cell_maps; /* from GC_BUILTIN_LANES on */
extern unsigned gc__lane_count;

/* Under the lock. NULL: no memory, or too many. The options are valid. */
struct gc_kind *gc__kind_new(const struct gc_kind_options *options);

/* The same, of ephemerons: `pointers` are those behind its key and value. */
struct gc_kind *gc__kind_new_ephemeron(const struct gc_kind_options *options);

/* Under the lock: the lane of a kind of the program's for a class, a new one if it
 * has none. GC_NO_LANE: there are too many. */
unsigned gc__kind_add_lane(unsigned kind, unsigned class_index);

size_t gc__kinds_metadata_bytes(void);

/* GC_NO_LANE: there is none yet. */
static inline unsigned gc__lane_of(unsigned kind, unsigned class_index)
{
    if (kind < GC_KIND_COUNT)
        return kind * GC_CLASS_COUNT + class_index;
    return __atomic_load_n(&gc__kinds[kind].lane[class_index], __ATOMIC_RELAXED);
}

static inline struct lane gc__lane(unsigned lane)
{
    if (lane < GC_BUILTIN_LANES)
        return (struct lane){(uint16_t)(lane / GC_CLASS_COUNT), (uint16_t)(lane % GC_CLASS_COUNT)};
    return gc__user_lanes[lane - GC_BUILTIN_LANES];
}

/* Constant but for what its first allocations make: see gc__kind_add_lane. */
static inline struct gc_kind *gc__kind_at(unsigned kind)
{
    return (struct gc_kind *)(uintptr_t)&gc__kinds[kind];
}

/* Whether its objects are scanned, and all that they tell of lies in their pages: what
 * a callback tells of may lie outside of the heap, where nobody looks whether it was
 * written. */
static inline bool gc__kind_is_watched(unsigned kind)
{
    return gc__kinds[kind].scanned && gc__kinds[kind].form != KIND_CALLBACK;
}

/* Of a lane of the program's kinds. */
static inline const struct cell_map *gc__cell_map(unsigned lane)
{
    return &gc__cell_maps[lane - GC_BUILTIN_LANES];
}

/* What of a word is an address. */
static inline uintptr_t gc__decode(uintptr_t word, uintptr_t address_bits, uint8_t shift)
{
    return (word & address_bits) << shift;
}

static inline uintptr_t gc__kind_decode(const struct gc_kind *kind, uintptr_t word)
{
    return gc__decode(word, kind->address_bits, kind->shift);
}

#endif
