/* interpose_exec.c - the calls that make the process another program, so that none of its
 * threads is sent the signal that stops threads meanwhile: that would end the new
 * program. posix_spawn and system do not come by here, nor do they have to: their child is
 * no thread of the process. */

#define _GNU_SOURCE
#include "gc/platform/linux/exec.h"

#include "gc/base/align.h"

#include <alloca.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <paths.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

int (*gc__exec_by)(const struct gc__exec *exec, gc__exec_call *call);

/* ---- A name that is looked for --------------------------------------------------------- */

static int call_at(const char *path, const struct gc__exec *exec)
{
    return (int)syscall(SYS_execve, path, exec->arguments, exec->environment);
}

/* What the system takes for no program is a script of the shell's. */
static void call_shell(const char *path, const struct gc__exec *exec)
{
    size_t count = 0;
    char **arguments;

    while (exec->arguments[count] != NULL)
        count++;
    arguments = alloca((count + 3) * sizeof *arguments);
    arguments[0] = (char *)(uintptr_t)_PATH_BSHELL;
    arguments[1] = (char *)(uintptr_t)path;
    arguments[2] = NULL;
    if (count > 1)
        memcpy(&arguments[2], &exec->arguments[1], count * sizeof *arguments); /* and the NULL */
    syscall(SYS_execve, _PATH_BSHELL, arguments, exec->environment);
}

static int call_or_shell(const char *path, const struct gc__exec *exec)
{
    call_at(path, exec);
    if (errno == ENOEXEC)
        call_shell(path, exec);
    return -1;
}

/* It is no program, but the next folder may have one. */
static bool may_be_elsewhere(int error)
{
    return error == EACCES || error == ENOENT || error == ESTALE || error == ENOTDIR || error == ENODEV ||
           error == ETIMEDOUT;
}

/* An empty folder is the current one. */
static void join(char *path, const char *folder, size_t length, const char *name)
{
    memcpy(path, folder, length);
    if (length > 0)
        path[length++] = '/';
    strcpy(path + length, name);
}

/* As the C library does, it passes over folders whose names no path can have. */
static int call_in_folders(const char *folders, const struct gc__exec *exec)
{
    char *path = alloca(gc__min(strlen(folders), PATH_MAX) + 1 + strlen(exec->file) + 1);
    bool was_denied = false;

    errno = ENOENT;
    for (;; folders++) {
        size_t length = strcspn(folders, ":");

        if (length < PATH_MAX) {
            join(path, folders, length, exec->file);
            call_or_shell(path, exec);
            if (!may_be_elsewhere(errno))
                return -1;
            was_denied = was_denied || errno == EACCES;
        }
        folders += length;
        if (*folders == '\0')
            break;
    }
    if (was_denied)
        errno = EACCES;
    return -1;
}

/* As execvp does in the C library; its own would have to be looked up, by who may be the
 * child of a fork, in which the loader's lock is held for ever. */
static int search(const struct gc__exec *exec)
{
    const char *folders = getenv("PATH");

    if (strchr(exec->file, '/') != NULL)
        return call_or_shell(exec->file, exec);
    if (*exec->file == '\0' || strlen(exec->file) > NAME_MAX) {
        errno = *exec->file == '\0' ? ENOENT : ENAMETOOLONG;
        return -1;
    }
    return call_in_folders(folders != NULL ? folders : "/bin:/usr/bin", exec);
}

/* ---- The call ----------------------------------------------------------------------------- */

static int call(const struct gc__exec *exec)
{
    if (exec->is_searched)
        return search(exec);
    if (exec->folder == AT_FDCWD && exec->flags == 0)
        return call_at(exec->file, exec);
    return (int)syscall(SYS_execveat, exec->folder, exec->file, exec->arguments, exec->environment, exec->flags);
}

static int call_unstopped(const struct gc__exec *exec)
{
    struct gc__exec_hold hold = gc__exec_begin();
    int result = call(exec);

    gc__exec_end(hold);
    return result;
}

static int execute(struct gc__exec exec)
{
    return gc__exec_by != NULL ? gc__exec_by(&exec, call_unstopped) : call_unstopped(&exec);
}

/* ---- By these names ------------------------------------------------------------------------ */

EXPORT int execve(const char *path, char *const *arguments, char *const *environment)
{
    return execute(
        (struct gc__exec){.folder = AT_FDCWD, .file = path, .arguments = arguments, .environment = environment});
}

EXPORT int execv(const char *path, char *const *arguments)
{
    return execve(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const *arguments, char *const *environment)
{
    return execute((struct gc__exec){
        .folder = AT_FDCWD, .is_searched = true, .file = file, .arguments = arguments, .environment = environment});
}

EXPORT int execvp(const char *file, char *const *arguments)
{
    return execvpe(file, arguments, environ);
}

/* Of glibc 2.34. */
int execveat(int folder, const char *path, char *const *arguments, char *const *environment, int flags);

EXPORT int execveat(int folder, const char *path, char *const *arguments, char *const *environment, int flags)
{
    return execute((struct gc__exec){
        .folder = folder, .flags = flags, .file = path, .arguments = arguments, .environment = environment});
}

EXPORT int fexecve(int file, char *const *arguments, char *const *environment)
{
    return execveat(file, "", arguments, environment, AT_EMPTY_PATH);
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
