/* alloc.h - where the examples get their memory: chosen when they are compiled.
 *
 *     (nothing)       Broom: dead objects are collected
 *     -DUSE_MALLOC    the C library, and nothing is ever freed
 *     -DUSE_BDWGC     the Boehm-Demers-Weiser collector, to compare with
 *
 * The examples are written against Broom's interface; the other two offer as
 * much of it as the examples use (plain.h).
 */
#ifndef ALLOC_H
#define ALLOC_H

/* clang-format off */
#if defined(USE_MALLOC)

#include <stdlib.h>
#include <string.h>

static inline void gc_init(void) {}
static inline void *gc_malloc(size_t bytes) { return calloc(1, bytes ? bytes : 1); }
static inline void *gc_malloc_atomic(size_t bytes) { return malloc(bytes ? bytes : 1); }
static inline void *gc_realloc(void *object, size_t bytes) { return realloc(object, bytes ? bytes : 1); }
static inline char *gc_strdup(const char *text) { return strdup(text); }
static inline char *gc_strndup(const char *text, size_t max_bytes) { return strndup(text, max_bytes); }
#include "plain.h"

#elif defined(USE_BDWGC)

#include <gc.h>

static inline void gc_init(void) { GC_INIT(); }
static inline void *gc_malloc(size_t bytes) { return GC_MALLOC(bytes); }
static inline void *gc_malloc_atomic(size_t bytes) { return GC_MALLOC_ATOMIC(bytes); }
static inline void *gc_realloc(void *object, size_t bytes) { return GC_REALLOC(object, bytes ? bytes : 1); }
static inline char *gc_strdup(const char *text) { return GC_STRDUP(text); }
static inline char *gc_strndup(const char *text, size_t max_bytes) { return GC_STRNDUP(text, max_bytes); }
#include "plain.h"

#else

#include <broom/runtime.h>

#endif
/* clang-format on */

#endif
