#define _GNU_SOURCE
#include "gc/platform/linux/cgroup.h"
#include "gc/platform/platform.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As many as a kernel can be built for on either CPU. */
#define MOST_CPUS 8192

/* ---- Quotas ---------------------------------------------------------------------- */

static uint64_t cpus_of(uint64_t quota, uint64_t period)
{
    uint64_t cpus;

    if (period == 0)
        return UINT64_MAX;
    cpus = quota / period + (quota % period != 0);
    return cpus > 0 ? cpus : 1;
}

/* "200000 100000" or "max 100000" */
static uint64_t quota_of_second(char *path)
{
    char text[GC_CGROUP_TEXT_BYTES];
    const char *at = text;
    uint64_t quota, period;

    if (!gc__cgroup_read(path, "/cpu.max", text) || !gc__cgroup_number(&at, &quota) || !gc__cgroup_number(&at, &period))
        return UINT64_MAX;
    return cpus_of(quota, period);
}

static uint64_t quota_of_first(char *path)
{
    char text[GC_CGROUP_TEXT_BYTES];
    const char *at = text;
    uint64_t quota, period;

    if (!gc__cgroup_read(path, "/cpu.cfs_quota_us", text) || !gc__cgroup_number(&at, &quota))
        return UINT64_MAX;
    at = text;
    if (!gc__cgroup_read(path, "/cpu.cfs_period_us", text) || !gc__cgroup_number(&at, &period))
        return UINT64_MAX;
    return cpus_of(quota, period);
}

unsigned gc__quota_cpus(const char *root)
{
    static const struct gc__cgroup_sort cpu = {
        .controller = "cpu",
        .mounts = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"},
        .first = quota_of_first,
        .second = quota_of_second,
    };
    uint64_t cpus = gc__cgroup_least(root, &cpu);

    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* ---- All in all -------------------------------------------------------------------- */

/* Not through the C library's cpu_set_t: on large machines the kernel refuses
 * a mask of that size. */
static unsigned affine_cpus(void)
{
    uint64_t mask[MOST_CPUS / 64] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    unsigned cpus = 0;

    for (size_t i = 0; bytes > 0 && i < sizeof mask / sizeof mask[0]; i++)
        for (uint64_t left = mask[i]; left != 0; left &= left - 1)
            cpus++;
    return cpus;
}

unsigned gc__os_cpus(void)
{
    int saved_errno = errno;
    unsigned affine = affine_cpus(), quota = gc__quota_cpus("");
    unsigned cpus = affine < quota ? affine : quota;

    errno = saved_errno;
    return cpus > 0 ? cpus : 1;
}
