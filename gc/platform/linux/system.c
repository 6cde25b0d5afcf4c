#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

uint64_t gc__os_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
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

void gc__write_message(const char *text)
{
    size_t left = strlen(text);
    int saved_errno = errno;

    while (left > 0) {
        long written = syscall(SYS_write, STDERR_FILENO, text, left);

        if (written < 0 && errno != EINTR)
            break;
        text += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
    errno = saved_errno;
}
