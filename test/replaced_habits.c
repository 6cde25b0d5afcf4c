/* replaced_habits.c - a program that knows of no collector: as replaced.c, about what programs
 * do that sits badly with a collector which they do not know of.
 *
 *   replaced_habits CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

/* As the kernel has it. */
struct action {
    void (*handler)(int signal, siginfo_t *information, void *interrupted);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static _Atomic unsigned called;

static void note_call(int number, siginfo_t *information, void *interrupted)
{
    (void)number, (void)interrupted;
    called += information->si_code == SI_QUEUE;
}

/* As the runtime of Go does; that of the C library's own signals it leaves alone. */
static void take_all_signals(void)
{
    struct action action;

    for (int number = 1; number <= SIGRTMAX; number++) {
        if (number == SIGKILL || number == SIGSTOP || (number >= 32 && number < SIGRTMIN))
            continue;
        REQUIRE(syscall(SYS_rt_sigaction, 41, NULL, &action, sizeof action.mask) == 0); /* so much of it is the same */
        action.handler = note_call;
        action.mask = ~UINT64_C(0);
        REQUIRE(syscall(SYS_rt_sigaction, number, &action, NULL, sizeof action.mask) == 0);
    }
}

enum { SIGNALS = 20 };

/* A sleep ends for those that are not ours, and for no other. */
static void *sleep_till_called(void *unused)
{
    unsigned interrupted = 0;

    while (called < SIGNALS) {
        unsigned before = called;

        if (usleep(100000) == 0)
            continue;
        interrupted++;
        REQUIRE(errno == EINTR && called != before);
    }
    REQUIRE(interrupted > 0);
    return unused;
}

static void check_taken_signals(void)
{
    pthread_t thread;

    REQUIRE(pthread_create(&thread, NULL, wait_until_over, NULL) == 0);
    take_all_signals();
    litter(32);
    over = true;
    pthread_join(thread, NULL);
    REQUIRE(pthread_create(&thread, NULL, sleep_till_called, NULL) == 0);
    for (unsigned i = 0; i < SIGNALS; i++) {
        REQUIRE(pthread_sigqueue(thread, 41, (union sigval){0}) == 0);
        litter(4);
    }
    pthread_join(thread, NULL);
    REQUIRE(called == SIGNALS);
}

/* ---- Pages --------------------------------------------------------------------------------------- */

/* As libraries of coroutines make stacks. */
static __attribute__((noinline)) char *make_guarded(size_t bytes)
{
    void *stack;

    REQUIRE(posix_memalign(&stack, 4096, bytes) == 0);
    memset(stack, 1, bytes);
    REQUIRE((bytes == 4096 ? pkey_mprotect(stack, 4096, PROT_NONE, -1) : mprotect(stack, 4096, PROT_NONE)) == 0);
    return stack;
}

static void check_guards(void)
{
    static char *stack[8];

    for (unsigned i = 0; i < 8; i++) {
        stack[i] = make_guarded((size_t)4096 << i);
        litter(16);
    }
    REQUIRE(pkey_mprotect(stack[1], 4096, PROT_READ, 1) == -1 && errno == EINVAL);
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

enum { PAGE = 4096, PAGES = 5 };

static char *make_pages(size_t pages)
{
    void *start;

    REQUIRE(posix_memalign(&start, PAGE, pages * PAGE) == 0);
    return memset(start, 1, pages * PAGE);
}

/* Parts of what was protected at once are given back: at the beginning, in the middle, or none,
 * where the kernel refuses. */
static __attribute__((noinline)) char *protect_in_parts(void)
{
    char *pages = make_pages(PAGES);

    REQUIRE(mprotect(pages, PAGES * PAGE, PROT_READ) == 0);
    REQUIRE(mprotect(pages + PAGE, PAGE, PROT_READ) == 0 && mprotect(pages + PAGE, 0, PROT_READ | PROT_WRITE) == 0);
    REQUIRE(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    pages[PAGE] = 2;
    REQUIRE(mprotect(pages, PAGE, PROT_READ | PROT_WRITE) == 0);
    REQUIRE(mprotect(pages + 1, PAGES * PAGE, PROT_READ | PROT_WRITE) == -1 && errno == EINVAL);
    return pages;
}

/* Beyond what can be noted pages stay writable. */
static __attribute__((noinline)) void protect_all_that_is_noted(void)
{
    enum { RANGES = 4096 };
    char *pages = make_pages(3 * RANGES);

    for (size_t i = 0; i < RANGES; i++)
        REQUIRE(mprotect(pages + 3 * i * PAGE, 3 * PAGE, PROT_READ) == 0);
    REQUIRE(mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
    pages[PAGE] = pages[2 * PAGE] = 2;
    free(pages);
    memset(pages, 2, 3 * RANGES * PAGE);
}

static void check_parts(void)
{
    protect_all_that_is_noted();
    for (unsigned i = 0; i < 60; i++)
        if (i % 2 == 0)
            protect_in_parts();
        else
            free(protect_in_parts());
    clear_stack();
    litter(64);
    for (unsigned i = 0; i < 4000; i++)
        sink = make_pages(PAGES);
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

/* As who gives up rights, or has secrets: no file tells of single pages any more. What is sparse
 * stays so, guards are left alone, and what is there is seen. */
static void forbid_looks(void)
{
    if (geteuid() == 0)
        REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    prctl(PR_SET_DUMPABLE, 0);
}

static void check_unseen(void)
{
    enum { BYTES = 1 << 30 };
    char *mapped = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    static char *object;
    struct rusage usage;

    REQUIRE(mapped != MAP_FAILED && (object = aligned_alloc(PAGE, BYTES / 2)) != NULL);
    *(struct kept **)&mapped[BYTES / 2] = make_kept("in a mapping");
    *(struct kept **)&object[BYTES / 4] = make_kept("in an object");
    madvise(mapped + 9 * PAGE, 3 * PAGE, MADV_GUARD_INSTALL);
    madvise(object + 9 * PAGE, 3 * PAGE, MADV_GUARD_INSTALL);
    clear_stack();
    forbid_looks();
    litter(getenv("BROOM_STRESS") == NULL ? 64 : 1);
    REQUIRE(is_kept(*(struct kept **)&mapped[BYTES / 2], "in a mapping"));
    REQUIRE(is_kept(*(struct kept **)&object[BYTES / 4], "in an object"));
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0 && usage.ru_maxrss < 256 << 10);
}

/* ---- Threads that block all signals ----------------------------------------------------------------------- */

/* As Go's runtime has one. What it keeps stands on its stack alone; it wakes up now and
 * then, and allocates. */
enum { SLEEPERS = 3, WAKINGS = 6 };

static _Atomic uint32_t asleep, wakings;

static void block_all_by_system_call(void)
{
    uint64_t all = UINT64_MAX;

    REQUIRE(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all) == 0);
}

static void *sleep_deafly(void *unused)
{
    struct kept *volatile mine[WAKINGS];

    block_all_by_system_call();
    for (uint32_t i = 0; i < WAKINGS; i++) {
        mine[i] = make_kept("a sleeper's");
        asleep++;
        while (wakings == i)
            syscall(SYS_futex, &wakings, FUTEX_WAIT, i, NULL);
        for (uint32_t j = 0; j <= i; j++)
            REQUIRE(is_kept(mine[j], "a sleeper's"));
        litter(1);
    }
    return unused;
}

static void check_sleepers(void)
{
    pthread_t thread[SLEEPERS];

    for (size_t i = 0; i < SLEEPERS; i++)
        REQUIRE(pthread_create(&thread[i], NULL, sleep_deafly, NULL) == 0);
    for (uint32_t i = 1; i <= WAKINGS; i++) {
        while (asleep < SLEEPERS * i)
            sched_yield();
        litter(getenv("BROOM_STRESS") == NULL ? 8 : 1);
        wakings = i;
        syscall(SYS_futex, &wakings, FUTEX_WAKE, SLEEPERS);
    }
    for (size_t i = 0; i < SLEEPERS; i++)
        REQUIRE(pthread_join(thread[i], NULL) == 0);
}

/* Of what it is going to read into, the call alone knows. */
static int pipe_ends[2];

static void *read_deafly(void *unused)
{
    void *volatile object = malloc(48);
    volatile uintptr_t hidden = ~(uintptr_t)object;

    litter(1); /* it does not allocate there any more */
    block_all_by_system_call();
    object = NULL;
    clear_stack();
    asleep++;
    REQUIRE(syscall(SYS_read, pipe_ends[0], ~hidden, 48) == 48);
    REQUIRE(strcmp((char *)~hidden, "read") == 0);
    return unused;
}

static void check_reader(void)
{
    enum { OTHERS = 400000 };
    char text[48] = "read";
    pthread_t thread;
    static char *others[OTHERS]; /* one of them would be where it reads to */

    REQUIRE(pipe(pipe_ends) == 0 && pthread_create(&thread, NULL, read_deafly, NULL) == 0);
    while (asleep == 0)
        sched_yield();
    usleep(1000); /* else it does not sleep yet, as a rule */
    litter(64);
    for (unsigned i = 0; i < OTHERS; i++)
        others[i] = memset(malloc(48), 0, 48);
    REQUIRE(write(pipe_ends[1], text, sizeof text) == sizeof text && pthread_join(thread, NULL) == 0);
    for (unsigned i = 0; i < OTHERS; i++)
        REQUIRE(others[i][0] == '\0');
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

/* No collection is possible, and none is tried for long: test_faces.c looks for what is said. */
static void check_no_files_for_good(void)
{
    use_up_files(true);
    litter(200);
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

static const struct check checks[] = {
    {"cleared", check_cleared},
    {"alternate", check_alternate},
    {"reset", check_signal_reset},
    {"taken_signals", check_taken_signals},
    {"guards", check_guards},
    {"forgotten_guards", check_forgotten_guards},
    {"parts", check_parts},
    {"light_guards", check_light_guards},
    {"unseen", check_unseen},
    {"sleepers", check_sleepers},
    {"reader", check_reader},
    {"no_files", check_no_files},
    {"no_files_for_good", check_no_files_for_good},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
