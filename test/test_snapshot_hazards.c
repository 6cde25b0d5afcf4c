/* test_snapshot_hazards.c - what may happen to the copy of a process that is being marked,
 * and to the process, meanwhile: it is refused or killed, somebody else waits for it, the
 * process ends, forks, or becomes another program. */
#define _GNU_SOURCE
#include "gc/base/tunables.h"
#include "gc/cycle/assist.h"
#include "test/stepped.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(hazards, .timeout = 300);

/* Some have marked everything before they are killed: then the cycle stands. */
Test(hazards, a_copy_that_is_killed)
{
    unsigned killed = 0;

    begin();
    while (killed < GC_CONCURRENT_MAX_FAILURES) {
        uint64_t finished = stats().concurrent_collections;

        step_to(PHASE_AWAIT);
        kill((pid_t)gc__heap.snapshot.copy, SIGKILL);
        make_moves(100);
        finish_cycle();
        killed = stats().concurrent_collections == finished ? killed + 1 : 0;
        cr_assert_eq(gc__heap.snapshot.failures, killed);
        litter(1 << 20);
        check();
        cr_assert_eq(begin_cycle(), killed < GC_CONCURRENT_MAX_FAILURES);
    }
    gc_collect();
    cr_assert_not(gc__snapshot_is_better(&gc__heap));
    check();
}

static const char *const stopped_instead =
    "large heaps are marked while the program is stopped: BROOM_NO_TRACKING is set, and the system does not let the "
    "process be copied (errno ";

static void fail_until_there_are_none(void)
{
    gc__heap.options.log = 1;
    for (unsigned i = 0; i < GC_CONCURRENT_MAX_FAILURES; i++) {
        REQUIRE(begin_cycle());
        while (step())
            make_moves(3);
    }
    REQUIRE(!begin_cycle());
    REQUIRE(!gc__heap.snapshot.possible);
    gc_collect();
    litter(1 << 20);
    check();
}

static void be_refused(void)
{
    struct rlimit none = {0, 0};

    gc__heap.background.started = true;
    if (geteuid() == 0)
        REQUIRE(setresuid(65534, 65534, 65534) == 0); /* root may have any number */
    REQUIRE(setrlimit(RLIMIT_NPROC, &none) == 0);
    fail_until_there_are_none();
}

Test(hazards, a_copy_that_is_refused)
{
    struct child child;

    be_the_collector_of_copies();
    build();
    child = child_run(be_refused);
    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(child_wrote(&child, stopped_instead), "%s", child.text);
}

/* A sandbox that lets threads be made, and no processes. */
static void be_in_a_sandbox(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof rules[0], .filter = rules};

    gc__heap.background.started = true;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fprintf(stderr, "no such filters");
        return;
    }
    fail_until_there_are_none();
}

Test(hazards, a_copy_that_a_filter_refuses)
{
    struct child child;

    be_the_collector_of_copies();
    build();
    child = child_run(be_in_a_sandbox);
    cr_assert(child_returned(&child), "%s", child.text);
    if (child_wrote(&child, "no such filters"))
        cr_skip_test("%s", child.text);
    cr_assert(child_wrote(&child, stopped_instead), "%s", child.text);
}

/* A pointer may leave that memory before the copy looks there, and not be anywhere else yet
 * in what the copy has. */
Test(hazards, roots_in_shared_memory)
{
    char *shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    be_the_collector_of_copies();
    build();
    cr_assert(shared != MAP_FAILED);
    gc_add_roots(shared + 64, shared + 128);
    cr_assert_not(begin_cycle());
    gc_remove_roots(shared, shared + (1 << 16));
    cr_assert(begin_cycle());
    finish_cycle();
    check();
}

/* By a program that waits for children of all kinds. */
Test(hazards, a_copy_that_is_waited_for_by_the_program)
{
    int status;

    begin();
    step_to(PHASE_AWAIT);
    cr_assert_eq(waitpid(-1, &status, __WALL), gc__heap.snapshot.copy);
    finish_cycle();
    cr_assert_eq(gc__heap.snapshot.failures, 1);
    litter(1 << 20);
    check();
}

static bool wait_to_be_an_orphan(void *unused)
{
    (void)unused;
    while (!gc__os_copy_is_orphan())
        usleep(1000);
    return true;
}

/* The copy is ours then, as we take all orphans. */
Test(hazards, a_copy_ends_after_the_process)
{
    long copy;
    int status, ends[2];
    pid_t process;

    cr_assert(pipe(ends) == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    process = fork();
    if (process == 0) {
        copy = gc__os_copy_process(wait_to_be_an_orphan, NULL);
        _exit(write(ends[1], &copy, sizeof copy) == sizeof copy ? 0 : 1);
    }
    cr_assert(waitpid(process, &status, 0) == process && status == 0);
    cr_assert_eq(read(ends[0], &copy, sizeof copy), sizeof copy);
    cr_assert_gt(copy, 0);
    cr_assert_eq(waitpid((pid_t)copy, &status, __WALL), copy);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void become_a_shell(void)
{
    gc__heap.background.started = true;
    REQUIRE(begin_cycle());
    step_to(PHASE_AWAIT);
    execl("/bin/sh", "sh", "-c", "echo became another >&2", (char *)NULL);
}

Test(hazards, an_exec_while_the_copy_is_at_work)
{
    struct child child;

    be_the_collector_of_copies();
    build();
    child = child_run(become_a_shell);
    cr_assert(child_returned(&child), "%s", child.text);
    cr_assert(child_wrote(&child, "became another"), "%s", child.text);
}

static int killed_before_others(long process)
{
    char path[64];
    FILE *file;
    int score = 0;

    snprintf(path, sizeof path, "/proc/%ld/oom_score_adj", process);
    file = fopen(path, "re");
    cr_assert(file != NULL && fscanf(file, "%d", &score) == 1);
    fclose(file);
    return score;
}

Test(hazards, the_copy_is_the_first_to_be_killed_for_want_of_memory)
{
    begin();
    step_to(PHASE_AWAIT);
    while (killed_before_others(gc__heap.snapshot.copy) !=
           1000) /* it begins with that, and its number is kept for us */
        usleep(1000);
    finish_cycle();
}

static void *assist_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    struct mutator *mutator = gc__enter_spilled(call, sp);

    (void)a, (void)b;
    gc__world_begin(mutator);
    gc__assist(&gc__heap, mutator, 1000);
    gc__world_end(&gc__heap.world, mutator);
    mutator->sp = 0;
    return NULL;
}

/* However much was granted before: nothing that it does helps the copy. */
Test(hazards, who_allocates_waits_for_a_copy_but_once)
{
    uint32_t before, after;

    begin();
    step_to(PHASE_AWAIT);
    kill((pid_t)gc__heap.snapshot.copy, SIGSTOP);
    gc__heap.pace.granted_bytes = 10 * gc__heap.pace.full_budget_bytes;
    before = atomic_load(&gc__heap.concurrent.steps);
    gc__os_spill_registers(assist_spilled, "assist", 0, 0);
    after = atomic_load(&gc__heap.concurrent.steps);
    if (gc__heap.snapshot.copy != 0) /* else it was ready before that */
        kill((pid_t)gc__heap.snapshot.copy, SIGCONT);
    cr_assert_eq(after - before, 1);
    finish_cycle();
    check();
}

static volatile sig_atomic_t told;

static void be_told(int signal)
{
    (void)signal;
    told++;
}

Test(hazards, the_program_does_not_find_the_copy)
{
    be_the_collector_of_copies();
    build();
    signal(SIGCHLD, be_told);
    cr_assert(begin_cycle());
    step_to(PHASE_AWAIT);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
    finish_cycle();
    cr_assert_eq(told, 0);
    cr_assert_eq(stats().concurrent_collections, 1);
}

/* It has none of the program's files. There is a moment in which it has those whose numbers
 * are below 64, and before Linux 5.9 all. */
static bool files_are_never_shared(void)
{
    return syscall(SYS_close_range, ~0u, ~0u, 0) == 0;
}

Test(hazards, a_pipe_is_closed_when_the_program_closes_it)
{
    int ends[2], low;
    char byte;

    begin();
    finish_cycle();
    for (unsigned i = 0; i < 10; i++) {
        cr_assert_eq(pipe2(ends, files_are_never_shared() ? O_NONBLOCK : 0), 0);
        low = ends[1];
        ends[1] = fcntl(low, F_DUPFD_CLOEXEC, 64);
        close(low);
        cr_assert(begin_cycle());
        step_to(PHASE_AWAIT);
        kill((pid_t)gc__heap.snapshot.copy, SIGCONT); /* it exists */
        close(ends[1]);
        cr_assert_eq(read(ends[0], &byte, 1), 0);
        close(ends[0]);
        finish_cycle();
    }
    check();
}

Test(hazards, a_fork_anywhere)
{
    begin();
    for (uint64_t cycle = 0; cycle < effort(30); cycle++) {
        uint64_t steps = random_next() % 40;
        int status;
        pid_t child;

        while (steps-- > 0 && step())
            make_moves(3);
        child = fork();
        if (child == 0) {
            REQUIRE(gc__heap.snapshot.copy == 0 && gc__heap.snapshot.dead == NULL);
            gc__heap.background.started = true;
            litter(1 << 20);
            make_moves(100);
            REQUIRE(begin_cycle());
            while (step())
                make_moves(3);
            REQUIRE(gc__heap.snapshot.failures == 0);
            gc_collect();
            litter(1 << 20);
            check();
            _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        finish_cycle();
        cr_assert_eq(gc__heap.snapshot.failures, 0); /* the child killed nobody */
        litter(1 << 20);
        check();
        cr_assert(begin_cycle());
    }
}
