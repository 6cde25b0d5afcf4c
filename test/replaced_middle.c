/* replaced_middle.c - a program that knows of no collector: as replaced.c, in the middle of
 * things: in signal handlers, forks and threads that end.
 *
 *   replaced_middle CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <threads.h>

/* ---- Signals ------------------------------------------------------------------------------ */

static volatile sig_atomic_t signals;

static void allocate_in_handler(int number)
{
    int saved_errno = errno;

    (void)number;
    for (size_t bytes = 8; bytes < 20000; bytes *= 3) {
        char *object = malloc(bytes);

        memset(object, (int)bytes, bytes);
        object = realloc(object, bytes + 50);
        REQUIRE(object != NULL && object[0] == (char)bytes && object[bytes - 1] == (char)bytes);
        free(object);
    }
    signals++;
    errno = saved_errno;
}

struct cell {
    struct cell *next;
    size_t check, bytes;
};

static void check_signals(void)
{
    struct itimerval soon = {{0, 50}, {0, 50}};
    struct sigaction action = {.sa_handler = allocate_in_handler, .sa_flags = SA_RESTART};
    struct cell *cells = NULL;

    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &soon, NULL) == 0);
    for (unsigned i = 0; i < 3000000 && signals < 5000; i++) {
        size_t bytes = sizeof(struct cell) + i % 400;
        struct cell *cell = malloc(bytes);

        *cell = (struct cell){i % 100 == 0 ? NULL : cells, ~(uintptr_t)cell, bytes};
        cells = cell;
        for (unsigned count = 0; i % 100 == 99 && cell != NULL; cell = cell->next, count++)
            REQUIRE(cell->check == ~(uintptr_t)cell && cell->bytes >= sizeof *cell);
        if (i % 7 == 0)
            free(malloc(300));
    }
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    REQUIRE(signals > 10);
}

static sigjmp_buf out;

static void jump_out(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

/* A handler that leaves by a jump what it interrupted: malloc, as a rule. */
static void check_jumps(void)
{
    struct itimerval soon = {{0, 0}, {0, 200}};
    struct kept *kept = make_kept("kept");
    volatile unsigned jumps = 0;

    REQUIRE(signal(SIGALRM, jump_out) != SIG_ERR);
    for (; jumps < 1000; jumps++)
        if (sigsetjmp(out, 1) == 0) {
            REQUIRE(setitimer(ITIMER_REAL, &soon, NULL) == 0);
            for (unsigned i = 0;; i++) {
                sink = malloc(24 + i % 64);
                free(sink);
                if (i % 512 == 0)
                    sink = malloc(100000);
            }
        }
    for (unsigned i = 0; i < 64; i++)
        REQUIRE((sink = malloc(1 << 20)) != NULL);
    litter(64);
    REQUIRE(is_kept(kept, "kept"));
}

/* A handler that allocates between any two instructions of malloc, calloc, realloc and free,
 * on an alternate stack that is an array in a frame of the same thread: nothing was left,
 * though it stands above. */
enum { STEPPED = 12, STEPS = 20000 };

static void *stepped[STEPS];
static volatile unsigned steps;
static volatile bool stepping;

#ifndef SS_AUTODISARM /* Linux 4.7; headers may be older */
#define SS_AUTODISARM (1U << 31)
#endif

#ifdef __x86_64__
#define TRAP_FLAG 0x100
#define TRAP() __asm__ volatile("int3")

static void allocate_at_each_step(int number, siginfo_t *information, void *interrupted)
{
    long long *flags = (long long *)&((ucontext_t *)interrupted)->uc_mcontext.gregs[REG_EFL];

    (void)number, (void)information;
    if (steps < STEPS)
        stepped[steps++] = malloc(48);
    *flags = stepping && steps < STEPS ? *flags | TRAP_FLAG : *flags & ~TRAP_FLAG;
}
#else
#define TRAP() raise(SIGTRAP)

static void allocate_at_each_step(int number, siginfo_t *information, void *interrupted)
{
    (void)number, (void)information, (void)interrupted;
    stepped[steps++] = malloc(48);
}
#endif

static __attribute__((noinline)) void allocate_in_steps(void **object, unsigned count)
{
    stepping = true;
    TRAP();
    for (unsigned i = 0; i < count; i++) {
        void *other = malloc(i);

        object[i] = i % 3 == 0 ? malloc(48) : i % 3 == 1 ? calloc(6, 8) : realloc(malloc(8), 48);
        free(other);
    }
    stepping = false;
}

static int compare_addresses(const void *a, const void *b)
{
    return (*(char *const *)a > *(char *const *)b) - (*(char *const *)a < *(char *const *)b);
}

static void check_stack_in_frame(int flags)
{
    static void *object[STEPPED + STEPS];
    char area[65536];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area, .ss_flags = flags};
    struct sigaction action = {.sa_sigaction = allocate_at_each_step, .sa_flags = SA_ONSTACK | SA_SIGINFO};

    REQUIRE(sigaltstack(&stack, NULL) == 0 && sigaction(SIGTRAP, &action, NULL) == 0);
    steps = 0;
    allocate_in_steps(object, STEPPED);
    REQUIRE(steps > 0);
    stack.ss_flags = SS_DISABLE;
    REQUIRE(sigaltstack(&stack, NULL) == 0);
    memcpy(&object[STEPPED], stepped, steps * sizeof *stepped);
    qsort(object, STEPPED + steps, sizeof *object, compare_addresses);
    REQUIRE(object[0] != NULL);
    for (unsigned i = 1; i < STEPPED + steps; i++)
        REQUIRE((char *)object[i] - (char *)object[i - 1] >= 48);
}

/* Some of them are none of the heap's, and keep what they point at all the same. */
static void check_that_stepped_are_roots(void)
{
    for (unsigned i = 0; i < steps; i++)
        *(struct kept **)stepped[i] = make_kept("stepped");
    clear_stack();
    litter(64);
    for (unsigned i = 0; i < steps; i++)
        REQUIRE(is_kept(*(struct kept **)stepped[i], "stepped"));
}

/* A collection blocks all signals for a moment, and the system ends a program that takes a
 * trap then: so there must be none. */
static void check_frames(void)
{
    if (getenv("BROOM_STRESS") != NULL)
        return;
    check_stack_in_frame(0);
    check_stack_in_frame((int)SS_AUTODISARM);
    check_that_stepped_are_roots();
}

static volatile bool over;

/* ---- Forks ------------------------------------------------------------------------------------ */

static void *allocate_all_the_time(void *unused)
{
    while (!over)
        litter(1);
    return unused;
}

static void check_forks(void)
{
    pthread_t thread[3];

    for (unsigned i = 0; i < 3; i++)
        REQUIRE(pthread_create(&thread[i], NULL, allocate_all_the_time, NULL) == 0);
    for (unsigned i = 0; i < 60; i++) {
        int status;
        pid_t child = i % 3 == 2 ? vfork() : fork();

        if (child == 0 && i % 3 == 2)
            _exit(malloc(20) != NULL ? 0 : 1);
        if (child == 0) {
            litter(i % 3 == 0 ? 16 : 1);
            exit(0);
        }
        REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    over = true;
    for (unsigned i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
}

/* What runs before a fork, and after, where Broom's own handlers have the heap: these are
 * registered before there is one. */
static void (*before_fork)(void), (*after_fork)(void);

static void call_before(void)
{
    if (before_fork != NULL)
        before_fork();
}

static void call_after(void)
{
    if (after_fork != NULL)
        after_fork();
}

static void register_handlers(void)
{
    REQUIRE(pthread_atfork(call_before, call_after, call_after) == 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_heap)(void) = register_handlers;

static void allocate_some(void)
{
    for (size_t bytes = 100; bytes < 1000; bytes += 50) {
        sink = memset(malloc(bytes), 1, bytes);
        free(sink);
    }
}

static int fork_at_once(void *unused)
{
    pid_t child = fork();
    int status;

    (void)unused;
    if (child == 0)
        _exit(malloc(10) != NULL ? 0 : 1);
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

/* Of a thread that nobody has heard of: it has the heap, and handlers allocate. */
static void check_first_fork(void)
{
    alarm(60);
    before_fork = after_fork = allocate_some;
    for (unsigned i = 0; i < 20; i++) {
        thrd_t thread;
        int status;

        REQUIRE(thrd_create(&thread, fork_at_once, NULL) == thrd_success);
        REQUIRE(thrd_join(thread, &status) == thrd_success && status == 0);
    }
}

static pthread_t waiter;
static volatile bool is_there, may_wait;

/* Its handler is to leave malloc: not while it waits there for the heap. */
static void abort_waiter(void)
{
    may_wait = true;
    usleep(20000);
    REQUIRE(pthread_kill(waiter, SIGABRT) == 0);
    usleep(20000);
}

static void *wait_for_heap(void *unused)
{
    struct kept *kept;

    if (sigsetjmp(out, 1) == 0) {
        is_there = true;
        while (!may_wait)
            sched_yield();
        for (;;)
            sink = malloc(100000);
    }
    sink = malloc(100); /* from the frame that was left for: nothing is under way */
    kept = make_kept("of the waiter");
    may_wait = false;
    while (!over)
        continue;
    REQUIRE(is_kept(kept, "of the waiter"));
    return unused;
}

static void check_aborts(void)
{
    struct sigaction action = {.sa_handler = jump_out, .sa_flags = (int)SA_RESETHAND};
    pid_t child;
    int status;

    alarm(60);
    REQUIRE(sigaction(SIGABRT, &action, NULL) == 0);
    REQUIRE(pthread_create(&waiter, NULL, wait_for_heap, NULL) == 0);
    while (!is_there)
        sched_yield();
    before_fork = abort_waiter;
    child = fork();
    if (child == 0)
        _exit(0);
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    while (may_wait)
        sched_yield();
    for (unsigned i = 0; i < 3; i++) {
        malloc_trim(0);
        litter(4);
    }
    over = true;
    pthread_join(waiter, NULL);
}

static void *read_lines(void *unused)
{
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = tmpfile();

    for (unsigned i = 0; i < 1000; i++)
        fprintf(file, "%0*u\n", (int)(i % 300) + 1, i);
    while (!over) {
        rewind(file);
        while (getline(&line, &capacity, file) >= 0) {
            free(line);
            line = NULL;
            capacity = 0;
        }
    }
    return unused;
}

static void *flush_all(void *unused)
{
    while (!over) {
        fflush(NULL);
        usleep(100);
    }
    return unused;
}

/* getline holds a stream and wants the heap, fflush holds the list of streams and wants
 * that one: who forks must not hold the heap and want the list. */
static void check_fork_streams(void)
{
    pthread_t thread[4];

    for (unsigned i = 0; i < 4; i++)
        REQUIRE(pthread_create(&thread[i], NULL, i % 2 == 0 ? read_lines : flush_all, NULL) == 0);
    for (unsigned i = 0; i < 30; i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            fflush(NULL);
            litter(1);
            _exit(0);
        }
        REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    over = true;
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
}

/* A child of whom no handler is told. */
static void check_raw_fork(void)
{
    for (unsigned i = 0; i < 2; i++) {
        pid_t child = i == 0 ? _Fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        struct rusage usage;
        int status;

        if (child == 0) {
            litter(400);
            getrusage(RUSAGE_SELF, &usage);
            _exit(usage.ru_maxrss < 100 << 10 ? 0 : 1);
        }
        REQUIRE(child > 0 && waitpid(child, &status, 0) == child && status == 0);
        litter(16);
    }
}

/* ---- Threads ----------------------------------------------------------------------------------------- */

static void *leak_some(void *unused)
{
    volatile char deep[200000];

    memset((char *)deep, 1, sizeof deep);
    litter(1);
    return unused;
}

static void *make_detached(void *rounds)
{
    pthread_attr_t detached;

    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    for (uintptr_t i = 0; i < (uintptr_t)rounds; i++) {
        pthread_t thread;

        while (pthread_create(&thread, &detached, leak_some, NULL) != 0)
            usleep(1000);
    }
    return NULL;
}

/* Their stacks are unmapped by other threads that end, also while the world stands. */
static void check_churn(void)
{
    const char *rounds = getenv("REPLACED_ROUNDS");
    pthread_t thread[8];

    for (unsigned i = 0; i < 8; i++)
        REQUIRE(pthread_create(&thread[i], NULL, make_detached, (void *)(uintptr_t)(rounds ? atoi(rounds) : 8)) == 0);
    for (unsigned i = 0; i < 8; i++)
        pthread_join(thread[i], NULL);
}

/* Not joined while somebody holds the lock and asks. */
static _Atomic(pthread_t) looked_at;
static pthread_mutex_t looking = PTHREAD_MUTEX_INITIALIZER;

static void *ask_for_attributes(void *unused)
{
    while (!over) {
        pthread_attr_t attributes;

        pthread_mutex_lock(&looking);
        if (looked_at != 0 && pthread_getattr_np(looked_at, &attributes) == 0)
            pthread_attr_destroy(&attributes);
        pthread_mutex_unlock(&looking);
    }
    return unused;
}

static void *end_slowly(void *unused)
{
    (void)unused;
    looked_at = pthread_self();
    litter(1);
    return malloc(10);
}

static void check_attributes(void)
{
    pthread_t asking, thread;

    REQUIRE(pthread_create(&asking, NULL, ask_for_attributes, NULL) == 0);
    for (unsigned i = 0; i < 300; i++) {
        void *result;

        REQUIRE(pthread_create(&thread, NULL, end_slowly, NULL) == 0);
        while (looked_at != thread)
            sched_yield();
        usleep(300);
        pthread_mutex_lock(&looking);
        looked_at = 0;
        pthread_mutex_unlock(&looking);
        REQUIRE(pthread_join(thread, &result) == 0);
    }
    over = true;
    pthread_join(asking, NULL);
}

/* ---- Ended by a handler ------------------------------------------------------------------ */

static void end_thread(int number)
{
    (void)number;
    pthread_exit(NULL);
}

static void *spin(void *unused)
{
    for (;;)
        (void)*(volatile char *)&over;
    return unused;
}

/* Also before its function has begun. */
static void check_ended(void)
{
    sink = malloc(10); /* Broom begins */
    REQUIRE(signal(SIGUSR2, end_thread) != SIG_ERR);
    for (unsigned i = 0; i < 3000; i++) {
        pthread_t thread;

        REQUIRE(pthread_create(&thread, NULL, spin, NULL) == 0);
        for (volatile unsigned j = 0; j < i % 300 * 130; j++)
            continue;
        REQUIRE(pthread_kill(thread, SIGUSR2) == 0 && pthread_join(thread, NULL) == 0);
    }
}

/* ---- Becoming another program ------------------------------------------------------------ */

static void *collect_for_ever(void *unused)
{
    for (;;)
        malloc_trim(0);
    return unused;
}

static void *become_true(void *unused)
{
    execlp("true", "true", (char *)NULL);
    _exit(9);
    return unused;
}

/* The signal that stops threads must not be pending for the new program. */
static void check_execs(void)
{
    for (unsigned i = 0; i < 100; i++) {
        pthread_t thread;
        pid_t child = fork();
        int status;

        if (child == 0) {
            for (unsigned j = 0; j < 2; j++)
                REQUIRE(pthread_create(&thread, NULL, collect_for_ever, NULL) == 0);
            usleep(1000 + i % 3 * 500);
            if (i % 2 == 0)
                become_true(NULL);
            REQUIRE(pthread_create(&thread, NULL, become_true, NULL) == 0 && pthread_join(thread, NULL) == 0);
        }
        REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    }
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

static const struct check checks[] = {
    {"signals", check_signals},
    {"jumps", check_jumps},
    {"frames", check_frames},
    {"forks", check_forks},
    {"first_fork", check_first_fork},
    {"aborts", check_aborts},
    {"fork_streams", check_fork_streams},
    {"raw_fork", check_raw_fork},
    {"churn", check_churn},
    {"attributes", check_attributes},
    {"ended", check_ended},
    {"execs", check_execs},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
