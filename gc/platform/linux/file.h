/* file.h - small files of /proc and /sys.
 *
 * With system calls alone: the C library's are points of cancellation, and its
 * stdio allocates, perhaps from the heap that is being made or collected. */
#ifndef GC_PLATFORM_LINUX_FILE_H
#define GC_PLATFORM_LINUX_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Reads the beginning of a file into `text`, and ends it with a zero byte. False:
 * nothing can be read. May change errno. */
bool gc__read_file(const char *path, char *text, size_t capacity);

#endif
