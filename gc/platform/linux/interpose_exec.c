/* interpose_exec.c - the calls that make the process another program. Where the library
 * was preloaded into this process alone (gc/faces/preload.h), it goes along; a child, also
 * of vfork, has another number. posix_spawn and system do not come by here.
 *
 * A child of vfork and a signal's handler may call them: nothing is allocated. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"
#include "gc/platform/linux/real.h"
#include "gc/platform/program.h"

#include <alloca.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

static struct {
    const char *preload; /* NULL: nothing is to be kept */
    const char *once;
    long process;
} kept;

void gc__os_keep_across_exec(const char *preload, const char *once)
{
    kept.preload = preload;
    kept.once = once;
    kept.process = gc__os_process_id();
}

static bool is_kept(void)
{
    return kept.preload != NULL && gc__os_process_id() == kept.process;
}

/* Not where the program was an argument of the loader's. */
void gc__os_run_again(char **arguments)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);

    if (length <= 0 || getauxval(AT_BASE) == 0)
        return;
    path[length] = '\0';
    syscall(SYS_execve, path, arguments, environ);
}

static size_t count_of(char *const *list)
{
    size_t count = 0;

    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

static bool is_preload(const char *variable)
{
    return strncmp(variable, "LD_PRELOAD=", sizeof "LD_PRELOAD=" - 1) == 0;
}

/* Of the program's own list, what stands behind the name. */
static const char *own_list(char *const *environment)
{
    for (; environment != NULL && *environment != NULL; environment++)
        if (is_preload(*environment))
            return strchr(*environment, '=') + 1;
    return "";
}

/* `to` has room for two more than `from`, and `list` for both lists. */
static char **extend(char *const *from, char **to, char *list)
{
    size_t count = 0;

    strcpy(list, kept.preload);
    if (*own_list(from) != '\0')
        strcat(strcat(list, ":"), own_list(from));
    for (; from != NULL && *from != NULL; from++)
        if (!is_preload(*from))
            to[count++] = *from;
    to[count++] = list;
    to[count++] = (char *)(uintptr_t)kept.once;
    to[count] = NULL;
    return to;
}

/* What the call or a shell finds out for itself is no matter. */
static bool is_obstacle(enum gc__obstacle obstacle)
{
    return obstacle != OBSTACLE_NONE && obstacle != OBSTACLE_NOT_FOUND && obstacle != OBSTACLE_NO_PROGRAM;
}

/* Not the program that cannot have it, which would say nothing of that itself. */
static __attribute__((noinline)) bool takes_ours(struct gc__program look(const char *name), const char *name)
{
    struct gc__program program;

    if (!is_kept())
        return false;
    program = look(name);
    if (!is_obstacle(program.obstacle))
        return true;
    gc__message("%.400s runs without Broom: %s%s%s", program.path, gc__program_reason(&program),
                *program.detail != '\0' ? ": " : "", program.detail);
    return false;
}

/* In the caller's frame. */
#define WITH_OURS(look, name, environment)                                                                             \
    (takes_ours(look, name) ? extend(environment, alloca((count_of(environment) + 3) * sizeof(char *)),                \
                                     alloca(strlen(kept.preload) + strlen(own_list(environment)) + 2))                 \
                            : (char **)(uintptr_t)(environment))

EXPORT int execve(const char *path, char *const *arguments, char *const *environment)
{
    return (int)syscall(SYS_execve, path, arguments, WITH_OURS(gc__program_look_at, path, environment));
}

EXPORT int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const *arguments, char *const *environment)
{
    return GC_REAL(execvpe)(file, arguments, WITH_OURS(gc__program_look, file, environment));
}

EXPORT int execvp(const char *file, char *const *arguments)
{
    return execvpe(file, arguments, environ);
}

EXPORT int fexecve(int file, char *const *arguments, char *const *environment)
{
    char path[sizeof "/proc/self/fd/" + 3 * sizeof file];

    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    return (int)syscall(SYS_execveat, file, "", arguments, WITH_OURS(gc__program_look_at, path, environment),
                        AT_EMPTY_PATH);
}

/* ---- Arguments one by one -------------------------------------------------------------- */

/* Up to the NULL that ends them; with `and_environment`, that stands behind it. */
#define EXECUTE(call, first, environment_follows)                                                                      \
    ({                                                                                                                 \
        va_list list;                                                                                                  \
        size_t count = 1;                                                                                              \
        char **arguments, **environment = environ;                                                                     \
        va_start(list, first);                                                                                         \
        while (va_arg(list, char *) != NULL)                                                                           \
            count++;                                                                                                   \
        va_end(list);                                                                                                  \
        arguments = alloca((count + 1) * sizeof(char *));                                                              \
        arguments[0] = (char *)(uintptr_t)(first);                                                                     \
        va_start(list, first);                                                                                         \
        for (size_t i = 1; i <= count; i++)                                                                            \
            arguments[i] = va_arg(list, char *);                                                                       \
        if (environment_follows)                                                                                       \
            environment = va_arg(list, char **);                                                                       \
        va_end(list);                                                                                                  \
        call(name, arguments, environment);                                                                            \
    })

EXPORT int execl(const char *name, const char *first, ...)
{
    return EXECUTE(execve, first, false);
}

EXPORT int execle(const char *name, const char *first, ...)
{
    return EXECUTE(execve, first, true);
}

EXPORT int execlp(const char *name, const char *first, ...)
{
    return EXECUTE(execvpe, first, false);
}
