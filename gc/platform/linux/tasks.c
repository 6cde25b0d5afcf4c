#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/platform/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

size_t gc__os_thread_count(void)
{
    int saved_errno = errno;
    struct stat status;
    size_t count = 0;

    /* Of a directory: itself, its parent, and each folder in it. */
    if (fstatat(AT_FDCWD, "/proc/self/task", &status, 0) == 0 && status.st_nlink > 2)
        count = status.st_nlink - 2;
    errno = saved_errno;
    return count;
}

/* ---- One thread ----------------------------------------------------------------- */

static size_t append(char *path, size_t length, const char *text)
{
    size_t bytes = strlen(text);

    memcpy(path + length, text, bytes + 1);
    return length + bytes;
}

/* Reads /proc/self/task/ID/name. */
static bool read_thread_file(long id, const char *name, char *text, size_t capacity)
{
    char path[64], digits[24];
    char *digit = digits + sizeof digits - 1;
    size_t length = append(path, 0, "/proc/self/task/");

    *digit = '\0';
    do
        *--digit = (char)('0' + id % 10);
    while ((id /= 10) > 0);
    length = append(path, length, digit);
    length = append(path, length, "/");
    append(path, length, name);
    return gc__read_file(path, text, capacity);
}

void gc__os_thread_name(long thread_id, char *name, size_t capacity)
{
    int saved_errno = errno;

    if (!read_thread_file(thread_id, "comm", name, capacity))
        strncpy(name, "?", capacity);
    name[strcspn(name, "\n")] = '\0';
    errno = saved_errno;
}

/* Of `syscall`: "number arguments... sp pc", with more than one argument only
 * where it is not "running". */
uintptr_t gc__os_sleeping_thread_sp(long thread_id)
{
    char text[256];
    int saved_errno = errno;
    bool read = read_thread_file(thread_id, "syscall", text, sizeof text);
    const char *pc = read ? strrchr(text, ' ') : NULL;
    uintptr_t sp = 0;

    errno = saved_errno;
    if (pc == NULL || pc - text < 20)
        return 0;
    do
        pc--;
    while (*pc != ' ');
    for (pc += sizeof " 0x" - 1; *pc != ' '; pc++)
        sp = sp * 16 + (uintptr_t)(*pc <= '9' ? *pc - '0' : *pc - 'a' + 10);
    return sp;
}

/* Of `stat`, which is "id (name) state parent group session terminal
 * terminal-group flags ..."; a name may hold spaces and parentheses. */
static enum gc__thread_sort sort_of(long id)
{
    enum { IO_WORKER = 0x10, USER_WORKER = 0x4000 }; /* include/linux/sched.h: PF_... */
    char text[256];
    const char *field;
    unsigned long flags = 0;

    if (!read_thread_file(id, "stat", text, sizeof text)) /* or no file can be opened */
        return gc__os_thread_exists(id) ? GC_THREAD_OF_PROGRAM : GC_THREAD_GONE;
    field = strrchr(text, ')');
    if (field == NULL || strlen(field) < 3)
        return GC_THREAD_OF_PROGRAM;
    if (field[2] == 'Z' || field[2] == 'X')
        return GC_THREAD_ASIDE;
    for (unsigned spaces = 0; spaces < 7 && field != NULL; spaces++)
        field = strchr(field + 1, ' ');
    for (; field != NULL && field[1] >= '0' && field[1] <= '9'; field++)
        flags = flags * 10 + (unsigned long)(field[1] - '0');
    return (flags & (IO_WORKER | USER_WORKER)) != 0 ? GC_THREAD_ASIDE : GC_THREAD_OF_PROGRAM;
}

/* Of `status`, the line of the signals that are blocked: a bit each. */
static uint64_t blocked_signals(long thread_id)
{
    static const char name[] = "\nSigBlk:\t";
    char text[4096];
    int saved_errno = errno;
    const char *digit = read_thread_file(thread_id, "status", text, sizeof text) ? strstr(text, name) : NULL;
    uint64_t blocked = 0;

    errno = saved_errno;
    if (digit == NULL)
        return 0;
    for (digit += sizeof name - 1; *digit != '\n' && *digit != '\0'; digit++)
        blocked = blocked * 16 + (uint64_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
    return blocked;
}

static bool blocks(long thread_id, int signal)
{
    return (blocked_signals(thread_id) >> (signal - 1) & 1) != 0;
}

bool gc__os_thread_blocks_stop_signal(long thread_id)
{
    return blocks(thread_id, gc__os_stop_signal());
}

/* The C library's own signals, of which this is the first, are blocked by nobody else:
 * they are not in what sigfillset makes. */
bool gc__os_thread_blocks_all_signals(long thread_id)
{
    return blocks(thread_id, __SIGRTMIN) && gc__os_thread_blocks_stop_signal(thread_id);
}

/* ---- All of them ------------------------------------------------------------------ */

struct entry {
    uint64_t inode;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

static long number_of(const char *name)
{
    long number = 0;

    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return number;
}

bool gc__os_each_thread(void (*visit)(long thread_id, void *argument), void *argument)
{
    _Alignas(struct entry) char entries[2048];
    int saved_errno = errno;
    long folder = syscall(SYS_openat, AT_FDCWD, "/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long bytes = -1;

    while (folder >= 0 && (bytes = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0)
        for (long at = 0; at < bytes; at += ((struct entry *)(entries + at))->bytes) {
            long id = number_of(((struct entry *)(entries + at))->name);
            if (id != 0)
                visit(id, argument);
        }
    if (folder >= 0)
        syscall(SYS_close, folder);
    errno = saved_errno;
    return bytes == 0;
}

enum gc__thread_sort gc__os_thread_sort(long thread_id)
{
    int saved_errno = errno;
    enum gc__thread_sort sort = sort_of(thread_id);

    errno = saved_errno;
    return sort;
}
