/* replaced_habits.c - as replaced.c: what programs do that sit badly with a collector
 * which they do not know of.
 *
 *   replaced_habits CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>

/* What the arena has is not enough. */
static void allocate_more_than_the_arena(void)
{
    for (unsigned i = 0; i < 64; i++) {
        sink = malloc(1 << 20);
        REQUIRE(sink != NULL);
    }
    litter(64);
}

/* ---- The environment ------------------------------------------------------------------- */

static void check_cleared(void)
{
    REQUIRE(clearenv() == 0);
    allocate_more_than_the_arena();
    REQUIRE(setenv("REPLACED", "again", 1) == 0);
    litter(32);
    REQUIRE(strcmp(getenv("REPLACED"), "again") == 0);
}

/* ---- Signals ------------------------------------------------------------------------------ */

enum { ALTERNATE_BYTES = 24000 };

static void do_nothing(int number)
{
    (void)number;
}

/* The kernel alone has its address. */
static __attribute__((noinline)) uintptr_t set_alternate_stack(void)
{
    stack_t stack = {.ss_sp = malloc(ALTERNATE_BYTES), .ss_size = ALTERNATE_BYTES};

    REQUIRE(stack.ss_sp != NULL && sigaltstack(&stack, NULL) == 0);
    return ~(uintptr_t)stack.ss_sp;
}

static void check_alternate(void)
{
    uintptr_t hidden = set_alternate_stack();

    clear_stack();
    for (unsigned i = 0; i < 20000; i++) {
        sink = malloc(ALTERNATE_BYTES);
        REQUIRE(~(uintptr_t)sink != hidden);
    }
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

/* As who resets everything does. */
static void check_reset(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};

    for (int number = 1; number <= SIGRTMAX; number++) {
        signal(number, SIG_DFL);
        sysv_signal(number, SIG_DFL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        sigignore(number);
        sigset(number, SIG_DFL);
#pragma GCC diagnostic pop
        sigaction(number, &action, NULL);
    }
}

static volatile bool over;

static void *wait_until_over(void *unused)
{
    while (!over)
        usleep(1000);
    return unused;
}

static void check_signal_reset(void)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, wait_until_over, NULL) == 0);
    check_reset();
    litter(64);
    over = true;
    pthread_join(thread, NULL);
    REQUIRE(signal(SIGUSR1, do_nothing) == SIG_DFL && signal(SIGUSR1, SIG_IGN) == do_nothing);
    REQUIRE(signal(41, do_nothing) == SIG_ERR && errno == EINVAL);
}

/* ---- Waits ---------------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

enum { WAIT_MS = 300 };

static const struct timespec a_while = {0, WAIT_MS * 1000000};

static int by_nanosleep(void)
{
    struct timespec left = {0, 0};

    return nanosleep(&a_while, &left);
}

static int by_clock_nanosleep(void)
{
    return clock_nanosleep(CLOCK_REALTIME, 0, &a_while, NULL);
}

static int by_absolute_sleep(void)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_MS * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int by_usleep(void)
{
    return usleep(WAIT_MS * 1000);
}

static int by_sleep(void)
{
    return (int)sleep(1);
}

static int by_poll(void)
{
    return poll(NULL, 0, WAIT_MS);
}

static int by_ppoll(void)
{
    return ppoll(NULL, 0, &a_while, NULL);
}

static int by_select(void)
{
    struct timeval timeout = {0, WAIT_MS * 1000};

    return select(0, NULL, NULL, NULL, &timeout);
}

static int by_pselect(void)
{
    return pselect(0, NULL, NULL, NULL, &a_while, NULL);
}

static int by_epoll(void)
{
    int poll = epoll_create1(0), result;
    struct epoll_event event;

    result = epoll_wait(poll, &event, 1, WAIT_MS);
    close(poll);
    return result;
}

static int by_epoll_pwait(void)
{
    int poll = epoll_create1(0), result;
    struct epoll_event event;

    result = epoll_pwait(poll, &event, 1, WAIT_MS, NULL);
    close(poll);
    return result;
}

static int (*const waits[])(void) = {
    by_nanosleep, by_clock_nanosleep, by_absolute_sleep, by_usleep, by_sleep,       by_poll,
    by_ppoll,     by_select,          by_pselect,        by_epoll,  by_epoll_pwait,
};

enum { WAITS = sizeof waits / sizeof waits[0] };

static void *wait_in_full(void *number)
{
    int (*wait)(void) = waits[(uintptr_t)number];
    uint64_t begun = now_ns();
    int result = wait();

    if (result != 0 || now_ns() - begun < WAIT_MS * (uint64_t)1000000)
        fprintf(stderr, "wait %lu: %d %s\n", (unsigned long)(uintptr_t)number, result, strerror(errno));
    REQUIRE(result == 0 && now_ns() - begun >= WAIT_MS * (uint64_t)1000000);
    return NULL;
}

/* Collections come all the time, and nothing ends early for them. */
static void check_waits_in_full(void)
{
    pthread_t thread[WAITS];

    for (uintptr_t i = 0; i < WAITS; i++)
        REQUIRE(pthread_create(&thread[i], NULL, wait_in_full, (void *)i) == 0);
    for (uint64_t begun = now_ns(); now_ns() - begun < 1200 * (uint64_t)1000000;)
        litter(1);
    for (unsigned i = 0; i < WAITS; i++)
        pthread_join(thread[i], NULL);
}

static _Atomic unsigned woken;
static _Atomic bool waiting;

static void note_woken(int number)
{
    (void)number;
    woken++;
}

static void *pause_again_and_again(void *unused)
{
    for (unsigned i = 0; i < 40; i++) {
        sigset_t none;

        sigemptyset(&none);
        waiting = true;
        REQUIRE((i % 2 == 0 ? sigsuspend(&none) : ppoll(NULL, 0, NULL, &none)) == -1 && errno == EINTR);
        REQUIRE(woken == i + 1);
    }
    return unused;
}

/* The program's own signals end them, once each. */
static void check_woken(void)
{
    pthread_t thread;
    sigset_t set;

    REQUIRE(signal(SIGUSR1, note_woken) != SIG_ERR);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    REQUIRE(pthread_create(&thread, NULL, pause_again_and_again, NULL) == 0);
    for (unsigned i = 0; i < 40; i++) {
        while (!waiting)
            sched_yield();
        waiting = false;
        litter(4);
        pthread_kill(thread, SIGUSR1);
    }
    pthread_join(thread, NULL);
}

static void *sleep_long(void *unused)
{
    struct timespec hour = {3600, 0}, left = {0, 0};

    waiting = true;
    REQUIRE(nanosleep(&hour, &left) == -1 && errno == EINTR && left.tv_sec > 3000);
    waiting = true;
    REQUIRE(sleep(3600) > 3000);
    waiting = true;
    REQUIRE(poll(NULL, 0, -1) == -1 && errno == EINTR);
    waiting = true;
    REQUIRE(pause() == -1 && errno == EINTR);
    return unused;
}

static void check_wakes_sleepers(void)
{
    pthread_t thread;

    REQUIRE(signal(SIGUSR1, note_woken) != SIG_ERR);
    REQUIRE(pthread_create(&thread, NULL, sleep_long, NULL) == 0);
    for (unsigned i = 0; i < 4; i++) {
        while (!waiting)
            sched_yield();
        waiting = false;
        litter(16);
        while (!waiting && pthread_kill(thread, SIGUSR1) == 0 && i < 3) {
            litter(1);
            usleep(20000);
        }
    }
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        pthread_kill(thread, SIGUSR1);
        usleep(20000);
    }
}

/* ---- Forks ------------------------------------------------------------------------------------ */

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

/* ---- Pages --------------------------------------------------------------------------------------- */

/* As libraries of coroutines make stacks. */
static __attribute__((noinline)) char *make_guarded(size_t bytes)
{
    void *stack;

    REQUIRE(posix_memalign(&stack, 4096, bytes) == 0);
    memset(stack, 1, bytes);
    REQUIRE(mprotect(stack, 4096, PROT_NONE) == 0);
    return stack;
}

static void check_guards(void)
{
    static char *stack[8];

    for (unsigned i = 0; i < 8; i++) {
        stack[i] = make_guarded((size_t)4096 << i);
        litter(16);
    }
    for (unsigned i = 0; i < 8; i++) {
        if (i % 2 == 0) /* others give it back as it is */
            REQUIRE(mprotect(stack[i], 4096, PROT_READ | PROT_WRITE) == 0);
        free(stack[i]);
        stack[i] = NULL;
    }
    clear_stack();
    for (unsigned round = 0; round < 20; round++)
        for (unsigned i = 0; i < 8; i++)
            for (unsigned j = 0; j < 1u << (9 - i); j++) {
                sink = malloc((size_t)4096 << i);
                memset(sink, 1, (size_t)4096 << i);
            }
}

/* Forgotten while it could not be written. */
static void check_forgotten_guards(void)
{
    for (unsigned i = 0; i < 40; i++) {
        char *page = make_guarded(4096);

        REQUIRE(mprotect(page, 4096, PROT_READ) == 0);
        make_guarded(65536);
    }
    clear_stack();
    litter(64);
    for (unsigned i = 0; i < 4000; i++) {
        memset(sink = malloc(4096), 1, 4096);
        memset(sink = malloc(65536), 1, 65536);
    }
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void check_light_guards(void)
{
    char *area = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(area != MAP_FAILED);
    memset(area, 1, 64 * 4096);
    if (madvise(area + 4096, 4096, MADV_GUARD_INSTALL) != 0)
        return;
    madvise(area + 9 * 4096, 3 * 4096, MADV_GUARD_INSTALL);
    litter(64);
    REQUIRE(area[0] == 1);
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

static _Atomic(pthread_t) looked_at;

static void *ask_for_attributes(void *unused)
{
    while (!over) {
        pthread_attr_t attributes;

        if (looked_at != 0 && pthread_getattr_np(looked_at, &attributes) == 0)
            pthread_attr_destroy(&attributes);
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
    pthread_t asking, thread, last = 0;

    REQUIRE(pthread_create(&asking, NULL, ask_for_attributes, NULL) == 0);
    for (unsigned i = 0; i < 300; i++) {
        void *result;

        REQUIRE(pthread_create(&thread, NULL, end_slowly, NULL) == 0);
        while (looked_at != thread)
            sched_yield();
        usleep(300);
        looked_at = 0;
        usleep(100);
        REQUIRE(pthread_join(thread, &result) == 0);
        last = thread;
    }
    (void)last;
    over = true;
    pthread_join(asking, NULL);
}

/* ---- Files --------------------------------------------------------------------------------------------- */

/* All are taken, down to the last that the limit allows; and it cannot be raised. */
static void use_up_files(bool for_good)
{
    struct rlimit limit = {64, for_good ? 64 : 128};

    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    while (open("/dev/null", O_RDONLY) >= 0)
        continue;
    REQUIRE(errno == EMFILE);
}

static void check_no_files(void)
{
    struct rusage usage;

    use_up_files(false);
    litter(400);
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 100 << 10);
    REQUIRE(open("/dev/null", O_RDONLY) < 0 && errno == EMFILE);
}

static void check_no_files_for_good(void)
{
    uint64_t begun = now_ns();

    use_up_files(true);
    litter(200);
    REQUIRE(now_ns() - begun < (uint64_t)20 * 1000000000);
}

static void check_twice_polled(void)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), first[2], second[2], copy, number;
    struct epoll_event event = {.events = EPOLLIN}, got;

    REQUIRE(poll >= 0 && pipe(first) == 0 && pipe(second) == 0);
    event.data.ptr = make_kept("first");
    REQUIRE(epoll_ctl(poll, EPOLL_CTL_ADD, first[0], &event) == 0);
    number = first[0];
    copy = dup(first[0]);
    REQUIRE(dup2(second[0], number) == number); /* the copy keeps the first registered */
    event.data.ptr = make_kept("second");
    REQUIRE(epoll_ctl(poll, EPOLL_CTL_ADD, number, &event) == 0);
    memset(&event, 0, sizeof event);
    clear_stack();
    litter(64);
    REQUIRE(write(first[1], "x", 1) == 1 && epoll_wait(poll, &got, 1, 1000) == 1);
    REQUIRE(is_kept(got.data.ptr, "first"));
    close(copy);
}

/* ---- Sizes ---------------------------------------------------------------------------------------------- */

/* A large object that begins a chunk grows in place, or by its page tables. */
static void check_growth(void)
{
    size_t bytes = (size_t)4 << 20;
    unsigned copies = 0;
    char *object;

    do
        object = malloc(bytes);
    while ((uintptr_t)object % ((size_t)2 << 20) != 0);
    for (unsigned i = 0; i < 16; i++) {
        char *before = object;

        bytes += 1 << 20;
        object = realloc(object, bytes);
        REQUIRE(object != NULL);
        copies += object != before;
    }
    if (copies > 8)
        fprintf(stderr, "%u copies\n", copies);
    REQUIRE(copies <= 8);
    for (size_t alignment = (size_t)4 << 20; alignment <= (size_t)64 << 20; alignment *= 2) {
        char *aligned = memalign(alignment, 100000), *moved;

        memset(aligned, 7, 100000);
        moved = realloc(aligned, 300000);
        REQUIRE(moved != NULL && moved[0] == 7 && moved[99999] == 7 && malloc_usable_size(moved) >= 300000);
    }
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

int main(int count, char **argument)
{
    static const struct {
        const char *name;
        void (*function)(void);
    } checks[] = {
        {"cleared", check_cleared},
        {"alternate", check_alternate},
        {"jumps", check_jumps},
        {"reset", check_signal_reset},
        {"waits_in_full", check_waits_in_full},
        {"woken", check_woken},
        {"wakes_sleepers", check_wakes_sleepers},
        {"fork_streams", check_fork_streams},
        {"raw_fork", check_raw_fork},
        {"guards", check_guards},
        {"forgotten_guards", check_forgotten_guards},
        {"light_guards", check_light_guards},
        {"churn", check_churn},
        {"attributes", check_attributes},
        {"no_files", check_no_files},
        {"no_files_for_good", check_no_files_for_good},
        {"twice_polled", check_twice_polled},
        {"growth", check_growth},
    };

    for (size_t i = 0; count == 2 && i < sizeof checks / sizeof checks[0]; i++)
        if (strcmp(argument[1], checks[i].name) == 0) {
            checks[i].function();
            return 0;
        }
    return 2;
}
