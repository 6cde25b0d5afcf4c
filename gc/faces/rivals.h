/* rivals.h - other allocators in the process, with which ours does not go. For the library
 * broom-malloc, when it begins. */
#ifndef GC_FACES_RIVALS_H
#define GC_FACES_RIVALS_H

/* Ends the program with a message if there is one. */
void gc__refuse_rivals(void);

#endif
