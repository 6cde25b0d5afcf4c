#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t gc__os_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t gc__os_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

long gc__os_process_id(void)
{
    return (long)getpid();
}

long gc__os_thread_id(void)
{
    return (long)gettid();
}

uintptr_t gc__os_thread_handle(void)
{
    return (uintptr_t)pthread_self();
}

/* Not those that end and halt a program, nor the two that the C library keeps. */
bool gc__os_can_catch(int signal)
{
    return signal > 0 && signal <= SIGRTMAX && signal != SIGKILL && signal != SIGSTOP &&
           (signal < __SIGRTMIN || signal >= SIGRTMIN);
}

/* ---- Messages ------------------------------------------------------------------------ */

/* Where a file stands that is out of the way of programs that count theirs. */
#define FIRST_FILE 300

/* What stderr was when the heap started, and a file number of ours for it: many a
 * program closes it before the summary at exit. */
GC_OWN_STATE static struct {
    int file;
    struct stat status;
} kept = {.file = -1};

void gc__os_keep_stderr(void)
{
    int saved_errno = errno;

    kept.file = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, FIRST_FILE);
    if (kept.file >= 0 && fstat(kept.file, &kept.status) != 0)
        kept.file = -1;
    errno = saved_errno;
}

/* The program may have closed ours, too, and its number be another's. */
static int message_file(void)
{
    struct stat status;

    if (kept.file < 0 || fcntl(STDERR_FILENO, F_GETFD) >= 0 || fstat(kept.file, &status) != 0)
        return STDERR_FILENO;
    return status.st_dev == kept.status.st_dev && status.st_ino == kept.status.st_ino ? kept.file : STDERR_FILENO;
}

void gc__write_message(const char *text)
{
    size_t left = strlen(text);
    int saved_errno = errno, file = message_file();

    while (left > 0) {
        long written = syscall(SYS_write, file, text, left);

        if (written < 0 && errno != EINTR)
            break;
        text += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    errno = saved_errno;
}
