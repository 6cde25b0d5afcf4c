/* large_plugin.c - a library with much data, which test_root_watch opens. */
#include <stddef.h>

extern void *large_plugin_words[1 << 18];

__attribute__((visibility("default"))) void *large_plugin_words[1 << 18];
