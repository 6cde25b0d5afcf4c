/* twin.c - a copy of the process: what fork(2) makes, but by the bare system call. No
 * handler of pthread_atfork is run, nothing of the C library is told, and the child has
 * no signal to send when it ends: so wait(2) does not find it, nor does a handler of
 * SIGCHLD hear of it. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/own.h"
#include "gc/platform/linux/real.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_close_range /* Linux 5.9; headers may be older */
#define SYS_close_range 436
#endif

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

    if (syscall(SYS_close_range, first, ~0u, 0) == 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    for (unsigned file = first; file < limit.rlim_cur; file++)
        syscall(SYS_close, file);
}

/* Else a pipe or a socket that the program closes would stay open until the copy ends.
 * Messages are for stderr. */
static void close_files(void)
{
    syscall(SYS_close, STDIN_FILENO);
    syscall(SYS_close, STDOUT_FILENO);
    close_from(STDERR_FILENO + 1);
}

bool gc__os_copy_is_orphan(void)
{
    return getppid() != original;
}

static __attribute__((noreturn)) void be_copy(bool (*body)(void *argument), void *argument)
{
    close_files();
    for (bool done = body(argument);;)
        syscall(SYS_exit_group, done ? 0 : 1);
}

/* ---- The original's ---------------------------------------------------------------- */

/* The mask is inherited: no handler of the program's ever runs in the copy. */
long gc__os_copy_process(bool (*body)(void *argument), void *argument)
{
    int saved_errno = errno;
    sigset_t all, before;
    long copy;

    original = getpid();
    sigfillset(&all);
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &all, &before);
    copy = syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    if (copy == 0)
        be_copy(body, argument);
    GC_REAL(pthread_sigmask)(SIG_SETMASK, &before, NULL);
    errno = saved_errno;
    return copy > 0 ? copy : 0;
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
