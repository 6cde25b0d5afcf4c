/* Forks, libraries and signals beside threads that allocate. */
#define _GNU_SOURCE
#include "test/plugin.h"
#include "test/thread_work.h"

#include "gc/cycle/heap.h"

#include <dlfcn.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>

/* ---- Forks -------------------------------------------------------------------------------------- */

static void *allocate_in_child(void *tree)
{
    consume_tree(tree);
    for (unsigned i = 0; i < 30; i++)
        consume_tree(build_tree(2));
    return build_tree(1);
}

static void be_child(struct tree *inherited)
{
    pthread_t thread;

    die_after(60);
    check_tree(inherited);
    consume_tree(build_tree(3));
    gc_collect();
    gc__heap_audit(&gc__heap);
    thread = begin_thread(allocate_in_child, build_tree(2));
    for (unsigned i = 0; i < 30; i++)
        consume_tree(build_tree(2));
    consume_tree(end_thread(thread));
    gc_collect();
    check_tree(inherited);
    gc__heap_audit(&gc__heap);
}

static void require_end(pid_t pid, int expected)
{
    int status;

    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (status != expected)
        fprintf(stderr, "a child ended with status %#x\n", (unsigned)status);
    REQUIRE(status == expected);
}

static void *fork_many(void *unused)
{
    struct tree *tree = build_tree(3);

    for (size_t i = 0; i < effort(100); i++) {
        pid_t pid = fork();
        if (pid == 0) {
            be_child(tree);
            _exit(0);
        }
        if (i % 4 == 0)
            gc_collect();
        require_end(pid, 0);
    }
    consume_tree(tree);
    return unused;
}

static void fork_beside_others(void)
{
    die_after(300);
    begin_company(3);
    fork_many(NULL);
    end_thread(begin_thread(fork_many, NULL));
    end_company();
    gc_collect();
    gc__heap_audit(&gc__heap);
}

Test(thread_process, forks)
{
    check_child(fork_beside_others);
}

static void start_by_vfork(char *const *arguments)
{
    pid_t pid = vfork();

    if (pid == 0) {
        if (arguments != NULL)
            execve(arguments[0], arguments, NULL);
        _exit(7);
    }
    require_end(pid, arguments != NULL ? 0 : 7 << 8);
}

static void start_programs(void)
{
    char *arguments[] = {"/bin/true", NULL};
    size_t rounds = effort(60);
    pid_t pid;

    die_after(300);
    begin_company(3);
    for (size_t i = 0; i < rounds; i++) {
        start_by_vfork(NULL);
        start_by_vfork(arguments);
        REQUIRE(posix_spawn(&pid, arguments[0], NULL, NULL, arguments, NULL) == 0);
        require_end(pid, 0);
        if (i % 4 == 0)
            REQUIRE(system("exit 3") == 3 << 8);
        consume_tree(build_tree(2));
    }
    end_company();
    gc_collect();
}

Test(thread_process, programs_are_started)
{
    check_child(start_programs);
}

/* ---- Libraries ------------------------------------------------------------------------------------- */

static void open_and_close(void)
{
    size_t rounds = effort(300);

    die_after(300);
    begin_company(3);
    for (size_t i = 0; i < rounds; i++) {
        void *plugin = find_plugin();
        uintptr_t *(*words)(enum survive_plugin_place place);
        struct tree **place;

        REQUIRE(plugin != NULL);
        *(void **)&words = dlsym(plugin, "survive_plugin_words");
        for (unsigned j = 0; j < SURVIVE_PLUGIN_PLACES; j++) {
            place = (struct tree **)words((enum survive_plugin_place)j);
            *place = build_tree(1);
        }
        if (i % 4 == 0)
            collect_with_clear_stack();
        for (unsigned j = 0; j < SURVIVE_PLUGIN_PLACES; j++) {
            place = (struct tree **)words((enum survive_plugin_place)j);
            consume_tree(*place);
            *place = NULL;
        }
        REQUIRE(dlclose(plugin) == 0);
    }
    end_company();
    gc_collect();
}

Test(thread_process, libraries_come_and_go)
{
    check_child(open_and_close);
}

/* ---- Signals ------------------------------------------------------------------------------------------ */

static _Atomic size_t caught;
static _Atomic bool storm_ends;

static void catch_it(int signal)
{
    (void)signal;
    caught++;
}

static void *require_errno(void *unused)
{
    while (!storm_ends) {
        errno = 4711;
        for (unsigned i = 0; i < 50; i++) {
            gc_free(gc_malloc(thread_random_below(10000)));
            REQUIRE(gc_malloc(40) != NULL);
            REQUIRE(errno == 4711);
        }
    }
    return unused;
}

static int talking_pipe[2];

static void *read_words(void *unused)
{
    uint64_t word;

    for (uint64_t i = 0; !storm_ends; i++) {
        REQUIRE(read(talking_pipe[0], &word, sizeof word) == (ssize_t)sizeof word);
        REQUIRE(word == i);
    }
    return unused;
}

static void *sleep_and_poll(void *unused)
{
    struct pollfd nothing = {.fd = -1};

    while (!storm_ends) {
        sleep_ms(2);
        REQUIRE(poll(&nothing, 1, 2) == 0 || errno == EINTR);
    }
    return unused;
}

static void start_timer(__itimer_which_t timer, int signal)
{
    struct sigaction action = {.sa_handler = catch_it, .sa_flags = SA_RESTART};
    struct itimerval interval = {{0, 1000}, {0, 1000}};

    sigfillset(&action.sa_mask);
    REQUIRE(sigaction(signal, &action, NULL) == 0);
    REQUIRE(setitimer(timer, &interval, NULL) == 0);
}

static void allocate_in_a_storm(void)
{
    void *(*const functions[])(void *) = {require_errno, require_errno, read_words, sleep_and_poll};
    struct itimerval none = {{0, 0}, {0, 0}};
    pthread_t thread[4];
    uint64_t end_ms, word = 0;

    die_after(300);
    REQUIRE(pipe(talking_pipe) == 0);
    start_timer(ITIMER_REAL, SIGALRM);
    start_timer(ITIMER_PROF, SIGPROF);
    begin_company(1);
    for (unsigned i = 0; i < 4; i++)
        thread[i] = begin_thread(functions[i], NULL);
    end_ms = clock_ms() + effort(1500);
    for (; clock_ms() < end_ms || caught <= 100; word++) {
        sleep_ms(1);
        REQUIRE(write(talking_pipe[1], &word, sizeof word) == (ssize_t)sizeof word);
        gc_collect();
    }
    storm_ends = true;
    REQUIRE(write(talking_pipe[1], &word, sizeof word) == (ssize_t)sizeof word);
    for (unsigned i = 0; i < 4; i++)
        end_thread(thread[i]);
    end_company();
    setitimer(ITIMER_REAL, &none, NULL);
    setitimer(ITIMER_PROF, &none, NULL);
}

Test(thread_process, signals_storm)
{
    check_child(allocate_in_a_storm);
}

static _Atomic bool blocks, may_go;

static void *block_all_signals(void *mask_process)
{
    sigset_t all, old;

    sigfillset(&all);
    if (mask_process != NULL)
        REQUIRE(sigprocmask(SIG_SETMASK, &all, &old) == 0);
    else
        REQUIRE(pthread_sigmask(SIG_BLOCK, &all, &old) == 0);
    blocks = true;
    while (!may_go)
        ;
    REQUIRE(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
    return NULL;
}

static void stay_in_handler(int signal)
{
    (void)signal;
    blocks = true;
    while (!may_go)
        ;
}

static void *handle_for_long(void *unused)
{
    struct sigaction action = {.sa_handler = stay_in_handler};

    sigfillset(&action.sa_mask);
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_kill(pthread_self(), SIGUSR1);
    return unused;
}

/* Its maker blocks all signals by a call that is not interposed. */
static void *inherit_mask(void *unused)
{
    blocks = true;
    while (!may_go)
        ;
    return unused;
}

static void set_mask_by_system_call(int how)
{
    uint64_t all = ~UINT64_C(0);

    REQUIRE(syscall(SYS_rt_sigprocmask, how, &all, NULL, sizeof all) == 0);
}

static void collect_beside(void *(*function)(void *argument), void *argument, bool masked)
{
    pthread_t thread;

    blocks = may_go = false;
    if (masked)
        set_mask_by_system_call(SIG_BLOCK);
    thread = begin_thread(function, argument);
    if (masked)
        set_mask_by_system_call(SIG_UNBLOCK);
    while (!blocks)
        sched_yield();
    for (unsigned i = 0; i < 20; i++)
        gc_collect();
    may_go = true;
    end_thread(thread);
}

static void collect_beside_all(void)
{
    die_after(60);
    gc_init();
    collect_beside(block_all_signals, NULL, false);
    collect_beside(block_all_signals, &blocks, false);
    collect_beside(handle_for_long, NULL, false);
    collect_beside(inherit_mask, NULL, true);
}

Test(thread_process, who_blocks_all_signals_stops)
{
    check_child(collect_beside_all);
}
