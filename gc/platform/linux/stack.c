#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc: the stack pointer at the program's entry. */
extern void *__libc_stack_end;

/* The kernel puts the program's file name at the very end of the initial
 * stack, behind it only one zero word. Needs no /proc. */
static uintptr_t initial_stack_end(void)
{
    const char *file_name = (const char *)getauxval(AT_EXECFN);
    uintptr_t end = (uintptr_t)__libc_stack_end;

    if (file_name != NULL && (uintptr_t)file_name > end)
        end = (uintptr_t)file_name + strlen(file_name) + 1;
    return gc__align_up(end, gc__os_page_bytes());
}

struct gc__range gc__os_initial_stack(void)
{
    struct gc__range stack = {0, initial_stack_end()};
    struct rlimit limit;
    uintptr_t bytes = (uintptr_t)1 << 30; /* a stack without limit */

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < bytes)
        bytes = limit.rlim_cur;
    stack.start = stack.end - gc__align_up(bytes, gc__os_page_bytes());
    return stack;
}

/* Does not touch the page: below a stack that would make it grow. */
static bool is_mapped(uintptr_t page)
{
    unsigned char resident;

    return mincore((void *)page, gc__os_page_bytes(), &resident) == 0;
}

/* Asks the kernel to read a signal set there for an operation that does not
 * exist: it fails with EFAULT if it cannot, with EINVAL if it could. */
static bool is_readable(uintptr_t page)
{
    enum { NO_SUCH_OPERATION = -1, KERNEL_SIGSET_BYTES = 8 };

    return syscall(SYS_rt_sigprocmask, NO_SUCH_OPERATION, page, NULL, KERNEL_SIGSET_BYTES) == 0 || errno != EFAULT;
}

/* The first address behind the readable memory that `address` stands in; at
 * most GC_FOREIGN_STACK_BYTES on. */
static uintptr_t readable_end(uintptr_t address)
{
    size_t page = gc__os_page_bytes();
    uintptr_t end = gc__align_up(address + 1, page);
    uintptr_t limit = end + GC_FOREIGN_STACK_BYTES;
    int saved_errno = errno;

    while (end < limit && is_readable(end))
        end += page;
    errno = saved_errno;
    return end;
}

/* How far down `stack` may reach. The limit of the initial one may have been
 * raised since, or be none: there only what is mapped decides. */
static uintptr_t lowest(struct gc__range stack)
{
    return stack.end == initial_stack_end() ? gc__os_page_bytes() : stack.start;
}

/* Pages that are mapped are not touched if they are not readable either. */
struct gc__range gc__os_whole_stack(struct gc__range stack)
{
    size_t page = gc__os_page_bytes();
    uintptr_t start = stack.end;
    int saved_errno = errno;

    while (start > lowest(stack) && is_mapped(start - page) && is_readable(start - page))
        start -= page;
    errno = saved_errno;
    return (struct gc__range){start, stack.end};
}

/* Whether all of [start, end) is mapped, some hundred pages a call. */
static bool all_is_mapped(uintptr_t start, uintptr_t end)
{
    unsigned char resident[256];
    size_t step = sizeof resident * gc__os_page_bytes();
    int saved_errno = errno;
    bool mapped = true;

    for (start = gc__align_down(start, gc__os_page_bytes()); mapped && start < end; start += step)
        mapped = mincore((void *)start, end - start < step ? end - start : step, resident) == 0;
    errno = saved_errno;
    return mapped;
}

/* The limit of a stack says how far it may grow, not that nothing else lies
 * there: another stack does not hang together with it. */
static bool is_on_stack(uintptr_t sp, struct gc__range stack)
{
    return sp >= lowest(stack) && sp < stack.end && all_is_mapped(sp, stack.end);
}

/* The alternate stack, if `sp` stands in it: it may itself lie in another. */
static bool on_alternate_stack(uintptr_t sp, struct gc__range *in_use)
{
    stack_t alternate;
    uintptr_t start;

    if (sigaltstack(NULL, &alternate) != 0 || (alternate.ss_flags & SS_DISABLE) != 0)
        return false;
    start = (uintptr_t)alternate.ss_sp;
    *in_use = (struct gc__range){sp, start + alternate.ss_size};
    return sp >= start && sp < in_use->end;
}

unsigned gc__os_stacks_in_use(uintptr_t sp, struct gc__range normal, struct gc__range in_use[2])
{
    bool alternate = on_alternate_stack(sp, &in_use[0]);

    if (!alternate && is_on_stack(sp, normal)) {
        in_use[0] = (struct gc__range){sp, normal.end};
        return 1;
    }
    if (!alternate) /* a coroutine's stack, say */
        in_use[0] = (struct gc__range){sp, readable_end(sp)};
    in_use[1] = gc__os_whole_stack(normal);
    return 2;
}

/* ---- The calling thread's stack ------------------------------------------------- */

struct gc__range gc__os_own_stack(void)
{
    struct gc__range stack = {0, 0};
    pthread_attr_t attributes;
    void *start;
    size_t bytes;

    if (gettid() == getpid() || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return gc__os_initial_stack();
    if (pthread_attr_getstack(&attributes, &start, &bytes) == 0)
        stack = (struct gc__range){(uintptr_t)start, (uintptr_t)start + bytes};
    pthread_attr_destroy(&attributes);
    return stack;
}
