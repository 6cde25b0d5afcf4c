/* preload.h - what the command `broom` and the library that it preloads agree on. */
#ifndef GC_FACES_PRELOAD_H
#define GC_FACES_PRELOAD_H

#include <stdbool.h>

#define PRELOAD_NAME "libbroom-malloc.so"

/* In the environment: programs that the program runs are not to have the library. It
 * takes this, and itself from LD_PRELOAD, out of the environment. What the process itself
 * becomes by exec has it again: a script's interpreter, what env and nice run. */
#define PRELOAD_ONCE "BROOM_RUN_ONCE"

/* In the library, before the program begins. */
void gc__preload_begin(void);

/* Takes the library out of the environment. False: it was not in LD_PRELOAD. */
bool gc__preload_take_out(void);

#endif
