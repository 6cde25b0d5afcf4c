/* replaced.h - what the programs share that know of no collector: replaced.c and
 * replaced_habits.c. Wants _GNU_SOURCE. */
#ifndef TEST_REPLACED_H
#define TEST_REPLACED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void *volatile sink;

/* ---- What lives, and what dies ------------------------------------------------------------ */

/* Enough garbage for collections, of the size that those kept below have, and of
 * others: what was lost is written over. */
static __attribute__((noinline, unused)) void litter(size_t megabytes)
{
    for (size_t bytes = 0, size = 48; bytes < megabytes << 20; bytes += size, size = size == 48 ? 200 : 48)
        sink = memset(malloc(size), 0x5a, size);
}

struct kept {
    char text[40];
    void *next;
};

static __attribute__((noinline, unused)) struct kept *make_kept(const char *text)
{
    struct kept *kept = malloc(sizeof *kept);

    strcpy(kept->text, text);
    kept->next = malloc(sizeof *kept);
    strcpy(((struct kept *)kept->next)->text, "behind");
    return kept;
}

static inline bool is_kept(const struct kept *kept, const char *text)
{
    return strcmp(kept->text, text) == 0 && strcmp(((struct kept *)kept->next)->text, "behind") == 0;
}

/* Old words on the stack are not to keep what is checked. */
static __attribute__((noinline, unused)) void clear_stack(void)
{
    volatile char area[16384];

    for (size_t i = 0; i < sizeof area; i++)
        area[i] = 0;
}

#endif
