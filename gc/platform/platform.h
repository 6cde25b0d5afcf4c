/* platform.h - the contract with the operating system and the processor.
 *
 * The only folder with OS and CPU conditionals and OS headers; configure
 * chooses the files behind this header. Everything above assumes what is said
 * here and no more.
 *
 * Threads: every function may be called by any thread, except where said.
 * Nothing here allocates from the heap or aborts. bool true means success. */
#ifndef GC_PLATFORM_PLATFORM_H
#define GC_PLATFORM_PLATFORM_H

#include "gc/base/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [start, end) */
struct gc__range {
    uintptr_t start;
    uintptr_t end;
};

/* ---- Memory ------------------------------------------------------------- *
 * Addresses and sizes are multiples of gc__os_page_bytes(). */

size_t gc__os_page_bytes(void);

/* Address space without memory, not accessible, at a multiple of `alignment`
 * and at `hint` if it is free there (0: anywhere). NULL when refused. */
void *gc__os_reserve(size_t bytes, size_t alignment, uintptr_t hint);
void gc__os_release(void *start, size_t bytes);

/* Makes reserved memory readable and writable; it reads as zero until written.
 * Committing what is committed does nothing. */
bool gc__os_commit(void *start, size_t bytes);

/* Makes reserved memory readable: as zero, until it is committed and written. */
bool gc__os_show(void *start, size_t bytes);

/* Both at once: memory of its own that reads as zero, and goes with gc__os_release.
 * NULL when refused. */
void *gc__os_map(size_t bytes);

/* The same, but what it holds is the program's: gc__os_each_own leaves it out. */
void *gc__os_map_for_program(size_t bytes);

/* Makes memory of gc__os_map larger or smaller. What it holds stays, nothing is copied, and
 * what is new reads as zero; it may move. NULL when refused: then it is as it was. */
void *gc__os_resize(void *start, size_t bytes, size_t new_bytes);

/* Gives the memory of a committed range back; it stays accessible and reads
 * as zero. On failure the contents are as they were. */
bool gc__os_decommit(void *start, size_t bytes);

/* Whether the system would give so much memory at once, by its own rules for that: reserved
 * memory is not under those. True where limits of the process say so anyway. */
bool gc__os_would_give(size_t bytes);

/* Gets memory for all of a committed range that is going to be written: what is there
 * stays as it is, the rest reads as zero. One call instead of a fault for each page. If
 * it fails, the faults come. */
void gc__os_populate(void *start, size_t bytes);

/* From now on the system had better use huge pages for the range, committed or not. */
void gc__os_prefer_huge_pages(void *start, size_t bytes);

/* Moves the contents of committed [from, from + bytes) to committed
 * [to, to + bytes) without copying. `from` then reads as zero; what stood at
 * `to` is lost. The ranges do not overlap. On failure `from` is as it was, and
 * what stood at `to` may be lost all the same. */
bool gc__os_move(void *to, void *from, size_t bytes);

/* After a move to [start, start + bytes): joins the range with the mapping
 * around it again. Contents are lost, also on failure. */
bool gc__os_renew(void *start, size_t bytes);

/* mprotect(2) with its rights, as a program gives them, and errno; pkey_mprotect(2);
 * whether rights let it write; the same, and reading besides; reading and writing. */
int gc__os_protect(void *start, size_t bytes, int rights);
int gc__os_protect_by_key(void *start, size_t bytes, int rights, int key);
bool gc__os_rights_let_write(int rights);
int gc__os_rights_to_read(int rights);
int gc__os_rights_to_write(void);

/* Write tracking: the system can tell which pages of a range were written, also by
 * system calls, since they were last watched. One range in all, committed or not;
 * asked again, it serves the child of a fork. False: the system cannot. */
bool gc__os_track_writes(struct gc__range range);

/* Private memory outside of that range, while that is tracked, until it is unmapped: what is
 * mapped there later is not tracked. */
bool gc__os_track_writes_outside(struct gc__range range);

/* That memory no more; of the first range nothing is changed. */
void gc__os_track_writes_no_more(struct gc__range range);

/* Why the last call that was to track writes, or to watch some, was refused: an errno value; 0
 * where a filter of system calls is in force, which may kill who tries. */
int gc__os_tracking_refusal(void);

/* How long the first write to a watched page takes, as measured when this is called;
 * 0: that is not known. While writes are tracked. */
uint64_t gc__os_watched_write_ns(void);

/* From now on the pages of these ranges are watched, and count as not written.
 * A page that was never watched, or came from the OS since, counts as written.
 * False: nothing is known of any page any more. */
bool gc__os_watch_writes(const struct gc__range *ranges, size_t count);

/* They are watched no more, and count as written: the next write to them takes no
 * longer than any. */
void gc__os_unwatch_writes(struct gc__range range);

/* Calls `visit` for the written pages of `range`, by address; and, if they are to be
 * watched `again`, watches those at the same moment. False: it is not known which those
 * are, and some may be watched. */
bool gc__os_each_written(struct gc__range range, bool again, void (*visit)(struct gc__range written, void *argument),
                         void *argument);

/* Bytes of address space this process may still map; SIZE_MAX without limit. */
size_t gc__os_address_space_left(void);

/* Bytes of memory that the control groups of this process leave it, all it has
 * counted; SIZE_MAX without limit. Reads files. */
size_t gc__os_memory_limit(void);

/* ---- Roots -------------------------------------------------------------- */

/* The stack of the initial thread, as far as it may ever be used: its end is
 * the end of its mapping. */
struct gc__range gc__os_initial_stack(void);

bool gc__os_is_initial_stack(struct gc__range stack);

/* The stack of the calling thread, likewise. */
struct gc__range gc__os_own_stack(void);

/* Whether there is a page right below `stack` that nobody can touch. */
bool gc__os_has_guard(struct gc__range stack);

/* The same in a signal's handler, where the C library is not asked. Of its stack at least
 * what it uses now, if it can be told which that is; else the readable memory around
 * where it stands. `known`: what this said before, or empty. */
struct gc__context;
struct gc__range gc__os_interrupted_stack(const struct gc__context *context, struct gc__range known);

/* The readable memory around `sp`, as the stack of a thread of which nothing else
 * is known. */
struct gc__range gc__os_stack_around(uintptr_t sp);

/* All of `stack` that was ever used. */
struct gc__range gc__os_whole_stack(struct gc__range stack);

/* Where a thread stands. Its registers are stored at or above `sp`. */
struct gc__context {
    uintptr_t sp;
    uintptr_t interrupted_sp;   /* where a signal came that took the thread to an alternate stack; else as `sp` */
    struct gc__range alternate; /* its alternate stack; may be empty */
    bool has_stacks_within;     /* coroutines' may be arrays in frames of its own */
    bool is_addressed;          /* the signal that stopped it was sent to this very thread */
};

/* Of the calling thread, which spilled its registers at `sp`. */
struct gc__context gc__os_context_of(uintptr_t sp);

/* Whether the calling thread, which stands at `sp`, may be on its alternate stack. */
bool gc__os_is_on_alternate_stack(uintptr_t sp);

/* What of its stacks a thread uses that stands in `context`, and whose own
 * stack is `normal`: at most three ranges. Returns their number. The thread is
 * stopped, or the caller. */
unsigned gc__os_stacks_in_use(const struct gc__context *context, struct gc__range normal, struct gc__range in_use[3]);

/* Returns `function(sp, call, a, b)`, called with the contents of all
 * callee-saved registers stored at or above `sp`. Its own frame has no word
 * that is not written: what lies at or above `sp` is the caller's, no more. */
typedef void *gc__os_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b);
void *gc__os_spill_registers(gc__os_spilled *function, const char *call, uintptr_t a, uintptr_t b);

/* Where a stack was left: the stack pointer, and the registers that a function leaves
 * as they are. */
#if defined __aarch64__
#define GC_FRAME_REGISTERS 19 /* x19-x29, d8-d15 */
#else
#define GC_FRAME_REGISTERS 6 /* rbx, rbp, r12-r15 */
#endif
struct gc__frame {
    uintptr_t sp;
    uintptr_t registers[GC_FRAME_REGISTERS];
};

/* The second half of gc_stack_switch, whose first is assembly: the caller's frame
 * stands at the beginning of *from. Defined on a higher floor (gc/api/stacks.c). */
struct gc_stack;
void gc__stack_switched(struct gc_stack *from, struct gc_stack *to, uintptr_t sp);

/* Runs `body` while no library can be loaded or unloaded by another thread, nor
 * wait halfway through that. */
void gc__os_hold_loader(void (*body)(void *argument), void *argument);

/* Loads a library, if it is not there yet; NULL: it cannot be had, as in a static
 * executable. And looks up a function, in a library or (NULL) in all there are. */
void *gc__os_load(const char *library);
void *gc__os_function_of(void *library, const char *name);

/* Calls `visit` for the writable data (data, bss, RELRO) of the program and of
 * every loaded library, less what is GC_OWN_STATE. Takes the loader's lock. */
void gc__os_each_data_segment(void (*visit)(struct gc__range range, void *argument), void *argument);

/* What is mapped: memory of this process alone; and memory that other processes may see, or
 * that may be as these have written it, as any of a file without a name. Code: of no file that
 * has a name, and executable. */
enum gc__mapping {
    GC_MAPPING_PRIVATE,
    GC_MAPPING_PRIVATE_CODE,
    GC_MAPPING_SHARED,
    GC_MAPPING_SHARED_CODE,
    GC_MAPPING_KINDS
};

/* Calls `visit` for the readable mappings of the process, by address; but for files that have
 * a name and are shared: those only if `of_files`. False: the system does not say which those
 * are. Under the heap's lock. */
bool gc__os_each_mapping(bool of_files, void (*visit)(struct gc__range range, enum gc__mapping kind, void *argument),
                         void *argument);

/* Of these private ranges, by address: calls `visit` for those pages that have been touched
 * and are not as they are in a file. Where the system does not tell, for all that can be
 * read. Under the heap's lock. */
void gc__os_each_touched(const struct gc__range *ranges, size_t count,
                         void (*visit)(struct gc__range range, void *argument), void *argument);

/* The same for shared ranges, and for those pages that any process has touched, as long as
 * they are in memory or may have been swapped out. */
void gc__os_each_touched_by_any(const struct gc__range *ranges, size_t count,
                                void (*visit)(struct gc__range range, void *argument), void *argument);

/* Visits copies of these pages, as far as they are still there: another process may take them
 * away (by ftruncate), and then whoever reads them in place dies of it. (Where the system
 * does not copy they are read in place.) Under the heap's lock. */
void gc__os_visit_copy(struct gc__range range, void (*visit)(struct gc__range range, void *argument), void *argument);

/* Of so many private pages from `start`: sets the bits of those that have been touched.
 * Where the system does not tell, of all that can be read. Any thread. */
void gc__os_note_touched(uintptr_t start, size_t pages, uint64_t *bits);

/* Calls `visit` for memory of our own: what was reserved, and GC_OWN_STATE. */
void gc__os_each_own(void (*visit)(struct gc__range range, void *argument), void *argument);

/* Whether it can be read, and looks like one of the C library's. */
bool gc__os_is_thread_pointer(uintptr_t thread_pointer);

/* Calls `visit` for what a thread has of its own: thread-local blocks, static
 * and dynamic (of the libraries that gc__os_each_data_segment last saw), and the
 * values of pthread_setspecific. The thread is stopped, or the caller. Its pointer must
 * be one of the C library's, as those are of threads that called us. */
void gc__os_each_thread_area(uintptr_t thread_pointer, void (*visit)(struct gc__range range, void *argument),
                             void *argument);

/* Copies memory that another thread may unmap meanwhile. Returns how many bytes of it
 * there are. */
size_t gc__os_copy(void *to, uintptr_t from, size_t bytes);

/* Looks up names, for which it takes the loader's lock: before any of ours is taken, as
 * a constructor may be running under that, and call us. As often as you like. */
void gc__os_look_up_names(void);

/* Prepares for the last two. Once, after the names. */
void gc__os_prepare_thread_areas(void);

/* Places a variable among this library's own state, which is never a root. */
#define GC_OWN_STATE __attribute__((section("broom_state")))

/* ---- Waiting ------------------------------------------------------------- *
 * Neither is a point of cancellation; errno is unharmed. */

/* Sleeps while `*word` is `value`, at most for `timeout_ns` (UINT64_MAX: for
 * ever). May return early. Async-signal-safe. */
void gc__os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Wakes up to `count` of those who sleep. Async-signal-safe. */
void gc__os_wake(_Atomic uint32_t *word, uint32_t count);

/* ---- Threads ------------------------------------------------------------- */

/* The calling thread is in the middle of something, in which malloc is not to come to
 * the heap if it is Broom's: of an allocation (gc/faces/malloc.c) or of a call of the C
 * library's, made at this stack pointer, or where that has a lock of its own, UINTPTR_MAX.
 * 0: of nothing. Initial-exec, as a library opened late finds little room. */
extern _Thread_local volatile uintptr_t gc__thread_busy_at;

/* What a new thread is to do. */
struct gc__start {
    void *(*function)(void *argument);
    void *argument;
};

long gc__os_process_id(void); /* the child of a vfork has its own */

/* The process is known from now on; and whether this is a copy of the one that was. */
void gc__os_know_process(void);
bool gc__os_process_is_copy(void);

long gc__os_thread_id(void);
uintptr_t gc__os_thread_pointer(void);
uintptr_t gc__os_thread_handle(void); /* by which it is joined */
bool gc__os_thread_is_detached(void); /* the calling one */

/* Whether the calling thread has a thread pointer to itself, as far as the C
 * library knows: not if it was made without it, and shares its maker's. */
bool gc__os_thread_pointer_is_own(void);

/* Chooses the signal that stops threads. A thread that gets it calls `caught`,
 * and goes on when that returns: on the stack and in the state of a signal
 * handler, with all signals blocked. False: it was not sent to stop the thread. */
bool gc__os_catch_stop_signal(int signal, bool (*caught)(const struct gc__context *context));

/* True if another handler had taken the place of ours: ours is there again, and passes on to
 * it what was not sent to stop a thread. */
bool gc__os_regain_stop_signal(void);
bool gc__os_can_catch(int signal);
int gc__os_stop_signal(void);          /* the one chosen, or else GC_STOP_SIGNAL */
void gc__os_unblock_stop_signal(void); /* for the calling thread */

/* The calling thread gets none but the one that stops threads and those of its own
 * faults, until they are released. Returns those that it blocked before. */
uint64_t gc__os_hold_signals(void);
void gc__os_release_signals(uint64_t blocked);

/* Likewise the one that stops threads, and that which cancels them, for a few instructions. */
uint64_t gc__os_hold_all_signals(void);

/* Sends the signal. 0, ESRCH when there is no such thread, EAGAIN when it is to be sent
 * again (too many are queued, or a thread is in exec, and what is pending then would end the
 * new program), or what the system says. `process_id` is gc__os_process_id(), which takes
 * a system call of its own. One thread at a time. */
int gc__os_stop_thread(long process_id, long thread_id);
bool gc__os_thread_exists(long process_id, long thread_id);

/* Nanoseconds since the system began; and whether a thread began later than then, by a
 * hundredth of a second or more: another one may have had its number. False: it is not told. */
uint64_t gc__os_boot_ns(void);
bool gc__os_thread_began_after(long thread_id, uint64_t boot_ns);

/* What was seen of a thread at one moment. */
struct gc__thread_look {
    uint64_t blocked; /* signals, a bit each from 1 on */
    uint64_t cpu_ns;  /* that it ever had */
    char state;       /* as in /proc; 0: it is not known */
};
struct gc__thread_look gc__os_look_at_thread(long thread_id);
bool gc__os_blocks_stop_signal(struct gc__thread_look look);

/* Asleep with every signal blocked, those of the C library, too: in the middle of
 * making or ending a thread, most likely. */
bool gc__os_sleeps_inside_library(struct gc__thread_look look);

/* What keeps a thread from taking a signal, as two looks show. */
enum gc__hindrance {
    GC_HINDRANCE_NONE, /* it runs now and then, or would if it had a CPU */
    GC_HINDRANCE_MASK, /* it blocks the signal that stops threads */
    GC_HINDRANCE_DEEP, /* it sleeps where no signal wakes it */
    GC_HINDRANCE_HALT  /* it has been halted, by a debugger say */
};
enum gc__hindrance gc__os_hindrance(struct gc__thread_look before, struct gc__thread_look now);

/* How many threads the process has, of all sorts; 0 if the system does not say. */
size_t gc__os_thread_count(void);

/* Calls `visit` for each. False if the system does not say. */
bool gc__os_each_thread(void (*visit)(long thread_id, void *argument), void *argument);

enum gc__thread_sort {
    GC_THREAD_OF_PROGRAM,
    GC_THREAD_ASIDE, /* takes no signals: it has ended and is still listed, or it is the kernel's */
    GC_THREAD_GONE
};
enum gc__thread_sort gc__os_thread_sort(long thread_id);

/* Where a thread stands that sleeps in the system, and what it has given to the call in which
 * it does. */
#define GC_CALL_ARGUMENTS 6
struct gc__sleep {
    uintptr_t sp; /* 0: it does not sleep, or the system does not say */
    uintptr_t argument[GC_CALL_ARGUMENTS];
};
struct gc__sleep gc__os_sleep_of_thread(long thread_id);

/* What it is called; "?" if that is not known. */
void gc__os_thread_name(long thread_id, char *name, size_t capacity);

/* What there is to tell of threads, by whoever interposes the calls that make,
 * end and join them (gc/platform/linux/interpose.c). */
struct gc__thread_watcher {
    /* A thread is going to be made (false: for want of memory it cannot): what the next three
     * are given, and its serial number. NULL: that cannot be noted in the middle of our code,
     * and the next three are not called. It was made, and may be over; or was not. */
    bool (*starting)(struct gc__start start, bool detached, void **ticket, uint64_t *serial);
    void (*started)(void *ticket, uint64_t serial, const uintptr_t *handle);
    void (*not_started)(void *ticket);
    struct gc__start (*begun)(void *ticket); /* it runs: returns what it is to do */

    void (*returning)(void *result); /* the calling thread will end with this */
    void (*ended)(void);             /* its last destructor has run, as far as can be told */

    uint64_t (*joining)(uintptr_t handle);
    void (*joined)(uintptr_t handle, uint64_t what_joining_returned);
    void (*detached)(uintptr_t handle);

    /* False: another thread has the heap. Then the second is not called. */
    bool (*before_fork)(void);
    void (*in_parent)(void);
    void (*in_child)(bool has_heap);
};

/* Until this is called the interposed calls do nothing of their own. */
void gc__os_watch_threads(const struct gc__thread_watcher *watcher);

/* The lock of all streams, which the C library takes to fork. The last: in the child. */
void gc__os_lock_streams(void);
void gc__os_unlock_streams(void);
void gc__os_free_streams(void);

/* Returns `function(argument)`, called with one stream (a FILE) locked; it is freed also
 * where the thread is cancelled there. */
long gc__os_with_stream(void *stream, long (*function)(void *argument), void *argument);

/* Returns function(argument); calls cleanup(cleanup_argument) only if the thread
 * is cancelled or ends in there. */
void *gc__os_run_cancellable(void *(*function)(void *argument), void *argument, void (*cleanup)(void *argument),
                             void *cleanup_argument);

/* `ended` is to be called for the calling thread. */
void gc__os_tell_when_ended(void);

/* ---- Helper threads ------------------------------------------------------ *
 * None of these is a point of cancellation; errno is unharmed. */

/* The CPUs this process may use: its affinity, and the quota of its control
 * groups, rounded up. At least 1. Reads files. */
unsigned gc__os_cpus(void);

/* Starts a detached thread that runs `main(argument)` with all signals blocked
 * and on a small stack; `*thread_id` is its gc__os_thread_id. The C library
 * allocates for it. False: the system refuses. */
bool gc__os_start_helper(void (*main)(void *), void *argument, long *thread_id);

/* Starts a detached thread of the program's, known like any other, that runs
 * `main(argument)` with all signals blocked but the one that stops threads. */
bool gc__os_start_thread(void *(*main)(void *), void *argument);

/* For loops that wait: lets another thread run; lets the other half of the
 * core run. */
void gc__os_yield(void);
void gc__os_relax(void);

/* A fuzzer of schedules, for debug builds under stress: at these points of what threads do
 * together each lets others run now and then, for up to a tenth of a millisecond. */
#define GC_STAGGER()                                                                                                   \
    do {                                                                                                               \
        if (GC_DEBUG)                                                                                                  \
            gc__os_stagger();                                                                                          \
    } while (0)

extern _Atomic bool gc__os_staggers;
void gc__os_stagger(void);

/* ---- A copy of the process ----------------------------------------------- *
 * Whose memory is what the process had at one time. */

/* Memory that a copy made later shares; it reads as zero, and goes with
 * gc__os_release. NULL when refused. */
void *gc__os_map_shared(size_t bytes);

/* Makes a copy in which one thread runs `body(argument)`, as if it was the caller,
 * with all signals blocked, and then ends: done, if that returns true. The body makes
 * no call that may wait for other threads, which the copy has not. It has no file of
 * the process open but stderr. The program is not told when it ends, nor finds it when
 * it waits for children of its own, unless it asks for all (__WALL).
 * Returns its number; when refused, with nothing changed, an errno value, negative. */
long gc__os_copy_process(bool (*body)(void *argument), void *argument);

/* In the copy: whether the process has ended. */
bool gc__os_copy_is_orphan(void);

/* By the process that made it, of any thread, until it works no more: its number may
 * be another's then. */
enum gc__copy_state { GC_COPY_WORKS, GC_COPY_DONE, GC_COPY_FAILED };
enum gc__copy_state gc__os_copy_state(long copy);

/* Ends it at once. */
void gc__os_end_copy(long copy);

/* ---- The rest ------------------------------------------------------------ */

uint64_t gc__os_clock_ns(void);  /* monotonic */
uint64_t gc__os_thread_ns(void); /* that the calling thread has run */

/* Messages go where stderr goes now, also when the program has closed it. */
void gc__os_keep_stderr(void);

/* That the process has, by its name: the first of it. NULL: none. */
void *gc__os_find_function(const char *name);

/* The path of the program or library that it lies in; whether that is what we are in, or
 * only an entry of the program that leads to the definition. */
const char *gc__os_file_of(const void *function);
bool gc__os_is_own(const void *function);

/* Whether the next definition of this name behind ours is another library's than the C
 * library's. */
bool gc__os_next_is_anothers(const char *name);

/* What this process becomes by exec is to have `preload` ("LD_PRELOAD=path") and `once`
 * in its environment; its children are not. Both strings stay. */
void gc__os_keep_across_exec(const char *preload, const char *once);

/* The program begins again, with these arguments and the environment as it is now. Returns
 * where that cannot be. */
void gc__os_run_again(char **arguments);

/* Whether a tool (a sanitizer) wants the address space for itself, so that no
 * address should be asked for. */
bool gc__os_address_is_free(void);

#endif
