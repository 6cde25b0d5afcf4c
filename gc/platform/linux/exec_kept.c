/* exec_kept.c - where the library was preloaded into this process alone
 * (gc/faces/preload.h), it goes along when that becomes another program; a child, also of
 * vfork, has another number. In the library broom-malloc alone. */

#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/check.h"
#include "gc/platform/linux/exec.h"
#include "gc/platform/program.h"

#include <alloca.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
    const char *preload; /* NULL: nothing is to be kept */
    const char *once;
    long process;
} kept;

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
    switch (obstacle) {
    case OBSTACLE_NONE:
    case OBSTACLE_NOT_FOUND:
    case OBSTACLE_NOT_EXECUTABLE:
    case OBSTACLE_NO_PROGRAM:
    case OBSTACLE_NO_INTERPRETER:
    case OBSTACLE_TOO_MANY_SCRIPTS: return false;
    default: return true;
    }
}

/* Where the file is, if it is not looked for: by way of the folder's number. */
static void find_file(const struct gc__exec *exec, char *path, size_t capacity)
{
    if (exec->folder == AT_FDCWD || *exec->file == '/')
        snprintf(path, capacity, "%s", exec->file);
    else if (*exec->file == '\0')
        snprintf(path, capacity, "/proc/self/fd/%d", exec->folder);
    else
        snprintf(path, capacity, "/proc/self/fd/%d/%s", exec->folder, exec->file);
}

static struct gc__program look(const struct gc__exec *exec)
{
    char path[4096];

    if (exec->is_searched)
        return gc__program_look(exec->file);
    find_file(exec, path, sizeof path);
    return gc__program_look_at(path);
}

/* Not the program that cannot have it, which would say nothing of that itself. */
static __attribute__((noinline)) bool takes_ours(const struct gc__exec *exec)
{
    struct gc__program program;
    char why[GC_EXPLANATION_BYTES];

    if (!is_kept())
        return false;
    program = look(exec);
    if (!is_obstacle(program.obstacle))
        return true;
    gc__program_explain(&program, why, sizeof why);
    gc__message("%.400s runs without Broom: %s", program.path, why);
    return false;
}

static int call_with_ours(const struct gc__exec *exec, gc__exec_call *call)
{
    struct gc__exec extended = *exec;

    if (takes_ours(exec)) {
        char **environment = alloca((count_of(exec->environment) + 3) * sizeof *environment);
        char *list = alloca(strlen(kept.preload) + strlen(own_list(exec->environment)) + 2);

        extended.environment = extend(exec->environment, environment, list);
    }
    return call(&extended);
}

void gc__os_keep_across_exec(const char *preload, const char *once)
{
    kept.preload = preload;
    kept.once = once;
    kept.process = gc__os_process_id();
    gc__exec_by = call_with_ours;
}
