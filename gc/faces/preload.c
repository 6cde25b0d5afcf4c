#include "gc/faces/preload.h"

#include "gc/platform/platform.h"

#include <stdlib.h>
#include <string.h>

#define SEPARATORS ": "

static int is_ours(const char *path, size_t length)
{
    static const char name[] = "/" PRELOAD_NAME;

    for (size_t i = 0; i + sizeof name - 1 <= length; i++)
        if (memcmp(path + i, name, sizeof name - 1) == 0)
            return 1;
    return 0;
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

/* `list` without our library; it becomes no longer. */
static void take_ours_out(char *list)
{
    char *to = list;

    for (const char *from = list; *from != '\0';) {
        size_t length = strcspn(from, SEPARATORS), with = length + (from[length] != '\0');

        if (is_ours(from, length)) {
            note_ours(from, length);
        } else {
            memmove(to, from, with);
            to += with;
        }
        from += with;
    }
    while (to > list && strchr(SEPARATORS, to[-1]) != NULL)
        to--;
    *to = '\0';
}

/* Before the program begins. */
static __attribute__((constructor)) void keep_to_this_program(void)
{
    char *list = getenv("LD_PRELOAD");

    if (getenv(PRELOAD_ONCE) == NULL)
        return;
    unsetenv(PRELOAD_ONCE);
    if (list != NULL)
        take_ours_out(list);
    if (list != NULL && *list == '\0')
        unsetenv("LD_PRELOAD");
}
