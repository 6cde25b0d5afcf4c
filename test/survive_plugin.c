/* survive_plugin.c - a library that test_survive opens, for words of every
 * kind of data that a library may have. */
#include "test/survive_plugin.h"

#include <stddef.h>

static uintptr_t data[SURVIVE_PLUGIN_WORDS] = {1};
static uintptr_t bss[SURVIVE_PLUGIN_WORDS];
static _Thread_local uintptr_t tls_data[SURVIVE_PLUGIN_WORDS] = {1};
static _Thread_local uintptr_t tls_bss[SURVIVE_PLUGIN_WORDS];

__attribute__((visibility("default"))) uintptr_t *survive_plugin_words(enum survive_plugin_place place)
{
    static uintptr_t local[SURVIVE_PLUGIN_WORDS];

    switch (place) {
    case PLUGIN_DATA: return data;
    case PLUGIN_BSS: return bss;
    case PLUGIN_STATIC_LOCAL: return local;
    case PLUGIN_TLS_DATA: return tls_data;
    case PLUGIN_TLS_BSS: return tls_bss;
    case SURVIVE_PLUGIN_PLACES: break;
    }
    return NULL;
}
