#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/platform/linux/file.h"
#include "gc/platform/linux/own.h"
#include "gc/platform/linux/writes.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP /* Linux 5.7; headers may be older */
#define MREMAP_DONTUNMAP 4
#endif

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; headers may be older */
#define MADV_POPULATE_WRITE 23
#endif

/* A program and its libraries, where /proc does not say. */
#define ASSUMED_USED_BYTES ((size_t)32 << 20)

size_t gc__os_page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Inaccessible memory is not accounted, so this also passes where overcommit
 * is forbidden (vm.overcommit_memory = 2), which ignores MAP_NORESERVE. */
static void *map_inaccessible(uintptr_t at, size_t bytes)
{
    void *start = mmap((void *)at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return start == MAP_FAILED ? NULL : start;
}

void *gc__os_reserve(size_t bytes, size_t alignment, uintptr_t hint)
{
    size_t slack = alignment > gc__os_page_bytes() ? alignment : 0;
    uintptr_t start, aligned;

    if (bytes > SIZE_MAX - slack)
        return NULL;
    start = (uintptr_t)map_inaccessible(hint, bytes + slack);
    if (start == 0)
        return NULL;
    aligned = gc__align_up(start, alignment);
    if (aligned > start)
        munmap((void *)start, aligned - start);
    if (start + slack > aligned)
        munmap((void *)(aligned + bytes), start + slack - aligned);
    gc__note_own(aligned, bytes);
    return (void *)aligned;
}

void gc__os_release(void *start, size_t bytes)
{
    gc__forget_own((uintptr_t)start);
    munmap(start, bytes);
}

bool gc__os_commit(void *start, size_t bytes)
{
    return mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0;
}

int gc__os_protect(void *start, size_t bytes, int rights)
{
    return (int)syscall(SYS_mprotect, start, bytes, rights);
}

int gc__os_protect_by_key(void *start, size_t bytes, int rights, int key)
{
    return (int)syscall(SYS_pkey_mprotect, start, bytes, rights, key);
}

bool gc__os_rights_let_write(int rights)
{
    return (rights & PROT_WRITE) != 0;
}

int gc__os_rights_to_read(int rights)
{
    return rights | PROT_READ;
}

int gc__os_rights_to_write(void)
{
    return PROT_READ | PROT_WRITE;
}

bool gc__os_show(void *start, size_t bytes)
{
    return mprotect(start, bytes, PROT_READ) == 0;
}

void *gc__os_map(size_t bytes)
{
    void *memory = gc__os_reserve(bytes, gc__os_page_bytes(), 0);

    if (memory == NULL || gc__os_commit(memory, bytes))
        return memory;
    gc__os_release(memory, bytes);
    return NULL;
}

void *gc__os_map_for_program(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void *gc__os_resize(void *start, size_t bytes, size_t new_bytes)
{
    void *moved = mremap(start, bytes, new_bytes, MREMAP_MAYMOVE);

    if (moved == MAP_FAILED)
        return NULL;
    gc__forget_own((uintptr_t)start);
    gc__note_own((uintptr_t)moved, new_bytes);
    return moved;
}

bool gc__os_decommit(void *start, size_t bytes)
{
    return madvise(start, bytes, MADV_DONTNEED) == 0;
}

void gc__os_populate(void *start, size_t bytes)
{
    int saved_errno = errno;

    madvise(start, bytes, MADV_POPULATE_WRITE);
    errno = saved_errno;
}

/* The system may know no huge pages, or be told to give none. */
void gc__os_prefer_huge_pages(void *start, size_t bytes)
{
    int saved_errno = errno;

    madvise(start, bytes, MADV_HUGEPAGE);
    errno = saved_errno;
}

/* Whether as much could be mapped once more: with MAP_NORESERVE by the limits of the process,
 * without by the system's rules as well. */
static bool could_map(size_t bytes, int flags)
{
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    return start != MAP_FAILED && munmap(start, bytes) == 0;
}

static bool is_limited(int resource)
{
    struct rlimit limit;

    return getrlimit((__rlimit_resource_t)resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
}

/* Where address space is limited, what was reserved counts already, and twice it might not
 * fit. */
bool gc__os_would_give(size_t bytes)
{
    int saved_errno = errno;
    bool gives = is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA) || could_map(bytes, 0);

    errno = saved_errno;
    return gives;
}

/* The kernel unmaps what stood at `to` before it looks at the limits, and, until
 * Linux 6.17, at whether `from` is one mapping: so the limits are tried first,
 * and `to` is mapped afresh after a failure. */
bool gc__os_move(void *to, void *from, size_t bytes)
{
    int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

    if (!could_map(bytes, MAP_NORESERVE))
        return false;
    if (mremap(from, bytes, bytes, flags, to) == to) {
        gc__track_writes_again((uintptr_t)to, bytes);
        return true;
    }
    gc__os_renew(to, bytes);
    return false;
}

bool gc__os_renew(void *start, size_t bytes)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

    if (mmap(start, bytes, PROT_READ | PROT_WRITE, flags, -1, 0) == start) {
        gc__track_writes_again((uintptr_t)start, bytes);
        return true;
    }
    /* The mapping stays split; its contents must go all the same. */
    return gc__os_decommit(start, bytes);
}

/* Address space this process uses. */
static size_t address_space_used(void)
{
    char text[32];
    size_t pages = 0;

    if (!gc__read_file("/proc/self/statm", text, sizeof text))
        return ASSUMED_USED_BYTES;
    for (const char *c = text; *c >= '0' && *c <= '9'; c++)
        pages = pages * 10 + (size_t)(*c - '0');
    return pages * gc__os_page_bytes();
}

size_t gc__os_address_space_left(void)
{
    struct rlimit limit;
    size_t used;

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    used = address_space_used();
    return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

bool gc__os_address_is_free(void)
{
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    return false;
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
    return false;
#else
    return true;
#endif
#else
    return true;
#endif
}
