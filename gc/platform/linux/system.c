#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include <time.h>
#include <unistd.h>

uint64_t gc__os_clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

long gc__os_thread_id(void)
{
    return (long)gettid();
}
