/* cgroup.h - the limits of the control groups that the process is in, of either
 * version.
 *
 * `root` is where /proc and /sys/fs/cgroup are found: "" for the system's own. */
#ifndef GC_PLATFORM_LINUX_CGROUP_H
#define GC_PLATFORM_LINUX_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GC_CGROUP_TEXT_BYTES 4096

/* What a group whose folder is `path` sets; UINT64_MAX: no limit. */
typedef uint64_t gc__cgroup_limit(char *path);

/* A sort of limit: the controller's name, where the first version has it mounted
 * (each followed by the group's path; NULL: nowhere), and who reads it. */
struct gc__cgroup_sort {
    const char *controller;
    const char *mounts[2];
    gc__cgroup_limit *first;
    gc__cgroup_limit *second;
};

/* The least of what the process's own group sets and those that it is in. In a
 * container the path may be the host's: what is not there is passed over. */
uint64_t gc__cgroup_least(const char *root, const struct gc__cgroup_sort *sort);

/* Reads the file `name` of the group whose folder is `path`, which is as it was
 * afterwards. */
bool gc__cgroup_read(char *path, const char *name, char text[GC_CGROUP_TEXT_BYTES]);

/* Steps over the number and a blank; "max" and "-1" are none. */
bool gc__cgroup_number(const char **text, uint64_t *number);

/* What the groups allow: the quota of CPUs, rounded up (UINT_MAX: no limit), and
 * bytes of memory (SIZE_MAX). */
unsigned gc__quota_cpus(const char *root);
size_t gc__quota_memory(const char *root);

#endif
