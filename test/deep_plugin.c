/* deep_plugin.c - a library that frees, resizes and makes what others have, which
 * replaced_library opens so that its own symbols come first. */
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

extern void deep_plugin_free(char *text);
extern char *deep_plugin_grow(char *text);
extern char *deep_plugin_copy(const char *text);

EXPORT void deep_plugin_free(char *text)
{
    free(text);
}

EXPORT char *deep_plugin_grow(char *text)
{
    return realloc(text, 5000);
}

EXPORT char *deep_plugin_copy(const char *text)
{
    return strcpy(malloc(strlen(text) + 1), text);
}
