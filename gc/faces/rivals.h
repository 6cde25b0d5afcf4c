/* rivals.h - other allocators in the process, with which ours does not go. For the library
 * broom-malloc, when it begins. */
#ifndef GC_FACES_RIVALS_H
#define GC_FACES_RIVALS_H

/* If there is one, the program begins again without our library, with a message; where that
 * was not preloaded, the message is the end. `arguments`: of its main. */
void gc__avoid_rivals(char **arguments);

#endif
