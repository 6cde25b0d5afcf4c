/* plugin.h - opens a library of the tests: survive_plugin.c, or another. */
#ifndef TEST_PLUGIN_H
#define TEST_PLUGIN_H

#include "test/survive_plugin.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

typedef uintptr_t *plugin_words(enum survive_plugin_place place);

/* It lies beside the program or where libtool puts it. NULL: it does not. */
static inline void *find_library(const char *file)
{
    static const char *const folders[] = {"", ".libs/"};
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 128);
    char *name;
    void *plugin = NULL;

    if (length <= 0)
        return NULL;
    path[length] = '\0';
    name = strrchr(path, '/') + 1;
    for (size_t i = 0; plugin == NULL && i < sizeof folders / sizeof folders[0]; i++) {
        strcat(strcpy(name, folders[i]), file);
        plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    return plugin;
}

static inline void *find_plugin(void)
{
    return find_library("survive_plugin.so");
}

static inline void *open_plugin(void)
{
    void *plugin = find_plugin();

    cr_assert(plugin != NULL, "%s", dlerror());
    return plugin;
}

static inline plugin_words *words_in(void *plugin)
{
    plugin_words *words;

    *(void **)&words = dlsym(plugin, "survive_plugin_words");
    cr_assert(words != NULL);
    return words;
}

#endif
