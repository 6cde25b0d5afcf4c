/* test_thread_stops.c - threads that do not stop at once, or not at all: what is said of
 * them, and that none of them runs on while the world stands. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/cycle/heap.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static _Atomic bool is_there, may_go;

static void await_it(void)
{
    while (!is_there)
        sleep_ms(1);
}

/* ---- Reports -------------------------------------------------------------------------------------- */

static void set_mask_by_system_call(int how)
{
    uint64_t all = ~UINT64_C(0);

    REQUIRE(syscall(SYS_rt_sigprocmask, how, &all, NULL, sizeof all) == 0);
}

static uint64_t own_cpu_ms(void)
{
    struct timespec had;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &had);
    return (uint64_t)had.tv_sec * 1000 + (uint64_t)had.tv_nsec / 1000000;
}

/* As much CPU as two looks want to see. */
static void *be_deaf(void *unused)
{
    struct tree *tree = build_tree(2);

    prctl(PR_SET_NAME, "deaf");
    fprintf(stderr, "deaf: %ld\n", (long)gettid());
    set_mask_by_system_call(SIG_BLOCK);
    is_there = true;
    for (uint64_t end_ms = clock_ms() + 1600; clock_ms() < end_ms || own_cpu_ms() < 1500;)
        ;
    set_mask_by_system_call(SIG_UNBLOCK);
    consume_tree(tree);
    return unused;
}

static void collect_beside(void *(*function)(void *unused))
{
    pthread_t thread;

    die_after(60);
    thread = begin_thread(function, NULL);
    await_it();
    gc_collect();
    gc_collect();
    may_go = true;
    end_thread(thread);
}

static void collect_beside_deaf(void)
{
    collect_beside(be_deaf);
}

Test(thread_stops, who_blocks_the_signal_is_reported)
{
    struct child child = child_run(collect_beside_deaf);
    char report[100];
    long id;

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert(sscanf(child.text, "deaf: %ld", &id) == 1);
    snprintf(report, sizeof report, "thread %ld (deaf) has not stopped for ", id);
    cr_assert(child_wrote(&child, report) && child_wrote(&child, ": it blocks the signal\n"), "%s", child.text);
}

static void *wait_for_a_program(void *unused)
{
    pid_t pid;

    is_there = true;
    pid = vfork();
    if (pid == 0) {
        struct timespec time = {.tv_sec = 3};

        syscall(SYS_nanosleep, &time, NULL);
        _exit(0);
    }
    REQUIRE(waitpid(pid, NULL, 0) == pid);
    return unused;
}

static void collect_beside_vfork(void)
{
    collect_beside(wait_for_a_program);
}

Test(thread_stops, who_waits_where_no_signal_wakes_it_is_reported)
{
    struct child child = child_run(collect_beside_vfork);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert(child_wrote(&child, ": it waits where no signal wakes it\n"), "%s", child.text);
}

static _Atomic long halted;

static void *be_halted(void *unused)
{
    halted = gettid();
    is_there = true;
    while (!may_go)
        sleep_ms(1);
    return unused;
}

/* What a debugger does; it lets go when it ends. */
static void halt_for_a_while(int told)
{
    char done = ptrace(PTRACE_SEIZE, halted, NULL, NULL) == 0 && ptrace(PTRACE_INTERRUPT, halted, NULL, NULL) == 0 &&
                waitpid((pid_t)halted, NULL, __WALL) == halted;

    REQUIRE(write(told, &done, 1) == 1);
    sleep_ms(3000);
    _exit(0);
}

static void collect_beside_halted(void)
{
    char done;
    int ends[2];
    pthread_t thread;
    pid_t debugger;

    die_after(60);
    REQUIRE(pipe(ends) == 0);
    thread = begin_thread(be_halted, NULL);
    await_it();
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    debugger = fork();
    if (debugger == 0)
        halt_for_a_while(ends[1]);
    REQUIRE(read(ends[0], &done, 1) == 1);
    if (!done)
        fprintf(stderr, "processes may not look at others here\n");
    else
        gc_collect();
    REQUIRE(waitpid(debugger, NULL, 0) == debugger);
    may_go = true;
    end_thread(thread);
}

Test(thread_stops, who_is_halted_is_reported)
{
    struct child child = child_run(collect_beside_halted);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    if (child_wrote(&child, "may not look"))
        cr_skip_test("%s", child.text);
    cr_assert(child_wrote(&child, ": it has been halted\n"), "%s", child.text);
}

/* ---- Signals that are refused ------------------------------------------------------------------------ */

static void *be_busy(void *unused)
{
    is_there = true;
    while (!may_go)
        ;
    return unused;
}

/* Another process makes room in the queue. */
static void collect_with_full_queue(void)
{
    struct rlimit none = {0, 0}, before;
    pthread_t thread;
    pid_t self = getpid(), helper;

    die_after(60);
    thread = begin_thread(be_busy, NULL);
    await_it();
    REQUIRE(getrlimit(RLIMIT_SIGPENDING, &before) == 0);
    none.rlim_max = before.rlim_max;
    REQUIRE(setrlimit(RLIMIT_SIGPENDING, &none) == 0);
    helper = fork();
    if (helper == 0) {
        sleep_ms(50);
        REQUIRE(prlimit(self, RLIMIT_SIGPENDING, &before, NULL) == 0);
        _exit(0);
    }
    gc_collect();
    REQUIRE(gc__heap.record.collections == 1);
    may_go = true;
    end_thread(thread);
    REQUIRE(waitpid(helper, NULL, 0) == helper);
}

/* On a busy machine the other process may take its time; what is said then is true. */
Test(thread_stops, signals_that_find_no_room_are_sent_again)
{
    struct child child = child_run(collect_with_full_queue);

    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert(child.length == 0 || child_wrote(&child, ": the queue of signals is full\n"), "%s", child.text);
}

static void refuse_the_signal(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GC_STOP_SIGNAL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fprintf(stderr, "there are no such filters here\n");
        abort();
    }
}

static void collect_under_a_filter(void)
{
    die_after(60);
    begin_thread(be_busy, NULL);
    await_it();
    refuse_the_signal();
    gc_collect();
}

Test(thread_stops, a_filter_that_refuses_the_signal_ends_the_program)
{
    struct child child = child_run(collect_under_a_filter);

    cr_assert(child_aborted(&child), "status %d: %s", child.status, child.text);
    if (child_wrote(&child, "no such filters"))
        cr_skip_test("%s", child.text);
    cr_assert(child_wrote(&child, "cannot be stopped: the system refuses signal 41 with error 1"), "%s", child.text);
}

/* ---- Handlers that take the place of ours ------------------------------------------------------------ */

/* As the kernel has it. */
struct action {
    void (*handler)(int signal, siginfo_t *information, void *interrupted);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

static struct action replaced;
static _Atomic unsigned called, queued;

static void note_call(int signal, siginfo_t *information, void *interrupted)
{
    uint64_t blocked;

    (void)interrupted;
    called++;
    queued += information->si_code == SI_QUEUE;
    REQUIRE(signal == GC_STOP_SIGNAL);
    REQUIRE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, sizeof blocked) == 0);
    REQUIRE((blocked >> (SIGUSR1 - 1) & 1) == 1 && (blocked >> (SIGUSR2 - 1) & 1) == 0);
}

/* As some do that take a signal that was another's. */
static void pass_on(int signal, siginfo_t *information, void *interrupted)
{
    note_call(signal, information, interrupted);
    replaced.handler(signal, information, interrupted);
}

static void set_handler(void (*handler)(int signal, siginfo_t *information, void *interrupted), unsigned long flags)
{
    struct action action;

    REQUIRE(syscall(SYS_rt_sigaction, GC_STOP_SIGNAL, NULL, &replaced, sizeof action.mask) == 0);
    action = replaced;
    action.handler = handler;
    action.flags |= flags;
    action.mask = UINT64_C(1) << (SIGUSR1 - 1);
    REQUIRE(syscall(SYS_rt_sigaction, GC_STOP_SIGNAL, &action, NULL, sizeof action.mask) == 0);
}

static pthread_t begin_busy_thread(void)
{
    pthread_t thread;

    die_after(60);
    gc_collect();
    thread = begin_thread(be_busy, NULL);
    await_it();
    return thread;
}

static void end_busy_thread(pthread_t thread)
{
    may_go = true;
    end_thread(thread);
}

/* One of ours that comes twice, as the first was late, is passed on, too. */
static void send_by_hand(pthread_t thread)
{
    unsigned before = called;

    REQUIRE(pthread_kill(thread, GC_STOP_SIGNAL) == 0);
    for (unsigned i = 0; i < 10000 && called == before; i++)
        sleep_ms(1);
    REQUIRE(called > before);
}

/* Those of a stop are ours, also where it is replaced over and over. */
static void replace_handler(void)
{
    pthread_t thread = begin_busy_thread();

    for (unsigned i = 0; i < 50; i++) {
        set_handler(note_call, 0);
        gc_collect();
        send_by_hand(thread);
        send_by_hand(pthread_self());
    }
    end_busy_thread(thread);
}

Test(thread_stops, a_handler_in_the_place_of_ours)
{
    check_child(replace_handler);
}

static void replace_and_pass_on(void)
{
    pthread_t thread = begin_busy_thread();

    set_handler(pass_on, 0);
    gc_collect(); /* by way of theirs, perhaps */
    set_handler(note_call, 0);
    gc_collect();
    set_handler(pass_on, 0);
    gc_collect();
    send_by_hand(thread);
    send_by_hand(pthread_self());
    end_busy_thread(thread);
}

Test(thread_stops, a_handler_that_passes_on_to_ours)
{
    check_child(replace_and_pass_on);
}

static void replace_once(void)
{
    pthread_t thread = begin_busy_thread();

    set_handler((void (*)(int, siginfo_t *, void *))(uintptr_t)SIG_IGN, 0);
    gc_collect(); /* from then on before each stop */
    set_handler(note_call, SA_RESETHAND);
    gc_collect();
    send_by_hand(thread);
    REQUIRE(pthread_kill(pthread_self(), GC_STOP_SIGNAL) == 0 && called == 1);
    end_busy_thread(thread);
}

Test(thread_stops, a_handler_for_one_signal)
{
    check_child(replace_once);
}

/* None is lost while others stop threads. */
static void queue_signals(void)
{
    enum { SIGNALS = 200 };
    pthread_t thread = begin_busy_thread();

    set_handler(note_call, 0);
    for (unsigned i = 0; i < SIGNALS; i++) {
        REQUIRE(pthread_sigqueue(thread, GC_STOP_SIGNAL, (union sigval){0}) == 0);
        gc_collect();
    }
    end_busy_thread(thread);
    REQUIRE(queued == SIGNALS);
}

Test(thread_stops, signals_that_are_not_ours)
{
    check_child(queue_signals);
}

static void fork_with_handler(void)
{
    pthread_t thread = begin_busy_thread();
    pid_t child;
    int status;

    set_handler(note_call, 0);
    gc_collect();
    child = fork();
    if (child == 0) {
        send_by_hand(pthread_self());
        _exit(0);
    }
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    end_busy_thread(thread);
}

Test(thread_stops, a_handler_in_the_place_of_ours_in_a_child)
{
    check_child(fork_with_handler);
}

/* ---- Cancelled meanwhile --------------------------------------------------------------------------------- */

static int silent_pipe[2];
static _Atomic bool cleaned_up;
static pthread_t reader;

static void clean_up(void *unused)
{
    (void)unused;
    cleaned_up = true;
}

static void *read_silence(void *unused)
{
    char byte;

    pthread_cleanup_push(clean_up, NULL);
    is_there = true;
    REQUIRE(read(silent_pipe[0], &byte, 1) == 1);
    pthread_cleanup_pop(0);
    return unused;
}

/* Nobody but us runs. */
static bool cancel_reader(const struct gc_object_info *object, void *data)
{
    (void)object, (void)data;
    REQUIRE(pthread_cancel(reader) == 0);
    sleep_ms(100);
    REQUIRE(!cleaned_up);
    return false;
}

static void cancel_while_the_world_stands(void)
{
    void *volatile object;

    die_after(60);
    REQUIRE(pipe(silent_pipe) == 0);
    object = gc_malloc(16);
    reader = begin_thread(read_silence, NULL);
    REQUIRE(pthread_cancel(reader) == 0); /* the C library loads what it needs for that */
    REQUIRE(end_thread(reader) == PTHREAD_CANCELED);
    is_there = cleaned_up = false;
    reader = begin_thread(read_silence, NULL);
    await_it();
    sleep_ms(20);
    gc_for_each_object(cancel_reader, NULL);
    REQUIRE(end_thread(reader) == PTHREAD_CANCELED && cleaned_up);
    REQUIRE(object != NULL);
}

Test(thread_stops, who_is_cancelled_does_not_run_before_the_world_does)
{
    check_child(cancel_while_the_world_stands);
}

/* ---- Strangers --------------------------------------------------------------------------------------------- */

static void *call_later(void *unused)
{
    is_there = true;
    while (!may_go)
        sleep_ms(1);
    REQUIRE(gc_malloc(16) != NULL);
    return unused;
}

static size_t count_mutators(void)
{
    gc__world_lock(&gc__heap.world);
    gc__world_forget_the_dead(&gc__heap.world);
    gc__world_unlock(&gc__heap.world);
    return gc__heap.world.count;
}

/* A stop has met it before it calls: it gives back what it holds all the same. */
static void end_a_stranger(void)
{
    pthread_t thread;

    die_after(60);
    thread = begin_thread(call_later, NULL); /* before the heap starts */
    await_it();
    gc_collect();
    REQUIRE(count_mutators() == 2);
    may_go = true;
    end_thread(thread);
    while (gc__os_thread_count() > 1)
        sleep_ms(1);
    REQUIRE(count_mutators() == 1);
}

Test(thread_stops, a_stranger_that_calls_later_leaves)
{
    check_child(end_a_stranger);
}

static void *return_nothing(void *unused)
{
    return unused;
}

/* Its maker has more to do for it, and may be stopped before that is done. */
static void make_bound_threads(void)
{
    pthread_attr_t attributes;
    cpu_set_t cpus;

    die_after(120);
    REQUIRE(sched_getaffinity(0, sizeof cpus, &cpus) == 0);
    pthread_attr_init(&attributes);
    pthread_attr_setaffinity_np(&attributes, sizeof cpus, &cpus);
    begin_company(3);
    for (size_t i = 0; i < effort(3000); i++) {
        pthread_t thread;

        REQUIRE(pthread_create(&thread, &attributes, return_nothing, NULL) == 0);
        end_thread(thread);
    }
    end_company();
}

Test(thread_stops, threads_that_are_bound_to_cpus)
{
    check_child(make_bound_threads);
}
