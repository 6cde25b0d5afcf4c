/* raw.h - system calls that leave errno as it is (gc/platform/x86_64/call.S and its like).
 *
 * Threads: any. Async-signal-safe. */
#ifndef GC_PLATFORM_LINUX_RAW_H
#define GC_PLATFORM_LINUX_RAW_H

long gc__raw_call(long number, long a, long b, long c, long d, long e, long f);

#endif
