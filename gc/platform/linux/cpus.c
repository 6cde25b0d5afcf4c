#define _GNU_SOURCE
#include "gc/platform/linux/cpus.h"

#include "gc/platform/linux/file.h"
#include "gc/platform/platform.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As many as a kernel can be built for on either CPU. */
#define MOST_CPUS 8192

#define PATH_BYTES 1024
#define TEXT_BYTES 4096

/* ---- Text ------------------------------------------------------------------------ */

static bool append(char *path, const char *text, size_t bytes)
{
    size_t used = strlen(path);

    if (bytes >= PATH_BYTES - used)
        return false;
    memcpy(path + used, text, bytes);
    path[used + bytes] = '\0';
    return true;
}

/* Steps over the number; "max" and "-1" are none. */
static bool parse_number(const char **text, uint64_t *number)
{
    const char *at = *text;

    if (*at < '0' || *at > '9')
        return false;
    for (*number = 0; *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    *text = *at == ' ' ? at + 1 : at;
    return true;
}

/* ---- Quotas ---------------------------------------------------------------------- */

static unsigned cpus_of(uint64_t quota, uint64_t period)
{
    uint64_t cpus;

    if (period == 0)
        return UINT_MAX;
    cpus = quota / period + (quota % period != 0);
    if (cpus == 0)
        return 1;
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

/* Reads the file `name` of the group whose folder is `path`, and leaves `path`
 * as it was. */
static bool read_of_group(char *path, const char *name, char *text)
{
    size_t length = strlen(path);
    bool found = append(path, name, strlen(name)) && gc__read_file(path, text, TEXT_BYTES);

    path[length] = '\0';
    return found;
}

/* "200000 100000" or "max 100000" */
static unsigned quota_v2(char *path)
{
    char text[TEXT_BYTES];
    const char *at = text;
    uint64_t quota, period;

    if (!read_of_group(path, "/cpu.max", text) || !parse_number(&at, &quota) || !parse_number(&at, &period))
        return UINT_MAX;
    return cpus_of(quota, period);
}

static unsigned quota_v1(char *path)
{
    char text[TEXT_BYTES];
    const char *at = text;
    uint64_t quota, period;

    if (!read_of_group(path, "/cpu.cfs_quota_us", text) || !parse_number(&at, &quota))
        return UINT_MAX;
    at = text;
    if (!read_of_group(path, "/cpu.cfs_period_us", text) || !parse_number(&at, &period))
        return UINT_MAX;
    return cpus_of(quota, period);
}

/* The least of a group's quota and those of the groups it is in. In a container
 * the path may be the host's: what is not there is passed over. */
static unsigned least_quota(const char *root, const char *mount, const char *group, size_t group_bytes,
                            unsigned (*quota)(char *path))
{
    char path[PATH_BYTES] = "";
    unsigned least, cpus;
    size_t top;

    if (!append(path, root, strlen(root)) || !append(path, mount, strlen(mount)))
        return UINT_MAX;
    top = strlen(path);
    if (!append(path, group, group_bytes))
        return UINT_MAX;
    for (least = UINT_MAX;; *strrchr(path, '/') = '\0') {
        cpus = quota(path);
        least = cpus < least ? cpus : least;
        if (strlen(path) <= top)
            return least;
    }
}

/* Whether "cpu" is among the controllers, a list with commas. */
static bool controls_cpu(const char *list, const char *end)
{
    for (; list < end; list += strcspn(list, ",:") + 1)
        if (strncmp(list, "cpu,", 4) == 0 || strncmp(list, "cpu:", 4) == 0)
            return true;
    return false;
}

/* A line of /proc/self/cgroup: "hierarchy:controllers:/group". */
static unsigned quota_of_line(const char *root, const char *line, size_t bytes)
{
    const char *controllers = memchr(line, ':', bytes);
    const char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    size_t group_bytes;
    unsigned both, alone;

    if (group == NULL || group >= line + bytes)
        return UINT_MAX;
    group_bytes = (size_t)(line + bytes - ++group);
    if (group_bytes == 1) /* the top: "/" */
        group_bytes = 0;
    if (controllers + 2 == group)
        return least_quota(root, "/sys/fs/cgroup", group, group_bytes, quota_v2);
    if (!controls_cpu(controllers + 1, group))
        return UINT_MAX;
    alone = least_quota(root, "/sys/fs/cgroup/cpu", group, group_bytes, quota_v1);
    both = least_quota(root, "/sys/fs/cgroup/cpu,cpuacct", group, group_bytes, quota_v1);
    return alone < both ? alone : both;
}

unsigned gc__quota_cpus(const char *root)
{
    char path[PATH_BYTES] = "", text[TEXT_BYTES];
    unsigned least = UINT_MAX;

    if (!append(path, root, strlen(root)) || !read_of_group(path, "/proc/self/cgroup", text))
        return UINT_MAX;
    for (const char *line = text; *line != '\0'; line += line[0] == '\n') {
        size_t bytes = strcspn(line, "\n");
        unsigned cpus = quota_of_line(root, line, bytes);

        least = cpus < least ? cpus : least;
        line += bytes;
    }
    return least;
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
