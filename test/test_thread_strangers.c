/* test_thread_strangers.c - what must survive a collection on behalf of threads
 * of which nobody has told the collector: those that are older than the heap,
 * C11's, and those that the program made by itself. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/keeper.h"
#include "test/spin.h"

#include "gc/cycle/stacks.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <threads.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 << 10 };

TestSuite(thread_strangers, .timeout = 2 * KEEPER_SECONDS);

/* ---- Threads that are older than the heap ----------------------------------------------------- */

static atomic_bool may_begin;

static void *keep_when_told(void *argument)
{
    await(&may_begin);
    return keep_on_stack(argument);
}

Test(thread_strangers, stack_of_a_thread_older_than_the_heap)
{
    struct keeper *keeper = new_keeper(NULL);
    pthread_t thread;

    cr_assert(pthread_create(&thread, NULL, keep_when_told, keeper) == 0);
    gc_init();
    gc_collect();
    may_begin = true;
    check_keeper(keeper, thread);
}

/* It lends its words, and calls nothing. */
static void *lend_stack(void *argument)
{
    uintptr_t words[WORDS];
    struct keeper *keeper = argument;

    keeper->place.words = hide(words);
    keeper->place.count = WORDS;
    keeper->filled = true;
    keeper->wait(keeper);
    __asm__ volatile("" : : "r"(words) : "memory");
    return NULL;
}

static void check_lent(struct keeper *keeper)
{
    await(&keeper->filled);
    gc_disable();
    fill(&keeper->place);
    gc_enable();
    check_kept_then_gone(&keeper->place);
    fill(&keeper->place);
    check_kept(&keeper->place);
    release(keeper);
}

static void check_lent_by_older_thread(void (*wait)(struct keeper *keeper))
{
    struct keeper *keeper = new_keeper(wait);
    pthread_t thread;

    cr_assert(pthread_create(&thread, NULL, lend_stack, keeper) == 0);
    await(&keeper->filled);
    check_lent(keeper);
    cr_assert(pthread_join(thread, NULL) == 0);
    delete_keeper(keeper);
}

Test(thread_strangers, stack_of_a_thread_that_never_calls)
{
    check_lent_by_older_thread(wait_in_read);
}

Test(thread_strangers, stack_of_a_thread_that_never_calls_nor_waits)
{
    check_lent_by_older_thread(wait_in_loop);
}

/* ---- Threads that the C library makes by itself -------------------------------------------------- */

static int keep_in_thrd(void *keeper)
{
    keep_on_stack(keeper);
    return 7;
}

static int lend_in_thrd(void *keeper)
{
    lend_stack(keeper);
    return 7;
}

static void check_thrd(thrd_start_t function, void (*wait)(struct keeper *keeper))
{
    struct keeper *keeper = new_keeper(wait);
    thrd_t thread;
    int value = 0;

    gc_init();
    cr_assert(thrd_create(&thread, function, keeper) == thrd_success);
    if (function == lend_in_thrd) {
        check_lent(keeper);
    } else {
        await(&keeper->filled);
        check_kept_then_gone(&keeper->place);
        release(keeper);
    }
    cr_assert(thrd_join(thread, &value) == thrd_success && value == 7);
    delete_keeper(keeper);
}

Test(thread_strangers, stack_of_a_c11_thread)
{
    check_thrd(keep_in_thrd, wait_in_read);
    check_thrd(keep_in_thrd, wait_in_loop);
}

Test(thread_strangers, stack_of_a_c11_thread_that_never_calls)
{
    check_thrd(lend_in_thrd, wait_in_read);
    check_thrd(lend_in_thrd, wait_in_loop);
}

/* ---- Threads that nobody but the system knows ------------------------------------------------------ */

enum { THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM };

static _Thread_local uintptr_t tls_words[WORDS];
static _Atomic uint32_t clone_runs; /* cleared by the system at its end */

static int lend_in_clone(void *keeper)
{
    lend_stack(keeper);
    return 0;
}

static int lend_tls_in_clone(void *argument)
{
    struct keeper *keeper = argument;

    keeper->place.words = hide(tls_words);
    keeper->place.count = WORDS;
    keeper->filled = true;
    keeper->wait(keeper);
    return 0;
}

/* Calls nothing: errno, say, is its maker's. */
static void wait_in_system_call(struct keeper *keeper)
{
    while (!keeper->released)
        sched_yield();
}

static void await_end_of_clone(void)
{
    for (unsigned i = 0; clone_runs != 0; i++) {
        cr_assert(i < KEEPER_SECONDS * 10000, "the thread does not end");
        usleep(100);
    }
}

static void check_clone(int (*function)(void *keeper), void (*wait)(struct keeper *keeper), int flags, void *tls)
{
    struct keeper *keeper = new_keeper(wait);
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(stack != MAP_FAILED);
    clone_runs = 1;
    cr_assert(clone(function, stack + STACK_BYTES, THREAD_FLAGS | CLONE_CHILD_CLEARTID | flags, keeper, NULL, tls,
                    &clone_runs) > 0);
    check_lent(keeper);
    await_end_of_clone();
    collect_and_check_gone(&keeper->place);
    munmap(stack, STACK_BYTES);
    gc_collect();
    delete_keeper(keeper);
}

Test(thread_strangers, stack_of_a_clone)
{
    check_clone(lend_in_clone, wait_in_loop, 0, NULL);
    check_clone(lend_in_clone, wait_in_system_call, 0, NULL);
}

#if defined __x86_64__

/* What the program's code finds at the thread pointer: itself, and the stack
 * protector's word. */
static void *new_tls(void)
{
    void *(*allocate)(void *tls);
    uintptr_t *tls, *own = __builtin_thread_pointer();

    *(void **)&allocate = dlsym(RTLD_DEFAULT, "_dl_allocate_tls");
    tls = allocate != NULL ? allocate(NULL) : NULL;
    if (tls != NULL) {
        tls[0] = tls[2] = (uintptr_t)tls;
        tls[5] = own[5];
        tls[6] = own[6];
    }
    return tls;
}

Test(thread_strangers, clone_with_thread_local_data)
{
    void *tls = new_tls();

    if (tls == NULL)
        cr_skip_test("the C library does not make such data");
    check_clone(lend_in_clone, wait_in_loop, CLONE_SETTLS, tls);
    check_clone(lend_tls_in_clone, wait_in_system_call, CLONE_SETTLS, tls);
    check_clone(lend_tls_in_clone, wait_in_loop, CLONE_SETTLS, tls);
}

#endif

/* ---- Strangers on other stacks than their own --------------------------------------------------------- */

static struct keeper *on_own, *on_other; /* of the same thread */

static void lend_other(int signal)
{
    (void)signal;
    lend_stack(on_other);
}

static void wait_in_handler(struct keeper *keeper)
{
    (void)keeper;
    raise(SIGUSR1);
}

static void *lend_both(void *other_stack)
{
    struct sigaction action = {.sa_handler = lend_other, .sa_flags = SA_ONSTACK};
    stack_t alternate = {.ss_sp = other_stack, .ss_size = STACK_BYTES};

    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
    return lend_stack(on_own);
}

static void wait_in_coroutine(struct keeper *keeper)
{
    static ucontext_t caller, own;

    wait_in_read(keeper);
    getcontext(&own);
    own.uc_stack.ss_sp = reveal(keeper->other_stack);
    own.uc_stack.ss_size = STACK_BYTES;
    own.uc_link = &caller;
    makecontext(&own, (void (*)(void))lend_other, 1, 0);
    swapcontext(&caller, &own);
}

static void check_lent_both(void)
{
    await(&on_other->filled);
    gc_disable();
    fill(&on_own->place);
    fill(&on_other->place);
    gc_enable();
    check_kept(&on_own->place);
    check_kept_then_gone(&on_other->place);
    check_kept_then_gone(&on_own->place);
    release(on_other);
}

/* Nobody knew of the thread before it was stopped there. */
Test(thread_strangers, on_alternate_stack)
{
    void *stack = malloc(STACK_BYTES);
    pthread_t thread;

    on_own = new_keeper(wait_in_handler);
    on_other = new_keeper(wait_in_loop);
    cr_assert(pthread_create(&thread, NULL, lend_both, stack) == 0);
    check_lent_both();
    cr_assert(pthread_join(thread, NULL) == 0);
}

/* A page that cannot be read lies between the two. */
Test(thread_strangers, in_coroutine_right_below_the_usual_stack)
{
    size_t guard_bytes = (size_t)sysconf(_SC_PAGESIZE);
    char *stacks =
        mmap(NULL, 2 * STACK_BYTES + guard_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;

    cr_assert(stacks != MAP_FAILED && mprotect(stacks + STACK_BYTES, guard_bytes, PROT_NONE) == 0);
    pthread_attr_init(&attributes);
    cr_assert(pthread_attr_setstack(&attributes, stacks + STACK_BYTES + guard_bytes, STACK_BYTES) == 0);
    on_own = new_keeper(wait_in_coroutine);
    on_own->other_stack = hide(stacks);
    on_other = new_keeper(wait_in_loop);
    cr_assert(pthread_create(&thread, &attributes, lend_stack, on_own) == 0);
    await(&on_own->filled);
    gc_collect(); /* finds the thread on its usual stack */
    release(on_own);
    check_lent_both();
    cr_assert(pthread_join(thread, NULL) == 0);
}

static atomic_bool is_shallow, may_go_deep;

static __attribute__((noinline)) void lend_deep(void *keeper)
{
    char above[STACK_BYTES / 4];

    __asm__ volatile("" : : "r"(above) : "memory");
    lend_stack(keeper);
    __asm__ volatile("" : : "r"(above) : "memory");
}

static void *lend_deep_when_told(void *keeper)
{
    is_shallow = true;
    await(&may_go_deep);
    lend_deep(keeper);
    return NULL;
}

Test(thread_strangers, in_coroutine_when_the_usual_stack_is_used_further_than_a_stop_has_seen)
{
    pthread_t thread;

    on_own = new_keeper(wait_in_coroutine);
    on_own->other_stack = hide(malloc(STACK_BYTES));
    on_other = new_keeper(wait_in_loop);
    cr_assert(pthread_create(&thread, NULL, lend_deep_when_told, on_own) == 0);
    await(&is_shallow);
    gc_collect();
    may_go_deep = true;
    await(&on_own->filled);
    release(on_own);
    check_lent_both();
    cr_assert(pthread_join(thread, NULL) == 0);
}

/* ---- What a stop costs ------------------------------------------------------------------------------ */

static size_t resident_pages(pthread_t thread)
{
    static unsigned char resident[64 << 10];
    size_t bytes, pages, page_bytes = (size_t)sysconf(_SC_PAGESIZE), count = 0;
    pthread_attr_t attributes;
    void *start;

    cr_assert(pthread_getattr_np(thread, &attributes) == 0);
    cr_assert(pthread_attr_getstack(&attributes, &start, &bytes) == 0);
    pages = bytes / page_bytes < sizeof resident ? bytes / page_bytes : sizeof resident;
    cr_assert(mincore((char *)start + bytes - pages * page_bytes, pages * page_bytes, resident) == 0);
    for (size_t i = 0; i < pages; i++)
        count += resident[i] & 1u;
    pthread_attr_destroy(&attributes);
    return count;
}

Test(thread_strangers, what_a_stack_does_not_use_is_not_touched)
{
    pthread_attr_t attributes;
    pthread_t thread;
    size_t before;

    pthread_attr_init(&attributes);
    cr_assert(pthread_attr_setstacksize(&attributes, (size_t)8 << 20) == 0);
    cr_assert(pthread_create(&thread, &attributes, keep_when_told, new_keeper(NULL)) == 0);
    before = resident_pages(thread);
    gc_init();
    gc_collect();
    cr_assert(resident_pages(thread) < before + 100);
}

/* ---- Threads that cannot be stopped ----------------------------------------------------------- */

/* They run on, and where one ends its stack is unmapped by another. */
Test(thread_strangers, stack_of_a_deaf_thread_may_be_gone)
{
    static struct mutator deaf;
    size_t page = gc__os_page_bytes();
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    gc_init();
    cr_assert(stack != MAP_FAILED && munmap(stack + page, STACK_BYTES - page) == 0);
    deaf.stack = (struct gc__range){(uintptr_t)stack, (uintptr_t)stack + STACK_BYTES};
    deaf.context.sp = (uintptr_t)stack + page / 2;
    deaf.state = MUTATOR_DEAF;
    gc__mark_stacks(&gc__heap, &deaf);
}

#if defined __x86_64__

static struct {
    struct place place;
    struct hidden held[SPIN_HELD];
    struct spin spin;
} sleeper;

static int sleep_in_clone(void *unused)
{
    (void)unused;
    sleep_red_zone(sleeper.held, &sleeper.spin);
    return 0;
}

static void set_mask(uint64_t blocked)
{
    cr_assert(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof blocked) == 0);
}

/* It has its maker's mask. */
static void begin_sleeper(char *stack)
{
    sleeper.spin = (struct spin){0, 0};
    clone_runs = 1;
    set_mask(~UINT64_C(0));
    cr_assert(clone(sleep_in_clone, stack + STACK_BYTES, THREAD_FLAGS | CLONE_CHILD_CLEARTID, NULL, NULL, NULL,
                    &clone_runs) > 0);
    set_mask(0);
    while (sleeper.spin.ready == 0)
        usleep(100);
    memset(sleeper.held, 0, sizeof sleeper.held);
}

static void end_sleeper(void)
{
    sleeper.spin.released = 1;
    cr_assert(syscall(SYS_futex, &sleeper.spin.released, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0);
    await_end_of_clone();
}

/* A leaf function has what it likes below its stack pointer, and may make a system call. */
Test(thread_strangers, below_the_stack_pointer_of_a_thread_that_is_left_alone)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(stack != MAP_FAILED);
    gc_disable();
    sleeper.place.count = SPIN_HELD;
    make_held(sleeper.held, &sleeper.place, 0);
    begin_sleeper(stack);
    gc_enable();
    check_kept(&sleeper.place);
    end_sleeper();
    memset(sleeper.held, 0xff, sizeof sleeper.held); /* nothing */
    begin_sleeper(stack);
    collect_and_check_gone(&sleeper.place);
    end_sleeper();
}

#endif

/* ---- What a stop leaves as it was ------------------------------------------------------------ */

static atomic_bool is_spinning, may_end;

static int spin_in_clone(void *unused)
{
    (void)unused;
    is_spinning = true;
    while (!may_end)
        continue;
    return 0;
}

/* The stranger has its maker's. It leaves the signal's handler when its maker has gone on, the
 * later as there is one CPU for both. */
Test(thread_strangers, errno_of_a_maker)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cpu_set_t one;

    CPU_ZERO(&one);
    CPU_SET((unsigned)sched_getcpu(), &one);
    cr_assert(stack != MAP_FAILED && sched_setaffinity(0, sizeof one, &one) == 0);
    gc_init();
    clone_runs = 1;
    cr_assert(clone(spin_in_clone, stack + STACK_BYTES, THREAD_FLAGS | CLONE_CHILD_CLEARTID, NULL, NULL, NULL,
                    &clone_runs) > 0);
    while (!is_spinning)
        sched_yield();
    for (size_t i = 0; i < effort(30); i++) {
        errno = EBADF;
        gc_collect();
        errno = EFAULT;
        for (unsigned j = 0; j < 10; j++)
            sched_yield();
        cr_assert(errno == EFAULT, "%d", errno);
    }
    may_end = true;
    await_end_of_clone();
}

/* ---- Threads of the kernel's ------------------------------------------------------------------ */

static void *map_ring(int ring, size_t bytes, off_t offset)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);

    cr_assert(memory != MAP_FAILED);
    return memory;
}

/* A request that is sure to be given to a worker, as it waits. */
static void make_worker(int ring, const struct io_uring_params *parameters)
{
    static char byte;
    int ends[2];
    char *queue =
        map_ring(ring, parameters->sq_off.array + parameters->sq_entries * sizeof(uint32_t), IORING_OFF_SQ_RING);
    struct io_uring_sqe *request = map_ring(ring, parameters->sq_entries * sizeof *request, IORING_OFF_SQES);

    cr_assert(pipe(ends) == 0);
    *request = (struct io_uring_sqe){.opcode = IORING_OP_READ,
                                     .flags = IOSQE_ASYNC,
                                     .fd = ends[0],
                                     .off = UINT64_MAX,
                                     .addr = (uintptr_t)&byte,
                                     .len = 1};
    *(uint32_t *)(queue + parameters->sq_off.array) = 0;
    *(_Atomic uint32_t *)(queue + parameters->sq_off.tail) = 1;
    cr_assert(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1);
}

/* The process has one more, and no signal reaches it. */
Test(thread_strangers, workers_of_io_uring_are_passed_over)
{
    struct io_uring_params parameters = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &parameters);
    size_t threads = gc__os_thread_count();

    if (ring < 0)
        cr_skip_test("there is no io_uring here");
    make_worker(ring, &parameters);
    for (unsigned i = 0; i < 1000 && gc__os_thread_count() == threads; i++)
        usleep(1000);
    cr_assert(gc__os_thread_count() > threads, "no worker has come");
    for (unsigned i = 0; i < 3; i++)
        gc_collect();
    cr_assert(gc__heap.record.collections >= 3);
}
