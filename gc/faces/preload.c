#include "gc/faces/preload.h"

#include "gc/platform/platform.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ": "

static bool is_ours(const char *path, size_t length)
{
    static const char name[] = "/" PRELOAD_NAME;

    for (size_t i = 0; i + sizeof name - 1 <= length; i++)
        if (memcmp(path + i, name, sizeof name - 1) == 0)
            return true;
    return false;
}

/* Kept for exec: "LD_PRELOAD=" and our library. */
static void note_ours(const char *path, size_t length)
{
    static char variable[4096];

    if (sizeof "LD_PRELOAD=" + length > sizeof variable)
        return;
    memcpy(variable, "LD_PRELOAD=", sizeof "LD_PRELOAD=" - 1);
    memcpy(variable + sizeof "LD_PRELOAD=" - 1, path, length);
    gc__os_keep_across_exec(variable, PRELOAD_ONCE "=1");
}

/* `list` without our library, if that is in it; it becomes no longer. */
static bool take_ours_out(char *list)
{
    bool found = false;
    char *to = list;

    for (const char *from = list; *from != '\0';) {
        size_t length = strcspn(from, SEPARATORS), with = length + (from[length] != '\0');

        if (is_ours(from, length)) {
            note_ours(from, length);
            found = true;
        } else {
            memmove(to, from, with);
            to += with;
        }
        from += with;
    }
    while (to > list && strchr(SEPARATORS, to[-1]) != NULL)
        to--;
    *to = '\0';
    return found;
}

bool gc__preload_take_out(void)
{
    char *list = getenv("LD_PRELOAD");
    bool found = list != NULL && take_ours_out(list);

    unsetenv(PRELOAD_ONCE);
    if (list != NULL && *list == '\0')
        unsetenv("LD_PRELOAD");
    return found;
}

void gc__preload_begin(void)
{
    if (getenv(PRELOAD_ONCE) != NULL)
        gc__preload_take_out();
}
