/* survive_plugin.h - what test_survive finds in the library that it opens. */
#ifndef TEST_SURVIVE_PLUGIN_H
#define TEST_SURVIVE_PLUGIN_H

#include <stdint.h>

enum { SURVIVE_PLUGIN_WORDS = 64 };

enum survive_plugin_place {
    PLUGIN_DATA,
    PLUGIN_BSS,
    PLUGIN_STATIC_LOCAL,
    PLUGIN_TLS_DATA,
    PLUGIN_TLS_BSS,
    SURVIVE_PLUGIN_PLACES
};

/* SURVIVE_PLUGIN_WORDS words; of thread-local ones the calling thread's. */
uintptr_t *survive_plugin_words(enum survive_plugin_place place);

#endif
