/* Processes that become other programs, while their threads collect. */
#define _GNU_SOURCE
#include "test/thread_work.h"

#include "gc/base/tunables.h"
#include "gc/platform/linux/exec.h"
#include "gc/platform/platform.h"

#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>

static _Atomic bool ends;

static void *collect_all_the_time(void *unused)
{
    while (!ends)
        gc_collect();
    return unused;
}

static int status_of(pid_t pid)
{
    int status;

    REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

/* ---- The new program ----------------------------------------------------------------------- */

/* By each of the calls. */
static void become_true(unsigned number)
{
    char *arguments[] = {(char *)"true", NULL};

    switch (number % 9) {
    case 0: execl("/bin/true", "true", (char *)NULL); break;
    case 1: execle("/bin/true", "true", (char *)NULL, environ); break;
    case 2: execlp("true", "true", (char *)NULL); break;
    case 3: execv("/bin/true", arguments); break;
    case 4: execve("/bin/true", arguments, environ); break;
    case 5: execvp("true", arguments); break;
    case 6: execvpe("true", arguments, environ); break;
    case 7: execveat(open("/bin", O_PATH | O_DIRECTORY), "true", arguments, environ, 0); break;
    case 8: fexecve(open("/bin/true", O_RDONLY | O_CLOEXEC), arguments, environ); break;
    }
    _exit(9);
}

static void *become_true_in_thread(void *number)
{
    become_true((unsigned)(uintptr_t)number);
    return NULL;
}

static void collect_and_become_true(unsigned number)
{
    die_after(60);
    for (unsigned i = 0; i < 2; i++)
        begin_thread(collect_all_the_time, NULL);
    usleep(1000 + number % 3 * 1000); /* a stop may end that */
    if (number % 2 == 0)
        become_true(number);
    end_thread(begin_thread(become_true_in_thread, (void *)(uintptr_t)number));
}

static void become_others(void)
{
    size_t rounds = effort(180);
    int status;

    die_after(300);
    gc_init();
    for (unsigned i = 0; i < rounds; i++) {
        pid_t pid = fork();

        if (pid == 0)
            collect_and_become_true(i);
        status = status_of(pid);
        if (status != 0)
            fprintf(stderr, "round %u ended with status %#x\n", i, (unsigned)status);
    }
}

Test(exec, beside_collections)
{
    check_child(become_others);
}

/* ---- A signal that is pending ----------------------------------------------------------------- */

static bool is_pending(void)
{
    sigset_t pending;

    REQUIRE(sigpending(&pending) == 0);
    return sigismember(&pending, gc__os_stop_signal()) == 1;
}

/* As in a handler that blocks all by a raw system call. */
static void make_pending(void)
{
    uint64_t ours = UINT64_C(1) << (gc__os_stop_signal() - 1);

    REQUIRE(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &ours, NULL, sizeof ours) == 0);
    for (unsigned i = 0; i < 3; i++) /* a real-time signal is queued */
        REQUIRE(gc__os_stop_thread(gc__os_process_id(), gc__os_thread_id()) == 0);
    REQUIRE(is_pending());
}

static void look_for_pending(void)
{
    gc_init();
    make_pending();
    execlp("grep", "grep", "-q", "^SigPnd:\t0*$", "/proc/self/status", (char *)NULL);
}

Test(exec, leaves_none_pending)
{
    check_child(look_for_pending);
}

static void fail_with_pending(void)
{
    gc_init();
    make_pending();
    errno = 0;
    REQUIRE(execl("/no such program", "", (char *)NULL) == -1 && errno == ENOENT);
    REQUIRE(is_pending());
}

Test(exec, gives_a_pending_one_back_where_it_fails)
{
    check_child(fail_with_pending);
}

/* ---- Who is in exec ------------------------------------------------------------------------------ */

static int stop_self(void)
{
    return gc__os_stop_thread(gc__os_process_id(), gc__os_thread_id());
}

static void be_in_exec(void)
{
    struct gc__exec_hold outer, inner;

    gc_init();
    REQUIRE(stop_self() == 0);
    outer = gc__exec_begin();
    REQUIRE(outer.is_held && stop_self() == EAGAIN);
    inner = gc__exec_begin(); /* in a handler */
    gc__exec_end(inner);
    REQUIRE(stop_self() == EAGAIN);
    gc__exec_end(outer);
    REQUIRE(stop_self() == 0);
}

Test(exec, nobody_is_sent_a_signal_meanwhile)
{
    check_child(be_in_exec);
}

static void leave_exec_by_a_jump(void)
{
    struct gc__exec_hold late;

    gc_init();
    late = gc__exec_begin();
    REQUIRE(stop_self() == EAGAIN);
    sleep_ms(GC_EXEC_NS / 1000000 + 1);
    REQUIRE(stop_self() == 0);
    gc__exec_end(late); /* it had only taken long */
    REQUIRE(stop_self() == 0 && gc__exec_begin().is_held && stop_self() == EAGAIN);
}

Test(exec, is_not_waited_for_for_ever)
{
    check_child(leave_exec_by_a_jump);
}

/* The child of a vfork does not count in its parent's memory; that of a fork is a process
 * of its own, whoever was in exec in the parent. */
static void have_children(void)
{
    pid_t pid;

    gc_init();
    pid = vfork();
    if (pid == 0)
        _exit(gc__exec_begin().is_held ? 1 : 0);
    REQUIRE(status_of(pid) == 0 && stop_self() == 0);
    REQUIRE(gc__exec_begin().is_held && stop_self() == EAGAIN);
    pid = fork();
    if (pid == 0)
        _exit(stop_self() == 0 && gc__exec_begin().is_held && stop_self() == EAGAIN ? 0 : 1);
    REQUIRE(status_of(pid) == 0);
}

Test(exec, children_are_not_in_it)
{
    check_child(have_children);
}

/* ---- Where it fails --------------------------------------------------------------------------------- */

static _Atomic unsigned collections;

static void *count_collections(void *unused)
{
    while (!ends) {
        gc_collect();
        collections++;
    }
    return unused;
}

static void fail_to_become_another(void)
{
    int saved_errno = errno;

    errno = 0;
    REQUIRE(execl("/no such program", "", (char *)NULL) == -1 && errno == ENOENT);
    errno = saved_errno;
}

/* A collector that is refused a signal asks again ever more seldom: if nobody told it
 * better, each collection would take the better part of a second. */
static void fail_all_the_time(void)
{
    pthread_t collector;

    die_after(30);
    gc_init();
    collector = begin_thread(count_collections, NULL);
    while (collections < 100)
        fail_to_become_another();
    ends = true;
    end_thread(collector);
}

Test(exec, failing_all_the_time_does_not_keep_collections_off)
{
    check_child(fail_all_the_time);
}

static _Atomic unsigned caught;

static void fail_in_handler(int signal)
{
    (void)signal;
    fail_to_become_another();
    caught++;
}

static void fail_in_handlers(void)
{
    struct sigaction action = {.sa_handler = fail_in_handler, .sa_flags = SA_RESTART};
    struct itimerval interval = {{0, 500}, {0, 500}};

    die_after(300);
    begin_company(2);
    REQUIRE(sigaction(SIGALRM, &action, NULL) == 0 && setitimer(ITIMER_REAL, &interval, NULL) == 0);
    while (caught < effort(1000)) {
        consume_tree(build_tree(2));
        gc_collect();
    }
    interval = (struct itimerval){{0, 0}, {0, 0}};
    REQUIRE(setitimer(ITIMER_REAL, &interval, NULL) == 0);
    end_company();
}

Test(exec, fails_in_handlers)
{
    check_child(fail_in_handlers);
}

/* ---- A name that is looked for --------------------------------------------------------------------- */

typedef int searching_call(const char *file, char *const *arguments, char *const *environment);

static void write_file(const char *path, const char *text, mode_t mode)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    REQUIRE(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
    REQUIRE(fchmod(file, mode) == 0 && close(file) == 0);
}

/* What becomes of the call: an error's number, or what the program ends with. */
static int outcome(searching_call *call, const char *folders, const char *file)
{
    char *arguments[] = {(char *)"name", (char *)"first", (char *)"second", NULL};
    pid_t pid = fork();

    if (pid == 0) {
        if (folders != NULL)
            setenv("PATH", folders, 1);
        else
            unsetenv("PATH");
        call(file, arguments, environ);
        _exit(errno);
    }
    return status_of(pid);
}

static char folder[] = "./broom-exec-XXXXXX";

static void make_folders(void)
{
    REQUIRE(mkdtemp(folder) != NULL && chdir(folder) == 0);
    REQUIRE(mkdir("a", 0700) == 0 && mkdir("b", 0700) == 0 && mkdir("b/folder", 0700) == 0);
    write_file("plain", "", 0600);
    write_file("here", "exit 181", 0700);
    write_file("a/denied", "exit 182", 0600);
    write_file("a/both", "exit 183", 0600);
    write_file("b/both", "test $# = 2 && test $2 = second && exit 184", 0700);
    write_file("a/loader", "#!/no such interpreter\n", 0700);
    write_file("b/loader", "exit 185", 0700);
    write_file("b/script.sh", "#!/bin/sh\nexit 186", 0700);
    write_file("b/broken", "\177ELF 2>&-", 0700);
}

static void remove_folders(void)
{
    char command[sizeof folder + 20];

    snprintf(command, sizeof command, "rm -r %s", folder);
    REQUIRE(chdir("..") == 0 && system(command) == 0);
}

/* Wherever the C library finds it, and with its errors. */
static void compare_searches(void)
{
    static const char *const folders[] = {"a:b", "b:a",     "a",         ":a",      "a:",       "a::b",
                                          "",    "plain:a", "nothing:b", "a:plain", "/bin:a:b", NULL};
    static const char *const names[] = {"denied", "both",   "loader", "script.sh", "folder", "here",    "broken",
                                        "a/both", "b/both", "./here", "",          "true",   "nowhere", "plain"};
    searching_call *theirs;

    *(void **)&theirs = dlsym(RTLD_NEXT, "execvpe");
    REQUIRE(theirs != NULL && theirs != execvpe);
    make_folders();
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        for (size_t j = 0; j < sizeof names / sizeof names[0]; j++) {
            int expected = outcome(theirs, folders[i], names[j]), found = outcome(execvpe, folders[i], names[j]);

            if (found != expected)
                fprintf(stderr, "'%s' in '%s': %#x, not %#x\n", names[j], folders[i] != NULL ? folders[i] : "(null)",
                        (unsigned)found, (unsigned)expected);
        }
    remove_folders();
}

Test(exec, looks_for_programs_as_the_c_library_does)
{
    check_child(compare_searches);
}

static void look_for_long_names(void)
{
    static char name[PATH_MAX + 10], path[2 * PATH_MAX];
    searching_call *theirs;

    *(void **)&theirs = dlsym(RTLD_NEXT, "execvpe");
    for (size_t length = NAME_MAX - 1; length <= NAME_MAX + 1; length++) {
        memset(name, 'n', length);
        REQUIRE(outcome(execvpe, "/bin", name) == outcome(theirs, "/bin", name));
    }
    memset(path, 'p', sizeof path - 20);
    strcpy(path + sizeof path - 20, ":/bin");
    REQUIRE(outcome(execvpe, path, "true") == 0);
    path[PATH_MAX - 1] = ':'; /* that one is not too long, but with a name behind it */
    REQUIRE(outcome(execvpe, path, "true") == outcome(theirs, path, "true"));
}

Test(exec, passes_over_names_that_are_too_long)
{
    check_child(look_for_long_names);
}
