#define _GNU_SOURCE
#include "gc/platform/linux/probe.h"

#include "gc/base/align.h"
#include "gc/platform/linux/raw.h"
#include "gc/platform/platform.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* mincore does not touch the page: below a stack that would make it grow. */
static bool all_is_mapped(uintptr_t start, size_t bytes, unsigned char *resident)
{
    return gc__raw_call(SYS_mincore, (long)start, (long)bytes, (long)resident, 0, 0, 0) == 0;
}

bool gc__page_is_mapped(uintptr_t page)
{
    unsigned char resident;

    return all_is_mapped(page, gc__os_page_bytes(), &resident);
}

/* Asks the kernel to read a signal set there for an operation that does not
 * exist: it fails with EFAULT if it cannot, with EINVAL if it could. */
bool gc__page_is_readable(uintptr_t page)
{
    enum { NO_SUCH_OPERATION = -1, KERNEL_SIGSET_BYTES = 8 };

    return page != 0 && /* by which the call means none */
           gc__raw_call(SYS_rt_sigprocmask, NO_SUCH_OPERATION, (long)page, 0, KERNEL_SIGSET_BYTES, 0, 0) != -EFAULT;
}

bool gc__calls_are_filtered(void)
{
    return prctl(PR_GET_SECCOMP) != 0;
}

size_t gc__os_copy(void *to, uintptr_t from, size_t bytes)
{
    struct iovec local = {to, bytes}, remote = {(void *)from, bytes};
    int saved_errno = errno;
    bool is_allowed = !gc__calls_are_filtered();
    ssize_t copied = is_allowed ? process_vm_readv(getpid(), &local, 1, &remote, 1, 0) : -1;

    if (copied < 0 && (!is_allowed || errno != EFAULT)) { /* it may be gone after all */
        copied = (ssize_t)(gc__min(gc__readable_end(from, from + bytes), from + bytes) - from);
        copied = gc__page_is_readable(gc__align_down(from, gc__os_page_bytes())) ? copied : 0;
        memcpy(to, (const void *)from, (size_t)copied);
    }
    errno = saved_errno;
    return copied > 0 ? (size_t)copied : 0;
}

uintptr_t gc__readable_end(uintptr_t address, uintptr_t limit)
{
    size_t page = gc__os_page_bytes();
    uintptr_t end = gc__align_up(address + 1, page);

    while (end < limit && gc__page_is_readable(end))
        end += page;
    return end;
}

/* Some hundred pages a call. */
bool gc__all_is_mapped(uintptr_t start, uintptr_t end)
{
    unsigned char resident[256];
    size_t step = sizeof resident * gc__os_page_bytes();
    bool mapped = true;

    for (start = gc__align_down(start, gc__os_page_bytes()); mapped && start < end; start += step)
        mapped = all_is_mapped(start, gc__min(end - start, step), resident);
    return mapped;
}
