/* cpus.h - how many CPUs the system lets this process use. */
#ifndef GC_PLATFORM_LINUX_CPUS_H
#define GC_PLATFORM_LINUX_CPUS_H

/* What the control groups allow, with /proc and /sys/fs/cgroup found under
 * `root` ("" for the system's own): the quota of the tightest group from the
 * process's own up, rounded up. UINT_MAX: no limit. */
unsigned gc__quota_cpus(const char *root);

#endif
