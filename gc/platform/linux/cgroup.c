#include "gc/platform/linux/cgroup.h"

#include "gc/platform/linux/file.h"

#include <string.h>

#define PATH_BYTES 1024

/* ---- Text ------------------------------------------------------------------------ */

static bool append(char *path, const char *text, size_t bytes)
{
    size_t used = strlen(path);

    if (bytes >= PATH_BYTES - used)
        return false;
    memcpy(path + used, text, bytes);
    path[used + bytes] = '\0';
    return true;
}

bool gc__cgroup_number(const char **text, uint64_t *number)
{
    const char *at = *text;

    if (*at < '0' || *at > '9')
        return false;
    for (*number = 0; *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    *text = *at == ' ' ? at + 1 : at;
    return true;
}

bool gc__cgroup_read(char *path, const char *name, char text[GC_CGROUP_TEXT_BYTES])
{
    size_t length = strlen(path);
    bool found = append(path, name, strlen(name)) && gc__read_file(path, text, GC_CGROUP_TEXT_BYTES);

    path[length] = '\0';
    return found;
}

/* ---- Groups ---------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Of a group and all above it. */
static uint64_t least_upwards(const char *root, const char *mount, const char *group, size_t group_bytes,
                              gc__cgroup_limit *limit)
{
    char path[PATH_BYTES] = "";
    uint64_t found = UINT64_MAX;
    size_t top;

    if (mount == NULL || !append(path, root, strlen(root)) || !append(path, mount, strlen(mount)))
        return UINT64_MAX;
    top = strlen(path);
    if (!append(path, group, group_bytes))
        return UINT64_MAX;
    for (;; *strrchr(path, '/') = '\0') {
        found = least(found, limit(path));
        if (strlen(path) <= top)
            return found;
    }
}

/* Whether `name` is among the controllers, a list with commas. */
static bool controls(const char *list, const char *end, const char *name)
{
    size_t bytes = strlen(name);

    for (; list < end; list += strcspn(list, ",:") + 1)
        if (strncmp(list, name, bytes) == 0 && (list[bytes] == ',' || list[bytes] == ':'))
            return true;
    return false;
}

/* A line of /proc/self/cgroup: "hierarchy:controllers:/group". */
static uint64_t least_of_line(const char *root, const struct gc__cgroup_sort *sort, const char *line, size_t bytes)
{
    const char *controllers = memchr(line, ':', bytes);
    const char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    size_t group_bytes;

    if (group == NULL || group >= line + bytes)
        return UINT64_MAX;
    group_bytes = (size_t)(line + bytes - ++group);
    if (group_bytes == 1) /* the top: "/" */
        group_bytes = 0;
    if (controllers + 2 == group)
        return least_upwards(root, "/sys/fs/cgroup", group, group_bytes, sort->second);
    if (!controls(controllers + 1, group, sort->controller))
        return UINT64_MAX;
    return least(least_upwards(root, sort->mounts[0], group, group_bytes, sort->first),
                 least_upwards(root, sort->mounts[1], group, group_bytes, sort->first));
}

uint64_t gc__cgroup_least(const char *root, const struct gc__cgroup_sort *sort)
{
    char path[PATH_BYTES] = "", text[GC_CGROUP_TEXT_BYTES];
    uint64_t found = UINT64_MAX;

    if (!append(path, root, strlen(root)) || !gc__cgroup_read(path, "/proc/self/cgroup", text))
        return UINT64_MAX;
    for (const char *line = text; *line != '\0'; line += line[0] == '\n') {
        size_t bytes = strcspn(line, "\n");

        found = least(found, least_of_line(root, sort, line, bytes));
        line += bytes;
    }
    return found;
}
