/* test_helper.c - how many CPUs there are, and threads that help. */
#define _GNU_SOURCE
#include "gc/base/tunables.h"
#include "gc/platform/linux/cgroup.h"
#include "gc/platform/platform.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* ---- CPUs ---------------------------------------------------------------------------- */

TestSuite(cpus);

Test(cpus, are_at_least_one_and_no_more_than_the_affinity_allows)
{
    cpu_set_t set, one;
    size_t cpu = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof set, &set), 0);
    errno = 42;
    cr_assert_geq(gc__os_cpus(), 1);
    cr_assert_eq(errno, 42);
    cr_assert_leq(gc__os_cpus(), (unsigned)CPU_COUNT(&set));
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(gc__os_cpus(), 1);
}

static char root[] = "test_helper.XXXXXX";

static void make_root(void)
{
    cr_assert_not_null(mkdtemp(root));
}

/* `path` and its folders, below the root. */
static void put(const char *path, const char *text)
{
    char whole[512];
    FILE *file;

    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    file = fopen(whole, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    fclose(file);
}

static void drop_root(void)
{
    char command[512];

    snprintf(command, sizeof command, "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(quota, .init = make_root, .fini = drop_root);

Test(quota, is_none_where_nothing_says_so)
{
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
    put("/proc/self/cgroup", "0::/\n");
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
    put("/sys/fs/cgroup/cpu.max", "nonsense");
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
}

Test(quota, is_rounded_up)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    cr_assert_eq(gc__quota_cpus(root), 2);
    put("/sys/fs/cgroup/cpu.max", "200001 100000\n");
    cr_assert_eq(gc__quota_cpus(root), 3);
    put("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    cr_assert_eq(gc__quota_cpus(root), 1);
}

Test(quota, is_that_of_the_tightest_group)
{
    put("/proc/self/cgroup", "0::/a/b/c\n");
    put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("/sys/fs/cgroup/a/b/cpu.max", "300000 100000\n");
    put("/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
    cr_assert_eq(gc__quota_cpus(root), 3);
    put("/sys/fs/cgroup/a/cpu.max", "100000 50000\n");
    cr_assert_eq(gc__quota_cpus(root), 2);
}

Test(quota, is_found_where_the_group_s_path_is_the_host_s)
{
    put("/proc/self/cgroup", "0::/not/here\n");
    put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
    cr_assert_eq(gc__quota_cpus(root), 4);
}

Test(quota, of_the_first_version_is_in_two_files)
{
    put("/proc/self/cgroup", "12:memory:/a\n4:cpuset:/b\n3:cpu,cpuacct:/a/b\n1:name=systemd:/\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    cr_assert_eq(gc__quota_cpus(root), 3);
    put("/proc/self/cgroup", "3:cpuacct,cpu:/a");
    cr_assert_eq(gc__quota_cpus(root), 3);
    put("/proc/self/cgroup", "3:cpuacct:/a");
    cr_assert_eq(gc__quota_cpus(root), UINT_MAX);
}

/* ---- Threads ------------------------------------------------------------------------- */

static struct {
    _Atomic uint32_t done;
    long thread_id;
    bool blocked;
} told;

static void tell(void *argument)
{
    sigset_t mask;

    cr_assert_eq(argument, &told);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    told.blocked = sigismember(&mask, SIGINT) && sigismember(&mask, SIGUSR1) && sigismember(&mask, SIGPROF) &&
                   sigismember(&mask, SIGRTMIN + 3);
    told.thread_id = gc__os_thread_id();
    told.done = 1;
    gc__os_wake(&told.done, 1);
}

/* As the C library does when a thread is over: it asks the kernel, not itself. */
static void block_in_kernel(uint64_t signals)
{
    cr_assert_eq(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &signals, NULL, sizeof signals), 0);
}

static struct gc__thread_look look_with(uint64_t blocked)
{
    struct gc__thread_look look;

    block_in_kernel(blocked);
    look = gc__os_look_at_thread(gc__os_thread_id());
    block_in_kernel(0);
    return look;
}

/* What sigfillset makes leaves out the two that are the C library's. */
Test(signals, only_the_c_library_blocks_all)
{
    struct gc__thread_look none = look_with(0);
    struct gc__thread_look program = look_with(~(UINT64_C(3) << 31));
    struct gc__thread_look library = look_with(~(UINT64_C(1) << 32)); /* at the end of a thread */

    cr_assert(none.state == 'R' && program.state == 'R' && library.state == 'R');
    cr_assert(none.cpu_ns > 0 && none.cpu_ns < program.cpu_ns && program.cpu_ns < library.cpu_ns);
    cr_assert_not(gc__os_blocks_stop_signal(none));
    cr_assert(gc__os_blocks_stop_signal(program) && gc__os_blocks_stop_signal(library));
    cr_assert_not(gc__os_sleeps_inside_library(library), "it runs");
    none.state = program.state = library.state = 'S';
    cr_assert(gc__os_sleeps_inside_library(library));
    cr_assert_not(gc__os_sleeps_inside_library(program) || gc__os_sleeps_inside_library(none));
}

static enum gc__hindrance hindrance(bool blocks_before, bool blocks_now, const char states[2], uint64_t had_ns)
{
    uint64_t all = ~UINT64_C(0);
    struct gc__thread_look before = {blocks_before ? all : 0, 1000, states[0]};
    struct gc__thread_look now = {blocks_now ? all : 0, 1000 + had_ns, states[1]};

    return gc__os_hindrance(before, now);
}

/* Whoever wants for a CPU may be anywhere, also in our handler. */
Test(signals, nothing_keeps_a_thread_that_starves)
{
    cr_assert_eq(hindrance(false, false, "RR", 0), GC_HINDRANCE_NONE);
    cr_assert_eq(hindrance(true, true, "RR", 0), GC_HINDRANCE_NONE);
    cr_assert_eq(hindrance(true, true, "RR", GC_STOP_MASKED_CPU_NS - 1), GC_HINDRANCE_NONE);
    cr_assert_eq(hindrance(false, true, "RR", 1000000000), GC_HINDRANCE_NONE);
    cr_assert_eq(hindrance(true, false, "RR", 1000000000), GC_HINDRANCE_NONE);
    cr_assert_eq(hindrance(true, true, "SS", 5000), GC_HINDRANCE_NONE, "it was awake");
    cr_assert_eq(hindrance(false, false, "DD", 5000), GC_HINDRANCE_NONE, "so was that");
    cr_assert_eq(hindrance(false, false, "SS", 0), GC_HINDRANCE_NONE, "a signal would wake it");
    cr_assert_eq(hindrance(false, false, "RD", 0), GC_HINDRANCE_NONE);
}

Test(signals, what_keeps_a_thread)
{
    struct gc__thread_look nothing = {0};

    cr_assert_eq(hindrance(true, true, "RR", GC_STOP_MASKED_CPU_NS), GC_HINDRANCE_MASK);
    cr_assert_eq(hindrance(true, true, "SS", 0), GC_HINDRANCE_MASK);
    cr_assert_eq(hindrance(true, true, "DD", 0), GC_HINDRANCE_MASK);
    cr_assert_eq(hindrance(false, false, "DD", 0), GC_HINDRANCE_DEEP);
    cr_assert_eq(hindrance(false, false, "tt", 0), GC_HINDRANCE_HALT);
    cr_assert_eq(hindrance(false, false, "TT", 0), GC_HINDRANCE_HALT);
    cr_assert_eq(gc__os_hindrance(nothing, nothing), GC_HINDRANCE_NONE, "the system does not tell");
}

Test(helper, runs_in_a_thread_of_its_own_with_signals_blocked)
{
    sigset_t before, after;
    long thread_id = 0;

    pthread_sigmask(SIG_SETMASK, NULL, &before);
    errno = 42;
    cr_assert(gc__os_start_helper(tell, &told, &thread_id));
    cr_assert_eq(errno, 42);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal <= SIGRTMAX; signal++)
        cr_assert_eq(sigismember(&before, signal), sigismember(&after, signal), "the starter's mask is as it was");
    while (told.done == 0)
        gc__os_wait(&told.done, 0, UINT64_MAX);
    cr_assert_eq(told.thread_id, thread_id);
    cr_assert_neq(thread_id, gc__os_thread_id());
    cr_assert(told.blocked);
}

/* Nearly as much as the frames of a helper have. */
static _Thread_local volatile char large[236 << 10];

static void use_stack(void *argument)
{
    volatile char frame[32 << 10];

    memset((char *)frame, 1, sizeof frame);
    large[0] = frame[0];
    tell(argument);
}

Test(helper, has_room_for_what_is_thread_local)
{
    long thread_id = 0;

    gc__os_look_up_names();
    cr_assert(gc__os_start_helper(use_stack, &told, &thread_id));
    while (told.done == 0)
        gc__os_wait(&told.done, 0, UINT64_MAX);
    cr_assert_eq(told.thread_id, thread_id);
}

/* ---- Memory -------------------------------------------------------------------------- */

TestSuite(memory_quota, .init = make_root, .fini = drop_root);

Test(memory_quota, is_none_where_nothing_says_so)
{
    cr_assert_eq(gc__quota_memory(root), SIZE_MAX);
    put("/proc/self/cgroup", "0::/\n");
    cr_assert_eq(gc__quota_memory(root), SIZE_MAX);
    put("/sys/fs/cgroup/memory.max", "max\n");
    cr_assert_eq(gc__quota_memory(root), SIZE_MAX);
}

Test(memory_quota, is_that_of_the_tightest_group)
{
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "1073741824\n");
    cr_assert_eq(gc__quota_memory(root), 1073741824);
    put("/sys/fs/cgroup/a/memory.max", "536870912\n");
    cr_assert_eq(gc__quota_memory(root), 536870912);
    put("/sys/fs/cgroup/a/b/memory.high", "268435456\n");
    cr_assert_eq(gc__quota_memory(root), 268435456);
}

Test(memory_quota, of_the_first_version_has_a_number_for_none)
{
    put("/proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/\n");
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");
    cr_assert_eq(gc__quota_memory(root), SIZE_MAX);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");
    cr_assert_eq(gc__quota_memory(root), 104857600);
}
