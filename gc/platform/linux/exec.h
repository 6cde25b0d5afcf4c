/* exec.h - one call that makes the process another program, of whichever name.
 *
 * Threads: any. A signal's handler, and the child of a vfork or a fork, may make such
 * calls: nothing is allocated, and no lock is taken. */
#ifndef GC_PLATFORM_LINUX_EXEC_H
#define GC_PLATFORM_LINUX_EXEC_H

#include <stdbool.h>

struct gc__exec {
    int folder; /* and flags: as those of execveat */
    int flags;
    bool is_searched; /* `file` is looked for in PATH, and may be a script without a first line */
    const char *file;
    char *const *arguments;
    char *const *environment;
};

/* Returns if it fails: -1, and errno. */
typedef int gc__exec_call(const struct gc__exec *exec);

/* Makes the call with another environment, say. NULL: it is made as it is. */
extern int (*gc__exec_by)(const struct gc__exec *exec, gc__exec_call *call);

/* ---- The signal that stops threads -------------------------------------------------- *
 * A signal that is pending for the thread that calls exec stays so, and its handler does
 * not: the new program would end by it. */

/* What the call has met with. */
struct gc__exec_hold {
    bool is_held;     /* false: the process is another, whose threads nobody stops */
    bool was_taken;   /* the signal was pending */
    unsigned refused; /* signals not sent, when it began */
};

/* From now on the process's threads are sent no such signal, for GC_EXEC_NS at most, and
 * none is pending for this one. And it failed: a signal that was kept off comes. */
struct gc__exec_hold gc__exec_begin(void);
void gc__exec_end(struct gc__exec_hold hold);

/* Around sending one. False: not now. */
bool gc__exec_begin_signal(void);
void gc__exec_end_signal(void);

/* The signal has its handler. And the calling process is the one whose threads are
 * stopped: at the start, and in a copy. */
void gc__exec_note_handler(void);
void gc__exec_note_process(void);

#endif
