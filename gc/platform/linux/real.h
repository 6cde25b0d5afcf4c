/* real.h - the C library's functions behind those of the same names that this
 * library has itself (interpose.c): found at run time, so that a tool
 * that has them, too (a sanitizer), keeps its place in the row. */
#ifndef GC_PLATFORM_LINUX_REAL_H
#define GC_PLATFORM_LINUX_REAL_H

#include <errno.h>
#include <stdbool.h>

/* The next definition behind ours; without one the program ends. */
void *gc__real_function(const char *name);

/* Only a static executable may be without one. */
bool gc__real_exists(const char *name);

/* Looks all of them up: from then on it takes no lock, as the loader has one. */
void gc__real_prepare(void);

/* A pointer to the real `name`, looked up once in each place. */
#define GC_REAL(name)                                                                                                  \
    ({                                                                                                                 \
        static void *real_##name;                                                                                      \
        void *found = __atomic_load_n(&real_##name, __ATOMIC_RELAXED);                                                 \
        if (found == NULL) {                                                                                           \
            found = gc__real_function(#name);                                                                          \
            __atomic_store_n(&real_##name, found, __ATOMIC_RELAXED);                                                   \
        }                                                                                                              \
        (__typeof__(&name))found;                                                                                      \
    })

#endif
