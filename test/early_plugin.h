/* early_plugin.h - what replaced_library finds in the library that it opens. */
#ifndef TEST_EARLY_PLUGIN_H
#define TEST_EARLY_PLUGIN_H

#define EARLY_TEXT "allocated while it was bound"

enum { EARLY_BYTES = 48 }; /* as litter has, too */

/* Where the pointer to that stands. */
char **early_plugin_place(void);

#endif
