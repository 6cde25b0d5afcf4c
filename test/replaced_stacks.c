/* replaced_stacks.c - a program that knows of no collector: as replaced.c, with stacks in
 * unusual places, and masks that come with them.
 *
 *   replaced_stacks CHECK */
#define _GNU_SOURCE
#include "test/replaced.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* ---- Alternate stacks that threads have together ------------------------------------------- */

/* As varnishd's: only who dies runs there. */
enum { SHARING = 8, STACK_BYTES = 65536 };

static atomic_uint waiting;
static atomic_bool enough;

static void *share(void *stack)
{
    struct kept *volatile mine = make_kept("of one thread");
    volatile unsigned number = ++waiting, copy = number;

    REQUIRE(sigaltstack(stack, NULL) == 0);
    while (!enough)
        usleep(1000);
    REQUIRE(number == copy && is_kept(mine, "of one thread"));
    return NULL;
}

/* As the kernel has it. */
static bool threads_stop_on_theirs(void)
{
    struct {
        uintptr_t handler;
        unsigned long flags, restorer;
        uint64_t mask;
    } action;

    REQUIRE(syscall(SYS_rt_sigaction, 41, NULL, &action, sizeof action.mask) == 0);
    return (action.flags & SA_ONSTACK) != 0;
}

static void check_shared(void)
{
    static char area[STACK_BYTES];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    pthread_t thread[SHARING];

    for (unsigned i = 0; i < SHARING; i++)
        REQUIRE(pthread_create(&thread[i], NULL, share, &stack) == 0);
    while (waiting < SHARING)
        sched_yield();
    litter(100);
    enough = true;
    REQUIRE(!threads_stop_on_theirs());
    for (unsigned i = 0; i < SHARING; i++)
        REQUIRE(pthread_join(thread[i], NULL) == 0);
}

static void *set_and_disable(void *area)
{
    stack_t stack = {.ss_sp = area, .ss_size = STACK_BYTES}, old;

    REQUIRE(sigaltstack(&stack, NULL) == 0);
    stack.ss_flags = SS_DISABLE;
    REQUIRE(sigaltstack(&stack, &old) == 0 && old.ss_sp == area);
    waiting++;
    while (!enough)
        usleep(1000);
    return NULL;
}

/* One after the other is no harm. */
static void check_handed_over(void)
{
    static char area[STACK_BYTES];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area};
    pthread_t thread;

    litter(1);
    REQUIRE(pthread_create(&thread, NULL, set_and_disable, area) == 0);
    while (waiting == 0)
        sched_yield();
    REQUIRE(sigaltstack(&stack, NULL) == 0 && threads_stop_on_theirs());
    enough = true;
    REQUIRE(pthread_join(thread, NULL) == 0 && threads_stop_on_theirs());
}

static void set_alternate(void *area)
{
    stack_t stack = {.ss_sp = area, .ss_size = STACK_BYTES};

    REQUIRE(sigaltstack(&stack, NULL) == 0);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_with_alternate(void *area)
{
    set_alternate(area);
    waiting++;
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return NULL;
}

/* As many as one program has, at a distance from each other that is as bad for a table as any. */
static void check_many(void)
{
    enum { THREADS = 600, APART = 8 << 20 };
    static pthread_t thread[THREADS];
    char *area = mmap(NULL, (size_t)THREADS * APART, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    pthread_attr_t attributes;

    REQUIRE(area != MAP_FAILED && pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
    pthread_mutex_lock(&gate);
    for (size_t i = 0; i < THREADS; i++) {
        REQUIRE(mprotect(area + i * APART, STACK_BYTES, PROT_READ | PROT_WRITE) == 0);
        REQUIRE(pthread_create(&thread[i], &attributes, wait_with_alternate, area + i * APART) == 0);
    }
    while (waiting < THREADS)
        usleep(1000);
    REQUIRE(threads_stop_on_theirs());
    set_alternate(area + (size_t)THREADS / 2 * APART);
    REQUIRE(!threads_stop_on_theirs());
    pthread_mutex_unlock(&gate);
    for (size_t i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(thread[i], NULL) == 0);
}

/* What the kernel refuses changes nothing. */
static void check_refused(void)
{
    static char area[STACK_BYTES];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area}, too_small = {.ss_sp = area, .ss_size = 1};
    pthread_t thread;

    litter(1);
    REQUIRE(sigaltstack(&stack, NULL) == 0 && sigaltstack(&too_small, NULL) != 0 && threads_stop_on_theirs());
    REQUIRE(sigaltstack((stack_t *)(uintptr_t)8, NULL) != 0 && errno == EFAULT);
    enough = true;
    REQUIRE(pthread_create(&thread, NULL, share, &stack) == 0 && pthread_join(thread, NULL) == 0);
    REQUIRE(!threads_stop_on_theirs());
}

/* ---- What lies beside a stack ---------------------------------------------------------------- */

static void check_beside(struct kept **place)
{
    *place = make_kept("beside a stack");
    clear_stack();
    litter(20);
    REQUIRE(is_kept(*place, "beside a stack"));
}

static void *wait_for_end(void *unused)
{
    waiting++;
    while (!enough)
        usleep(1000);
    return unused;
}

/* At the lower end of the memory that the program gave for it. */
static void check_lent(void)
{
    void *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;

    REQUIRE(memory != MAP_FAILED && pthread_attr_init(&attributes) == 0);
    REQUIRE(pthread_attr_setstack(&attributes, memory, 1 << 20) == 0);
    REQUIRE(pthread_create(&thread, &attributes, wait_for_end, NULL) == 0);
    while (waiting == 0)
        sched_yield();
    check_beside(memory);
    enough = true;
    REQUIRE(pthread_join(thread, NULL) == 0);
}

/* Where the initial stack might come to one day. */
static void check_below(void)
{
    char here, *below = (char *)(((uintptr_t)&here - (4 << 20)) & ~(uintptr_t)4095);
    void *memory = mmap(below, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    REQUIRE(memory != MAP_FAILED);
    check_beside(memory);
}

static atomic_int clone_runs = 1;

static int spin_in_clone(void *unused)
{
    (void)unused;
    waiting++;
    while (!enough)
        continue;
    return 0;
}

/* Of a thread that the C library does not know, in the same mapping. */
static void check_cloned(void)
{
    char *memory = mmap(NULL, 2 * STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

    REQUIRE(memory != MAP_FAILED);
    REQUIRE(clone(spin_in_clone, memory + 2 * STACK_BYTES, flags, NULL, NULL, NULL, &clone_runs) > 0);
    while (waiting == 0)
        sched_yield();
    check_beside((struct kept **)(void *)memory);
    enough = true;
    while (clone_runs != 0)
        sched_yield();
}

/* ---- Stacks that are arrays in a frame ------------------------------------------------------- */

/* The frames between it and where the thread left its own stack have objects each. */
enum { FRAMES = 20 };

static __attribute__((noinline)) void go_down(unsigned depth, void (*leave)(void))
{
    struct kept *volatile mine = make_kept("of a frame");

    if (depth > 0)
        go_down(depth - 1, leave);
    else
        leave();
    REQUIRE(is_kept(mine, "of a frame"));
}

static void collect_there(void)
{
    for (unsigned i = 0; i < 4; i++) {
        litter(4);
        malloc_trim(0);
    }
}

static ucontext_t left, coroutine;

static void leave_by_context(void)
{
    REQUIRE(swapcontext(&left, &coroutine) == 0);
}

/* The arguments beyond the sixth stand on the coroutine's stack. */
static void run(int a, int b, int c, int d, int e, int f, int g)
{
    struct kept *volatile mine = make_kept("of a coroutine");

    REQUIRE(a == 1 && b == 2 && c == 3 && d == 4 && e == 5 && f == 6 && g == 7);
    collect_there();
    REQUIRE(is_kept(mine, "of a coroutine"));
}

static void make_coroutine(void *area)
{
    REQUIRE(getcontext(&coroutine) == 0);
    coroutine.uc_stack = (stack_t){.ss_sp = area, .ss_size = STACK_BYTES};
    coroutine.uc_link = &left;
    makecontext(&coroutine, (void (*)(void))run, 7, 1, 2, 3, 4, 5, 6, 7);
}

static void *go_down_by_context(void *unused)
{
    char area[STACK_BYTES];

    make_coroutine(area);
    go_down(FRAMES, leave_by_context);
    return unused;
}

static void check_coroutine(void)
{
    pthread_t thread;

    go_down_by_context(NULL);
    REQUIRE(pthread_create(&thread, NULL, go_down_by_context, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

#ifndef SS_AUTODISARM /* Linux 4.7; headers may be older */
#define SS_AUTODISARM (1U << 31)
#endif

static void handle(int number)
{
    (void)number;
    collect_there();
}

static void leave_by_signal(void)
{
    raise(SIGUSR1);
}

static void handle_within(int flags)
{
    char area[STACK_BYTES];
    stack_t stack = {.ss_sp = area, .ss_size = sizeof area, .ss_flags = flags};
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};

    REQUIRE(sigaltstack(&stack, NULL) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
    go_down(FRAMES, leave_by_signal);
    stack.ss_flags = SS_DISABLE;
    REQUIRE(sigaltstack(&stack, NULL) == 0);
}

static void check_alternate(void)
{
    handle_within(0);
    handle_within((int)SS_AUTODISARM);
}

/* ---- Masks that hold every signal -------------------------------------------------------------- */

static atomic_uint masked;

/* Who blocks our signal here would not be stopped before it is over. */
static void wait_busily(void)
{
    masked++;
    while (!enough)
        continue;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void *hold_each(void *unused)
{
    for (int number = 1; number < _NSIG; number++)
        sighold(number);
    wait_busily();
    return unused;
}

#pragma GCC diagnostic pop

static void *go_to_masked(void *unused)
{
    static char area[STACK_BYTES];
    ucontext_t from, to;

    REQUIRE(getcontext(&to) == 0);
    to.uc_stack = (stack_t){.ss_sp = area, .ss_size = sizeof area};
    to.uc_link = &from;
    sigfillset(&to.uc_sigmask);
    makecontext(&to, wait_busily, 0);
    REQUIRE(swapcontext(&from, &to) == 0);
    return unused;
}

static void check_masks(void)
{
    pthread_t holding, masking;

    REQUIRE(pthread_create(&holding, NULL, hold_each, NULL) == 0);
    REQUIRE(pthread_create(&masking, NULL, go_to_masked, NULL) == 0);
    while (masked < 2)
        sched_yield();
    collect_there();
    enough = true;
    REQUIRE(pthread_join(holding, NULL) == 0 && pthread_join(masking, NULL) == 0);
}

/* ---- Which -------------------------------------------------------------------------------------- */

static const struct check checks[] = {
    {"shared", check_shared},       {"handed_over", check_handed_over},
    {"refused", check_refused},     {"many", check_many},
    {"lent", check_lent},           {"below", check_below},
    {"cloned", check_cloned},       {"coroutine", check_coroutine},
    {"alternate", check_alternate}, {"masks", check_masks},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
