/* broom.h - the public interface of Broom, a conservative mark-and-sweep
 * garbage collector for C.
 *
 * Call gc_malloc where you called malloc, and free nothing: an object lives as
 * long as a word in a register, on the stack, in the data of the program or of
 * a library, in thread-local storage, in a range given to gc_add_roots, or in
 * another living object that is not atomic points at it or into it.
 *
 * What holds for every function, unless its comment says otherwise:
 *   threads       any thread may call, at any time
 *   signals       not async-signal-safe
 *   collects      never, may or always: whether the call may run a collection
 *   exhaustion    NULL with errno = ENOMEM; nothing is lost, and nothing printed
 *                 unless BROOM_LOG asks for it
 *   misuse        a message on stderr that names the call, the address and the
 *                 callers, then the fatal hook, then abort
 *   alignment     objects are aligned to 16 bytes
 */
#ifndef BROOM_H
#define BROOM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GC_VERSION_MAJOR 0
#define GC_VERSION_MINOR 1
#define GC_VERSION_PATCH 0

#define GC__EXPORT __attribute__((visibility("default")))
#define GC__MALLOC __attribute__((malloc, warn_unused_result))
#define GC__SIZE(...) __attribute__((alloc_size(__VA_ARGS__)))
#define GC__PRINTF(text, first) __attribute__((format(printf, text, first)))

/* ---- Starting ---------------------------------------------------------- */

/* When an address one past the end of an object keeps the object alive.
 * Compilers leave such addresses in registers and on stacks. */
enum gc_past_end {
    GC_PAST_END_DEFAULT,
    GC_PAST_END_NEVER,
    GC_PAST_END_STACK, /* in registers and on stacks: the default */
    GC_PAST_END_ALWAYS /* in every word that is scanned: no object ends where another begins, so those of 16, 32 ...
                        * 128 bytes take 16 bytes more */
};

/* Where the roots are, besides stacks and registers. */
enum gc_roots {
    GC_ROOTS_DEFAULT,
    GC_ROOTS_SEGMENTS, /* in the data of the program and its libraries, and thread-local: the default */
    GC_ROOTS_MAPPINGS, /* in all memory that the process has written, also what it mapped itself; but for files */
    GC_ROOTS_SHARED    /* the same, and in files that it shares with others */
};

/* What free does where Broom replaces malloc (broom/replace.h, and the library
 * broom-malloc), and what becomes of the old object when realloc moves one. gc_free
 * always frees. */
enum gc_free_means {
    GC_FREE_DEFAULT,
    GC_FREE_IGNORE, /* nothing: the object lives as long as something points at it. The default */
    GC_FREE_HONOUR  /* the memory is reused at once */
};

/* Every option has an environment variable, BROOM_ and its name in capitals,
 * which wins over the struct. Zero in a field means the default. */
struct gc_options {
    size_t initial_heap;       /* bytes: heap size below which no collection starts; at least 1536K */
    size_t max_heap;           /* bytes the heap may hold; default: no limit */
    uint32_t growth_percent;   /* percent of the live, pointer-bearing bytes that may be allocated before the next
                                * collection */
    uint32_t past_end;         /* an enum gc_past_end */
    int32_t decommit_delay_ms; /* milliseconds after which free memory goes back to the OS; -1: never */
    uint32_t log;              /* 1: one line on stderr for each collection */
    uint32_t stats;            /* 1: a summary on stderr at exit */
    uint32_t stress;           /* n: collect at every n-th allocation, and audit the heap */
    uint32_t stop_signal;      /* number of the signal that stops threads for a collection */
    uint32_t no_minor;         /* 1: every collection is full; with no pause target, the kernel tracks no writes */
    uint32_t markers;          /* threads that mark together, at most 16; default: as many as there are CPUs */
    int32_t pause_target_us;   /* microseconds: a collection that would stop the program for longer runs concurrently;
                                * -1: every collection stops the program. (BROOM_PAUSE_TARGET_US=0 means that as
                                * well; 0 in this field means the default) */
    size_t memory_limit;       /* bytes of heap and tables above which collections become more frequent;
                                * default: 80 % of what the control group allows */
    uint32_t check_arenas;     /* 1: releasing an arena reports pointers that still lead into it */
    uint32_t roots;            /* an enum gc_roots */
    uint32_t free;             /* an enum gc_free_means */
    uint32_t unaligned;        /* 1: pointers at odd multiples of 4 count too, as in packed structs */
    uint32_t no_tracking;      /* 1: the kernel tracks no writes: every collection is full and, unless there are
                                * snapshots, stops the program */
    uint32_t snapshot;         /* 1: where the kernel tracks no writes, a large heap is marked in a copy of the
                                * process */
};

/* Reserves the heap and reads the environment. Optional: the first call of any
 * function that needs a heap does it with default options. When no address
 * space at all can be reserved, that call aborts after a message.
 * collects: never. */
GC__EXPORT void gc_init(void);

/* As gc_init, with `options` in place of the defaults. `size` is
 * sizeof(struct gc_options): it lets a later version add fields.
 * Returns 0, EALREADY when the heap already exists, EINVAL when a field is out
 * of its range (the heap then is not started), ENOMEM.
 * collects: never. */
GC__EXPORT int gc_init_options(const struct gc_options *options, size_t size);

/* ---- Allocating -------------------------------------------------------- */

/* An object of at least `bytes` bytes, zeroed, every aligned word of which is
 * scanned for pointers. `bytes` may be 0: the object is distinct all the same.
 * collects: may. */
GC__EXPORT void *gc_malloc(size_t bytes) GC__MALLOC GC__SIZE(1);

/* As gc_malloc, but never scanned and not zeroed: for text, numbers, pixels.
 * collects: may. */
GC__EXPORT void *gc_malloc_atomic(size_t bytes) GC__MALLOC GC__SIZE(1);

/* An array, zeroed and scanned. Overflow of count * bytes: NULL, ENOMEM.
 * collects: may. */
GC__EXPORT void *gc_calloc(size_t count, size_t bytes) GC__MALLOC GC__SIZE(1, 2);

/* Resizes `object`, in place where possible; the result has the kind of the
 * old object, and bytes beyond its old usable size are zero unless the kind is
 * atomic. NULL as object: gc_malloc(bytes). A size of 0 keeps a distinct
 * object. On exhaustion the old object is untouched. When the object moves, a
 * special alignment is lost and the old memory is reused at once, as with
 * realloc.
 * An address that is not the start of a living object: misuse.
 * collects: may. */
GC__EXPORT void *gc_realloc(void *object, size_t bytes) __attribute__((warn_unused_result)) GC__SIZE(2);
GC__EXPORT void *gc_reallocarray(void *object, size_t count, size_t bytes) __attribute__((warn_unused_result))
GC__SIZE(2, 3);

/* Optional: gives back an object that you know is dead. Its memory is reused
 * at once. gc_free(NULL) does nothing; an address that is not the start of a
 * living object is a misuse.
 * collects: never. */
GC__EXPORT void gc_free(void *object);

/* As gc_malloc, at a multiple of `alignment`, a power of two up to 2 MiB.
 * gc_aligned_alloc: NULL with EINVAL for another alignment.
 * gc_posix_memalign: 0, EINVAL or ENOMEM; `*result` is set on success only;
 * the alignment must also be a multiple of sizeof(void *).
 * collects: may. */
GC__EXPORT void *gc_aligned_alloc(size_t alignment, size_t bytes) GC__MALLOC GC__SIZE(2);
GC__EXPORT int gc_posix_memalign(void **result, size_t alignment, size_t bytes) __attribute__((warn_unused_result));

/* As gc_malloc, but the object is a root until gc_free: for pointers kept
 * where the collector does not look.
 * collects: may. */
GC__EXPORT void *gc_malloc_uncollectable(size_t bytes) GC__MALLOC GC__SIZE(1);

/* Copies of text, in atomic objects.
 * gc_asprintf, gc_vasprintf: the length, or -1 with *result = NULL.
 * collects: may. */
GC__EXPORT char *gc_strdup(const char *text) GC__MALLOC;
GC__EXPORT char *gc_strndup(const char *text, size_t max_bytes) GC__MALLOC;
GC__EXPORT int gc_asprintf(char **result, const char *format, ...) GC__PRINTF(2, 3);
GC__EXPORT int gc_vasprintf(char **result, const char *format, va_list arguments) GC__PRINTF(2, 0);

/* ---- Asking ------------------------------------------------------------ */

/* The start of the living object that `pointer` points at or into, or NULL.
 * Any address is allowed.
 * collects: never. */
GC__EXPORT void *gc_base(const void *pointer);

/* The bytes you may use of `object`: at least what was asked for. NULL: 0. An
 * address that is not the start of a living object: misuse.
 * collects: never. */
GC__EXPORT size_t gc_usable_size(const void *object);

/* ---- Keeping ----------------------------------------------------------- */

/* Keeps the object that `pointer` leads to alive until this call, and does nothing else.
 * A compiler drops a pointer after its last use. The object may then be finalized while
 * something that belongs to it is still in use: a file descriptor, memory outside the
 * heap. Call this after the last such use.
 * collects: never. */
static inline void gc_keep_alive(const void *pointer)
{
    __asm__ volatile("" : : "g"(pointer) : "memory");
}

/* ---- Steering ---------------------------------------------------------- */

/* A full collection, also while collections are disabled.
 * collects: always. */
GC__EXPORT void gc_collect(void);

/* Between gc_disable and its gc_enable (they nest) no allocation collects: the
 * heap grows instead. gc_enable without gc_disable is a misuse.
 * collects: never. */
GC__EXPORT void gc_disable(void);
GC__EXPORT void gc_enable(void);

/* Makes the aligned words of [start, end) roots, or no longer roots. Ranges
 * may overlap; removing cuts out exactly the range given. A range must stay
 * readable while it is a root, and be removed before mremap changes it.
 * Return 0, EINVAL (end before start), or ENOMEM.
 * collects: never. */
GC__EXPORT int gc_add_roots(const void *start, const void *end);
GC__EXPORT int gc_remove_roots(const void *start, const void *end);

/* For memory that holds pointers, and is written by something else than the program and its
 * system calls: a device, or io_uring into a registered buffer. The system does not tell of
 * such writes, so the pages of [start, end), of objects or of roots, count as written in
 * every collection, until they are unpinned. That keeps nothing alive. Pin the memory
 * before it is given away to be written. Ranges may overlap; unpinning cuts out exactly the
 * range given.
 * Return 0, EINVAL (end before start), or ENOMEM.
 * collects: never. */
GC__EXPORT int gc_pin_writable(const void *start, const void *end);
GC__EXPORT int gc_unpin_writable(const void *start, const void *end);

/* ---- Threads ------------------------------------------------------------ *
 * None of this is required: Broom finds the threads by itself. */

/* Registers the calling thread now rather than at its first allocation. Returns 0.
 * collects: never. */
GC__EXPORT int gc_thread_register(void);

/* Returns the free memory that the calling thread holds to the other threads now,
 * rather than when it ends. Its stack is still scanned, and it may allocate
 * again.
 * collects: never. */
GC__EXPORT void gc_thread_unregister(void);

/* Calls function(argument) and returns its result. Meanwhile collections do not
 * interrupt the calling thread: for calls that block for long, or must not be
 * interrupted by a signal. The function must not call Broom, must not write into objects
 * of the heap, and may read only those that `argument` leads to; nor must the handlers of
 * signals that come to this thread meanwhile. It may create and join threads, and fork. It
 * must return normally.
 * collects: never. */
GC__EXPORT void *gc_thread_blocking(void *(*function)(void *argument), void *argument);

/* ---- When memory or the program fails ----------------------------------- */

/* The out-of-memory handler: called when `bytes` bytes cannot be allocated even after
 * a full collection (or without one, while collections are disabled). It returns true if
 * it made room: the allocation is tried again, and the handler called again each time that
 * fails. It returns false to let the allocation return NULL. For a request that not even
 * an empty heap could hold, it is called once, and the allocation fails whatever it
 * returns. `data` is a root.
 *
 * The handler may allocate and collect; if an allocation of its own fails, it is not
 * called for that. It may leave by longjmp or a C++ exception, but must then call
 * gc_set_oom_handler first, to say that it is done: otherwise later allocations, from
 * deeper in the stack or on another stack, may be taken for its own and fail without a
 * call.
 *
 * gc_set_oom_handler returns the previous handler; NULL: there was none.
 * collects: never. */
typedef bool (*gc_oom_handler)(size_t bytes, void *data);
GC__EXPORT gc_oom_handler gc_set_oom_handler(gc_oom_handler handler, void *data);

/* The fatal hook: called on misuse or a failed audit with the whole message, after that
 * was written to stderr. When it returns, the program aborts. After a misuse it may leave
 * by longjmp. gc_set_fatal_hook returns the previous hook; NULL: there was none.
 * collects: never. */
typedef void (*gc_fatal_hook)(const char *message);
GC__EXPORT gc_fatal_hook gc_set_fatal_hook(gc_fatal_hook hook);

/* ---- Statistics -------------------------------------------------------- */

struct gc_stats {
    uint64_t collections;            /* since the start */
    uint64_t bytes_allocated;        /* since the start, in whole cells */
    uint64_t bytes_freed;            /* by gc_free and gc_realloc, since the start */
    uint64_t live_bytes;             /* marked by the last collection */
    uint64_t objects_marked;         /* by the last collection */
    uint64_t heap_bytes;             /* committed: held from the OS for objects */
    uint64_t heap_peak_bytes;        /* the most heap_bytes ever was */
    uint64_t reserved_bytes;         /* address space, most of it without memory */
    uint64_t metadata_bytes;         /* held from the OS for the collector itself */
    uint64_t pause_last_ns;          /* how long the program was stopped in the last pause, */
    uint64_t pause_max_ns;           /* in the longest, */
    uint64_t pause_total_ns;         /* in all */
    uint64_t minor_collections;      /* of the collections: those that examined young objects only */
    uint64_t concurrent_collections; /* of the collections: those beside the program, with several short pauses */
    uint64_t external_bytes;         /* held outside of the heap: the sum of gc_note_external */
    uint64_t memory_limit;           /* see gc_options; UINT64_MAX: none */
};

/* Fills the first `size` bytes of `out`; fields this version does not know are
 * set to zero.
 * collects: never. */
GC__EXPORT void gc_get_stats(struct gc_stats *out, size_t size);

/* The version of the library that runs: "0.1.0". Any thread; async-signal-safe.
 * collects: never. */
GC__EXPORT const char *gc_version(void);

#ifdef __cplusplus
}
#endif

#endif
