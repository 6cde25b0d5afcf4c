/* alloc.h - the memory allocators under comparison, behind one interface.
 *
 * Every program of this folder is written once over these functions and built
 * three times: with -DBENCH_BROOM, -DBENCH_BDWGC and -DBENCH_MALLOC. The objects
 * of the last are linked three times: with the C library alone, with mimalloc and
 * with jemalloc. All run with their default settings: nothing is tuned but the
 * first call.
 *
 *   bench_alloc         zeroed, scanned for pointers
 *   bench_alloc_inline  as bench_alloc, inlined where the allocator has that
 *   bench_alloc_atomic  not scanned, not zeroed
 *   bench_realloc       keeps the kind; new bytes have no known value
 *   bench_free          a real free with malloc, nothing with a collector
 *   bench_collect       a full collection; nothing with malloc
 *   BENCH_FREES         whether bench_free frees: guards loops that only free
 *
 * bench_tell_pauses has a function called with when all threads stood, and when they
 * went on; never with malloc.
 *
 * bench_pause_collecting and bench_resume_collecting bracket the set-up of the
 * programs that time collections alone.
 */
#ifndef BENCH_ALLOC_H
#define BENCH_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What a collector says of itself at exit. */
struct bench_counters {
    bool known; /* false with malloc, which counts nothing */
    uint64_t collections;
    uint64_t heap_peak_bytes;
    uint64_t pause_last_ns;
    uint64_t pause_max_ns;
    uint64_t pause_total_ns;
};

static inline void *bench_checked(void *object)
{
    if (!object) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return object;
}

static inline uint64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

typedef void bench_note_pause(uint64_t start_ns, uint64_t end_ns);

#if defined BENCH_BROOM

#include <broom/event.h>
#include <broom/inline.h>

enum { BENCH_FREES = 0 };
#define BENCH_VARIANT "broom"

static inline void bench_init(void)
{
    gc_init();
}
static inline void *bench_alloc(size_t bytes)
{
    return bench_checked(gc_malloc(bytes));
}
static inline void *bench_alloc_inline(size_t bytes)
{
    return bench_checked(gc_malloc_inline(bytes));
}
static inline void *bench_alloc_atomic(size_t bytes)
{
    return bench_checked(gc_malloc_atomic(bytes));
}
static inline void *bench_realloc(void *object, size_t bytes)
{
    return bench_checked(gc_realloc(object, bytes));
}
static inline void bench_free(void *object)
{
    (void)object;
}
static inline void bench_collect(void)
{
    gc_collect();
}
static inline void bench_pause_collecting(void)
{
    gc_disable();
}
static inline void bench_resume_collecting(void)
{
    gc_enable();
}

static inline void bench_on_event(const struct gc_event *event, void *data)
{
    static uint64_t stopped_ns;
    bench_note_pause **note = data;
    if (event->sort == GC_EVENT_STOPPED)
        stopped_ns = event->time_ns;
    else
        (*note)(stopped_ns, event->time_ns);
}
static inline void bench_tell_pauses(bench_note_pause *function)
{
    static bench_note_pause *note;
    note = function;
    gc_set_event_callback(GC_EVENT_STOPPED | GC_EVENT_RESUMED, bench_on_event, &note);
}

static inline void bench_version(char *text, size_t bytes)
{
    snprintf(text, bytes, "%s", gc_version());
}

static inline struct bench_counters bench_counters(void)
{
    struct gc_stats stats;
    gc_get_stats(&stats, sizeof stats);
    return (struct bench_counters){
        .known = true,
        .collections = stats.collections,
        .heap_peak_bytes = stats.heap_peak_bytes,
        .pause_last_ns = stats.pause_last_ns,
        .pause_max_ns = stats.pause_max_ns,
        .pause_total_ns = stats.pause_total_ns,
    };
}

#elif defined BENCH_BDWGC

#define GC_THREADS /* the header then makes pthread_create bdwgc's own; nothing else changes */
#include <gc.h>

enum { BENCH_FREES = 0 };
#define BENCH_VARIANT "bdwgc"

/* bdwgc keeps neither its longest pause nor its highest heap size, and counts
 * the collection of GC_INIT: two callbacks keep book instead, at a dozen calls
 * for each collection, which hold its lock. Without incremental mode the whole
 * collection is the pause of the thread that runs it, and of others that need
 * the lock; threads that do not allocate may go on a little earlier. */
static struct {
    uint64_t collections;
    uint64_t started_ns;
    uint64_t pause_last_ns;
    uint64_t pause_max_ns;
    uint64_t pause_total_ns;
    uint64_t heap_peak_bytes;
    uint64_t stopped_ns;
    bench_note_pause *note_pause;
} bench_bdwgc;

static inline void GC_CALLBACK bench_on_collection(GC_EventType event)
{
    if (event == GC_EVENT_START)
        bench_bdwgc.started_ns = bench_now_ns();
    if (event == GC_EVENT_END) {
        bench_bdwgc.collections++;
        bench_bdwgc.pause_last_ns = bench_now_ns() - bench_bdwgc.started_ns;
        bench_bdwgc.pause_total_ns += bench_bdwgc.pause_last_ns;
        if (bench_bdwgc.pause_last_ns > bench_bdwgc.pause_max_ns)
            bench_bdwgc.pause_max_ns = bench_bdwgc.pause_last_ns;
    }
}

/* All stand from the one event to the other; in incremental mode a collection has
 * several such pauses, and in between the program makes steps of it when it allocates. */
static inline void GC_CALLBACK bench_on_event(GC_EventType event)
{
    bench_on_collection(event);
    if (event == GC_EVENT_POST_STOP_WORLD)
        bench_bdwgc.stopped_ns = bench_now_ns();
    if (event == GC_EVENT_PRE_START_WORLD)
        bench_bdwgc.note_pause(bench_bdwgc.stopped_ns, bench_now_ns());
}
static inline void bench_tell_pauses(bench_note_pause *function)
{
    bench_bdwgc.note_pause = function;
    GC_set_on_collection_event(bench_on_event);
}

static inline void GC_CALLBACK bench_on_heap_resize(GC_word heap_bytes)
{
    if (heap_bytes > bench_bdwgc.heap_peak_bytes)
        bench_bdwgc.heap_peak_bytes = heap_bytes;
}

static inline void bench_init(void)
{
    GC_INIT();
    bench_bdwgc.heap_peak_bytes = GC_get_heap_size();
    GC_set_on_collection_event(bench_on_collection);
    GC_set_on_heap_resize(bench_on_heap_resize);
}

static inline void *bench_alloc(size_t bytes)
{
    return bench_checked(GC_MALLOC(bytes));
}
static inline void *bench_alloc_inline(size_t bytes)
{
    return bench_alloc(bytes);
}
static inline void *bench_alloc_atomic(size_t bytes)
{
    return bench_checked(GC_MALLOC_ATOMIC(bytes));
}
static inline void *bench_realloc(void *object, size_t bytes)
{
    return bench_checked(GC_REALLOC(object, bytes));
}
static inline void bench_free(void *object)
{
    (void)object;
}
static inline void bench_collect(void)
{
    GC_gcollect();
}
static inline void bench_pause_collecting(void)
{
    GC_disable();
}
static inline void bench_resume_collecting(void)
{
    GC_enable();
}

static inline void bench_version(char *text, size_t bytes)
{
    unsigned version = GC_get_version();
    snprintf(text, bytes, "%u.%u.%u", version >> 16, version >> 8 & 0xff, version & 0xff);
}

static inline struct bench_counters bench_counters(void)
{
    return (struct bench_counters){
        .known = true,
        .collections = bench_bdwgc.collections,
        .heap_peak_bytes = bench_bdwgc.heap_peak_bytes,
        .pause_last_ns = bench_bdwgc.pause_last_ns,
        .pause_max_ns = bench_bdwgc.pause_max_ns,
        .pause_total_ns = bench_bdwgc.pause_total_ns,
    };
}

#elif defined BENCH_MALLOC

enum { BENCH_FREES = 1 };
#define BENCH_VARIANT bench_malloc_name()

/* Whose malloc it is shows only when the program runs: the library that was
 * linked may have one of its own or not. */
int mi_version(void) __attribute__((weak));
bool mi_is_in_heap_region(const void *object) __attribute__((weak));
int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes) __attribute__((weak));

static inline bool bench_is_mimalloc(void)
{
    void *object = bench_checked(calloc(1, 1));
    bool is = mi_version && mi_is_in_heap_region && mi_is_in_heap_region(object);
    free(object);
    return is;
}
static inline const char *bench_malloc_name(void)
{
    return bench_is_mimalloc() ? "mimalloc" : mallctl ? "jemalloc" : "malloc";
}

static inline void bench_init(void)
{
}
static inline void *bench_alloc(size_t bytes)
{
    return bench_checked(calloc(1, bytes));
}
static inline void *bench_alloc_inline(size_t bytes)
{
    return bench_alloc(bytes);
}
static inline void *bench_alloc_atomic(size_t bytes)
{
    return bench_checked(malloc(bytes));
}
static inline void *bench_realloc(void *object, size_t bytes)
{
    return bench_checked(realloc(object, bytes));
}
static inline void bench_free(void *object)
{
    free(object);
}
static inline void bench_collect(void)
{
}
static inline void bench_pause_collecting(void)
{
}
static inline void bench_resume_collecting(void)
{
}

static inline void bench_version(char *text, size_t bytes)
{
    const char *version = "libc";
    size_t version_bytes = sizeof version;
    if (bench_is_mimalloc()) {
        snprintf(text, bytes, "%d.%d.%d", mi_version() / 100, mi_version() / 10 % 10, mi_version() % 10);
    } else if (mallctl && mallctl("version", &version, &version_bytes, NULL, 0) == 0) {
        snprintf(text, bytes, "%.*s", (int)strcspn(version, "-"), version); /* without the commit */
    } else {
#ifdef __GLIBC__
        snprintf(text, bytes, "glibc-%d.%d", __GLIBC__, __GLIBC_MINOR__);
#else
        snprintf(text, bytes, "%s", version);
#endif
    }
}

static inline struct bench_counters bench_counters(void)
{
    return (struct bench_counters){.known = false};
}

#else
#error "define one of BENCH_BROOM, BENCH_BDWGC and BENCH_MALLOC"
#endif

#endif
