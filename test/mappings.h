/* mappings.h - what the kernel says of the memory of this process. */
#ifndef TEST_MAPPINGS_H
#define TEST_MAPPINGS_H

#include "gc/platform/platform.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static size_t page;

static inline void learn_page_size(void)
{
    page = gc__os_page_bytes();
}

/* Asks the kernel, so nothing happens where it is not; past any sanitizer. */
static inline bool is_readable(const void *address)
{
    static int pipe_ends[2];
    char byte;

    if (pipe_ends[1] == 0)
        cr_assert_eq(pipe(pipe_ends), 0);
    if (syscall(SYS_write, pipe_ends[1], address, 1) != 1)
        return false;
    cr_assert_eq(read(pipe_ends[0], &byte, 1), 1);
    return true;
}

static inline bool is_all(const char *start, size_t bytes, char value)
{
    for (size_t i = 0; i < bytes; i++)
        if (start[i] != value)
            return false;
    return true;
}

static inline char *committed(size_t bytes)
{
    char *start = gc__os_reserve(bytes, page, 0);

    cr_assert_not_null(start);
    cr_assert(gc__os_commit(start, bytes));
    return start;
}

/* Of this process, those that lie in part in [start, end); `*last`: the last of
 * them. */
static inline unsigned find_mappings(const void *start, const void *end, struct gc__range *last)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned count = 0;
    char line[4096];
    struct gc__range range;

    cr_assert_not_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &range.start, &range.end) == 2 && range.start < (uintptr_t)end &&
            range.end > (uintptr_t)start) {
            *last = range;
            count++;
        }
    fclose(maps);
    return count;
}

static inline unsigned count_mappings(const void *start, const void *end)
{
    struct gc__range last;

    return find_mappings(start, end, &last);
}

#endif
