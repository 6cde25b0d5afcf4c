#define _GNU_SOURCE
#include "gc/platform/linux/file.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

bool gc__read_file(const char *path, char *text, size_t capacity)
{
    long file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    size_t used = 0;
    long got = 1;

    if (file < 0)
        return false;
    while (used < capacity - 1 && got > 0) {
        got = syscall(SYS_read, file, text + used, capacity - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    syscall(SYS_close, file);
    text[used] = '\0';
    return used > 0;
}
