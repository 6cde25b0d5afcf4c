#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/tunables.h"
#include "gc/platform/linux/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
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

/* Of `syscall`: "number arguments... sp pc", without arguments where it sleeps for another
 * reason, and "running" where it does not sleep. */
struct gc__sleep gc__os_sleep_of_thread(long thread_id)
{
    enum { MOST = 1 + GC_CALL_ARGUMENTS + 2 };
    struct gc__sleep sleep = {0};
    char text[256], *rest = text;
    uintptr_t field[MOST];
    int saved_errno = errno;
    unsigned count = 0;

    if (read_thread_file(thread_id, "syscall", text, sizeof text))
        for (char *at = text; count < MOST && (field[count] = strtoul(at, &rest, 0), rest > at); at = rest)
            count++;
    errno = saved_errno;
    if (count < 3)
        return sleep;
    sleep.sp = field[count - 2];
    memcpy(sleep.argument, &field[1], (count - 3) * sizeof *field);
    return sleep;
}

/* Of `stat`, which is "id (name) state parent group session terminal terminal-group flags
 * ...": a field behind the name, which may hold spaces and parentheses. "": there is none. */
enum stat_field { STAT_STATE = 1, STAT_FLAGS = 7, STAT_START = 20 };

static const char *field_of_stat(const char *text, enum stat_field number)
{
    const char *field = strrchr(text, ')');

    for (unsigned spaces = 0; spaces < number && field != NULL; spaces++)
        field = strchr(field + 1, ' ');
    return field != NULL ? field + 1 : "";
}

static uint64_t decimal(const char *digit)
{
    uint64_t number = 0;

    for (; *digit >= '0' && *digit <= '9'; digit++)
        number = number * 10 + (uint64_t)(*digit - '0');
    return number;
}

#define STAT_BYTES 1024

static enum gc__thread_sort sort_of(long id)
{
    enum { IO_WORKER = 0x10, USER_WORKER = 0x4000 }; /* include/linux/sched.h: PF_... */
    char text[STAT_BYTES], state;

    if (!read_thread_file(id, "stat", text, sizeof text)) /* or no file can be opened */
        return gc__os_thread_exists(gc__os_process_id(), id) ? GC_THREAD_OF_PROGRAM : GC_THREAD_GONE;
    state = *field_of_stat(text, STAT_STATE);
    if (state == 'Z' || state == 'X')
        return GC_THREAD_ASIDE;
    return (decimal(field_of_stat(text, STAT_FLAGS)) & (IO_WORKER | USER_WORKER)) != 0 ? GC_THREAD_ASIDE
                                                                                       : GC_THREAD_OF_PROGRAM;
}

uint64_t gc__os_boot_ns(void)
{
    struct timespec time = {0, 0};

    clock_gettime(CLOCK_BOOTTIME, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Told in hundredths of a second. */
bool gc__os_thread_began_after(long thread_id, uint64_t boot_ns)
{
    enum { TICK_NS = 10000000 };
    int saved_errno = errno;
    char text[STAT_BYTES];
    bool told = read_thread_file(thread_id, "stat", text, sizeof text);

    errno = saved_errno;
    return told && decimal(field_of_stat(text, STAT_START)) > boot_ns / TICK_NS;
}

/* Of `status`, what stands behind a name. */
static const char *field_of_status(const char *text, const char *name)
{
    const char *found = strstr(text, name);

    return found != NULL ? found + strlen(name) : "";
}

static uint64_t hexadecimal(const char *digit)
{
    uint64_t number = 0;

    for (; *digit != '\n' && *digit != '\0'; digit++)
        number = number * 16 + (uint64_t)(*digit <= '9' ? *digit - '0' : *digit - 'a' + 10);
    return number;
}

/* clock_getcpuclockid(3) for a thread, as the kernel counts it: to the nanosecond. */
static uint64_t cpu_ns_of(long thread_id)
{
    enum { PER_THREAD = 4, SCHEDULED = 2 }; /* include/linux/posix-timers.h: CPUCLOCK_... */
    clockid_t clock = (clockid_t)(~(unsigned)thread_id << 3 | PER_THREAD | SCHEDULED);
    struct timespec time = {0, 0};

    if (syscall(SYS_clock_gettime, clock, &time) != 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

struct gc__thread_look gc__os_look_at_thread(long thread_id)
{
    int saved_errno = errno;
    struct gc__thread_look look = {0, cpu_ns_of(thread_id), 0};
    char text[4096];

    if (read_thread_file(thread_id, "status", text, sizeof text)) {
        look.state = *field_of_status(text, "\nState:\t");
        look.blocked = hexadecimal(field_of_status(text, "\nSigBlk:\t"));
    }
    errno = saved_errno;
    return look;
}

static bool blocks(struct gc__thread_look look, int signal)
{
    return (look.blocked >> (signal - 1) & 1) != 0;
}

bool gc__os_blocks_stop_signal(struct gc__thread_look look)
{
    return blocks(look, gc__os_stop_signal());
}

/* The first of the C library's own signals is not in what sigfillset makes. Our handler
 * blocks it, too, but nobody sleeps there who is still to stop. */
bool gc__os_sleeps_inside_library(struct gc__thread_look look)
{
    return look.state == 'S' && blocks(look, __SIGRTMIN) && gc__os_blocks_stop_signal(look);
}

/* Who had no CPU in between has slept all the time, if it sleeps at all. One that runs
 * may be in a handler of ours, or the middle of the C library, and leave it as soon as
 * it gets a CPU: not if it had one for so long. */
enum gc__hindrance gc__os_hindrance(struct gc__thread_look before, struct gc__thread_look now)
{
    uint64_t had_ns = now.cpu_ns - before.cpu_ns;
    bool sleeps = now.state != 'R' && now.state == before.state && had_ns == 0;

    if (gc__os_blocks_stop_signal(before) && gc__os_blocks_stop_signal(now) &&
        (sleeps || had_ns >= GC_STOP_MASKED_CPU_NS))
        return GC_HINDRANCE_MASK;
    if (sleeps && now.state == 'D')
        return GC_HINDRANCE_DEEP;
    if (sleeps && (now.state == 'T' || now.state == 't'))
        return GC_HINDRANCE_HALT;
    return GC_HINDRANCE_NONE;
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
