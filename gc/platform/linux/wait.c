#define _GNU_SOURCE
#include "gc/platform/linux/raw.h"
#include "gc/platform/platform.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

/* Not through the C library: its calls may be points of cancellation. */
void gc__os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns)
{
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};

    gc__raw_call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, timeout_ns == UINT64_MAX ? 0 : (long)&timeout, 0, 0);
}

void gc__os_wake(_Atomic uint32_t *word, uint32_t count)
{
    gc__raw_call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, count < INT32_MAX ? count : INT32_MAX, 0, 0, 0);
}
