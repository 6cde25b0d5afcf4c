/* events.h - telling the program what happened: outside of our code, without a
 * lock. */
#ifndef GC_API_EVENTS_H
#define GC_API_EVENTS_H

struct mutator;

/* Tells all that is to be told, unless somebody is at it. */
void gc__events_tell(void);

/* The thread was at it, and has left the callback without returning. */
void gc__events_tell_no_more(struct mutator *mutator);

/* In the child of a fork: who was at it may be gone. */
void gc__events_forget_teller(void);

#endif
