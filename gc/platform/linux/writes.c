/* writes.c - which pages were written: userfaultfd with WP_ASYNC, and the
 * PAGEMAP_SCAN ioctl of /proc/thread-self/pagemap (Linux 6.7). (/proc/self is the
 * initial thread, which may have ended.)
 *
 * A watched page is write-protected; the kernel itself lifts that at the first
 * write, also at one of its own (in a read(2), say), and nobody is told: a page
 * that is not protected counts as written. What is registered with userfaultfd
 * can be watched, and every scan asks the kernel to check that all is (the program
 * may have closed our file): else it fails, rather than miss a write. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/pagemap.h"
#include "gc/platform/linux/probe.h"
#include "gc/platform/linux/writes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not yet in all headers. */
#define FEATURE_WP_ASYNC ((uint64_t)1 << 15)
#define USER_MODE_ONLY 1

/* Where our file stands: out of the way of programs that count theirs. */
#define FIRST_FILE 200

/* Writes that are measured. */
#define WRITES_MEASURED 16

static GC_OWN_STATE struct {
    struct gc__range range; /* what is tracked; empty: nothing */
    int file;               /* of userfaultfd */
    pid_t process;          /* whose memory it tracks: not that of a child by fork */
} tracked;

static GC_OWN_STATE int refusal;

/* ---- Registering ------------------------------------------------------------------- */

/* Not close(2) of the C library, which is a point of cancellation. */
static void close_file(int file)
{
    syscall(SYS_close, file);
}

static int out_of_the_way(int file)
{
    int moved = fcntl(file, F_DUPFD_CLOEXEC, FIRST_FILE);

    if (moved < 0)
        return file;
    close_file(file);
    return moved;
}

static void note_refusal(void)
{
    refusal = gc__calls_are_filtered() ? 0 : errno;
}

int gc__os_tracking_refusal(void)
{
    return refusal;
}

static int open_userfaultfd(void)
{
    struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_ASYNC};
    int file = gc__calls_are_filtered() ? -1 : (int)syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY);

    if (file < 0)
        return -1;
    if (ioctl(file, UFFDIO_API, &api) == 0)
        return out_of_the_way(file);
    close_file(file); /* which succeeds: errno tells of the first */
    return -1;
}

static bool register_range(struct gc__range range)
{
    struct uffdio_register asked = {
        .range = {.start = range.start, .len = range.end - range.start},
        .mode = UFFDIO_REGISTER_MODE_WP,
    };

    return ioctl(tracked.file, UFFDIO_REGISTER, &asked) == 0;
}

static bool unprotect(struct gc__range range)
{
    struct uffdio_writeprotect asked = {.range = {.start = range.start, .len = range.end - range.start}};

    return ioctl(tracked.file, UFFDIO_WRITEPROTECT, &asked) == 0;
}

/* The one that serves no longer, or the parent's, in a child by fork; unless the
 * program has closed it, and its number is another file's by now. */
static void close_old_file(void)
{
    static const char ours[] = "anon_inode:[userfaultfd]";
    char path[40], target[sizeof ours] = "";

    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", tracked.file);
    if (syscall(SYS_readlinkat, AT_FDCWD, path, target, sizeof target) == sizeof ours - 1 &&
        memcmp(target, ours, sizeof ours - 1) == 0)
        close_file(tracked.file);
}

bool gc__os_track_writes(struct gc__range range)
{
    int saved_errno = errno;
    bool registered;

    if (tracked.process != getpid() || tracked.file < 0 || !register_range(range)) {
        if (tracked.process != 0 && tracked.file >= 0)
            close_old_file();
        tracked.file = open_userfaultfd();
        tracked.process = getpid();
    }
    registered = tracked.file >= 0 && register_range(range);
    if (!registered)
        note_refusal();
    tracked.range = registered ? range : (struct gc__range){0, 0};
    errno = saved_errno;
    return registered;
}

/* In older kernels the marks by which pages are watched moved with them (mremap), while the
 * registration did not: such a page would never count as written. */
bool gc__os_track_writes_outside(struct gc__range range)
{
    int saved_errno = errno;
    bool registered = tracked.process == getpid() && tracked.file >= 0 && register_range(range) && unprotect(range);

    errno = saved_errno;
    return registered;
}

void gc__os_track_writes_no_more(struct gc__range range)
{
    struct uffdio_range asked = {.start = range.start, .len = range.end - range.start};
    int saved_errno = errno;

    if (tracked.process == getpid() && tracked.file >= 0 && asked.len > 0 &&
        (range.end <= tracked.range.start || range.start >= tracked.range.end))
        ioctl(tracked.file, UFFDIO_UNREGISTER, &asked);
    errno = saved_errno;
}

void gc__track_writes_again(uintptr_t start, size_t bytes)
{
    int saved_errno = errno;

    if (start >= tracked.range.start && start < tracked.range.end && tracked.process == getpid())
        register_range((struct gc__range){start, start + bytes});
    errno = saved_errno;
}

/* ---- Scanning ---------------------------------------------------------------------- */

/* The next part of a scan. What the regions tell is for the caller. */
static bool scan_on(int pagemap, struct gc__page_scan *scan, long *found)
{
    *found = ioctl(pagemap, GC_PAGE_SCAN, scan);
    if (*found < 0)
        return false;
    scan->start = scan->walk_end;
    return true;
}

static int open_pagemap(void)
{
    return tracked.process == getpid() && !gc__calls_are_filtered()
               ? (int)syscall(SYS_openat, AT_FDCWD, "/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC)
               : -1;
}

bool gc__os_each_written(struct gc__range range, bool again, void (*visit)(struct gc__range written, void *argument),
                         void *argument)
{
    struct gc__page_region region[64];
    struct gc__page_scan scan = {
        .size = sizeof scan,
        .flags = GC_PAGE_SCAN_CHECK_WP_ASYNC | (again ? GC_PAGE_SCAN_PROTECT_MATCHING : 0),
        .start = range.start,
        .end = range.end,
        .regions = (uintptr_t)region,
        .region_count = sizeof region / sizeof *region,
        .all_of = GC_PAGE_IS_WRITTEN,
        .returned = GC_PAGE_IS_WRITTEN,
    };
    int saved_errno = errno, pagemap = open_pagemap();
    bool scanned = pagemap >= 0;
    long found;

    while (scanned && scan.start < scan.end) {
        scanned = scan_on(pagemap, &scan, &found);
        for (long i = 0; i < found; i++)
            visit((struct gc__range){region[i].start, region[i].end}, argument);
    }
    if (pagemap >= 0)
        close_file(pagemap);
    errno = saved_errno;
    return scanned;
}

bool gc__os_watch_writes(const struct gc__range *ranges, size_t count)
{
    int saved_errno = errno, pagemap = open_pagemap();
    bool watched = pagemap >= 0;

    for (size_t i = 0; watched && i < count; i++) {
        struct gc__page_scan scan = {
            .size = sizeof scan,
            .flags = GC_PAGE_SCAN_CHECK_WP_ASYNC | GC_PAGE_SCAN_PROTECT_MATCHING,
            .start = ranges[i].start,
            .end = ranges[i].end,
            .all_of = GC_PAGE_IS_WRITTEN,
        };
        long found;

        while (watched && scan.start < scan.end)
            watched = scan_on(pagemap, &scan, &found);
    }
    if (!watched && count > 0 && ranges->start >= tracked.range.start && ranges->end <= tracked.range.end)
        note_refusal();
    if (pagemap >= 0)
        close_file(pagemap);
    errno = saved_errno;
    return watched;
}

/* If that fails, writes take a little longer. */
void gc__os_unwatch_writes(struct gc__range range)
{
    int saved_errno = errno;

    if (tracked.process == getpid() && range.start >= tracked.range.start && range.end <= tracked.range.end)
        unprotect(range);
    errno = saved_errno;
}

/* The least: another thread may have the CPU meanwhile. */
static uint64_t time_writes(volatile char *memory, size_t page_bytes)
{
    uint64_t least_ns = UINT64_MAX, start_ns, ns;

    for (size_t i = 0; i < WRITES_MEASURED; i++) {
        start_ns = gc__os_clock_ns();
        memory[i * page_bytes] = 1;
        ns = gc__os_clock_ns() - start_ns;
        least_ns = ns < least_ns ? ns : least_ns;
    }
    return least_ns;
}

uint64_t gc__os_watched_write_ns(void)
{
    size_t page_bytes = gc__os_page_bytes(), bytes = WRITES_MEASURED * page_bytes;
    char *memory = gc__os_map(bytes);
    struct gc__range range = {(uintptr_t)memory, (uintptr_t)memory + bytes};
    uint64_t ns = 0;

    if (memory == NULL)
        return 0;
    gc__os_populate(memory, bytes);
    if (register_range(range) && gc__os_watch_writes(&range, 1))
        ns = time_writes(memory, page_bytes);
    gc__os_release(memory, bytes);
    return ns;
}
