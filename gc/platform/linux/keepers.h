/* keepers.h - libraries that do not know their memory by its address alone, but by the
 * difference of two, or by one before its start. What these get from malloc is kept until they
 * free it. Who calls is told by where it will return to.
 *
 * In the library broom-malloc alone.
 *
 * Threads: any. Async-signal-safe, but for gc__keepers_begin. */
#ifndef GC_PLATFORM_LINUX_KEEPERS_H
#define GC_PLATFORM_LINUX_KEEPERS_H

#include <stdbool.h>

/* Names more of them, by the beginnings of their files' names, with commas between. */
#define GC_KEEP_FOR "BROOM_KEEP_FOR"

/* Whether there may be any: false in most programs. */
extern bool gc__keepers_may_call;

/* Looks which libraries there are. In a constructor. */
void gc__keepers_begin(void);

/* There may be others than before: one is going to be loaded. */
void gc__keepers_expect_more(void);

/* Around the unloading of one: what is known of its code may soon be of another's. */
void gc__keepers_begin_unloading(void);
void gc__keepers_end_unloading(void);

bool gc__keepers_have(const void *code);

#endif
