/* limits.c - how much memory the control groups leave this process. */

#include "gc/platform/linux/cgroup.h"
#include "gc/platform/platform.h"

#include <errno.h>

/* The first version has a number that no memory reaches for "no limit". */
#define NO_LIMIT (UINT64_C(1) << 60)

static uint64_t bytes_in(char *path, const char *name)
{
    char text[GC_CGROUP_TEXT_BYTES];
    const char *at = text;
    uint64_t bytes;

    if (!gc__cgroup_read(path, name, text) || !gc__cgroup_number(&at, &bytes) || bytes >= NO_LIMIT)
        return UINT64_MAX;
    return bytes;
}

static uint64_t limit_of_first(char *path)
{
    return bytes_in(path, "/memory.limit_in_bytes");
}

/* From `high` on the kernel makes the process wait; at `max` it kills. */
static uint64_t limit_of_second(char *path)
{
    uint64_t high = bytes_in(path, "/memory.high"), max = bytes_in(path, "/memory.max");

    return high < max ? high : max;
}

size_t gc__quota_memory(const char *root)
{
    static const struct gc__cgroup_sort memory = {
        .controller = "memory",
        .mounts = {"/sys/fs/cgroup/memory", NULL},
        .first = limit_of_first,
        .second = limit_of_second,
    };
    uint64_t bytes = gc__cgroup_least(root, &memory);

    return bytes < SIZE_MAX ? (size_t)bytes : SIZE_MAX;
}

size_t gc__os_memory_limit(void)
{
    int saved_errno = errno;
    size_t bytes = gc__quota_memory("");

    errno = saved_errno;
    return bytes;
}
