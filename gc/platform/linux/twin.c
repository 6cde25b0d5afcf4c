/* twin.c - a copy of the process: what fork(2) makes, but by the bare system call. No
 * handler of pthread_atfork is run, nothing of the C library is told, and the child has
 * no signal to send when it ends: so wait(2) does not find it, nor does a handler of
 * SIGCHLD hear of it. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/own.h"
#include "gc/platform/linux/real.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range /* Linux 5.9; headers may be older */
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

/* What the table of files is shared for at first: leave_files says why. A tracer that
 * follows forks is to follow those of the program alone; gdb takes what has no SIGCHLD
 * for a thread. */
#define FLAGS (CLONE_FILES | CLONE_UNTRACED)

/* In the copy: the process that it is of. */
static GC_OWN_STATE pid_t original;

void *gc__os_map_shared(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED)
        return NULL;
    gc__note_own((uintptr_t)memory, bytes);
    return memory;
}

/* ---- The copy's side -------------------------------------------------------------- */

static void close_from(unsigned first)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        for (unsigned file = first; file < limit.rlim_cur; file++)
            syscall(SYS_close, file);
}

/* A copy of the table would keep files open that the program closes: who waits for the end
 * of a pipe would wait for us. So the table is the program's, until with one call we have
 * another one, without them. There is a moment in which those with numbers below 64 are
 * open twice, as the kernel copies so many before it closes them; before Linux 5.9, all. If
 * the system refuses that, too, the table remains the program's, and nothing of it is
 * closed. Messages are for stderr. */
static void leave_files(void)
{
    bool left = syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_UNSHARE) == 0;

    if (!left && syscall(SYS_unshare, CLONE_FILES) == 0) {
        close_from(STDERR_FILENO + 1);
        left = true;
    }
    if (left) {
        syscall(SYS_close, STDIN_FILENO);
        syscall(SYS_close, STDOUT_FILENO);
    }
}

/* Where memory runs out, the copy is to be killed rather than the program. */
static void be_the_first_to_go(void)
{
    static const char most[] = "1000";
    long file = syscall(SYS_openat, AT_FDCWD, "/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

    if (file < 0)
        return;
    syscall(SYS_write, file, most, sizeof most - 1);
    syscall(SYS_close, file);
}

bool gc__os_copy_is_orphan(void)
{
    return getppid() != original;
}

static __attribute__((noreturn)) void be_copy(bool (*body)(void *argument), void *argument)
{
    leave_files();
    be_the_first_to_go();
    syscall(SYS_chdir, "/"); /* else the program's folder could not be unmounted */
    for (bool done = body(argument);;)
        syscall(SYS_exit_group, done ? 0 : 1);
}

/* ---- The original's ---------------------------------------------------------------- */

/* The mask is inherited: no handler of the program's ever runs in the copy. */
long gc__os_copy_process(bool (*body)(void *argument), void *argument)
{
    int saved_errno = errno;
    sigset_t all, before;
    long copy, refusal;

    original = getpid();
    sigfillset(&all);
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &all, &before);
    copy = syscall(SYS_clone, FLAGS, NULL, NULL, NULL, NULL);
    if (copy == 0)
        be_copy(body, argument);
    refusal = -errno;
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return copy > 0 ? copy : refusal;
}

static enum gc__copy_state state_of(long copy, int options)
{
    int saved_errno = errno, status = 0;
    long found;

    do
        found = syscall(SYS_wait4, copy, &status, options | __WALL, NULL);
    while (found < 0 && errno == EINTR);
    errno = saved_errno;
    if (found == 0)
        return GC_COPY_WORKS;
    return found == copy && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? GC_COPY_DONE : GC_COPY_FAILED;
}

enum gc__copy_state gc__os_copy_state(long copy)
{
    return state_of(copy, WNOHANG);
}

void gc__os_end_copy(long copy)
{
    int saved_errno = errno;

    if (state_of(copy, WNOHANG) == GC_COPY_WORKS) {
        kill((pid_t)copy, SIGKILL);
        state_of(copy, 0);
    }
    errno = saved_errno;
}
