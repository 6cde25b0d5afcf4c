/* program.h - what can be told of a program before it is run, and running it. For the
 * command `broom`, which is one thread, and for the calls of exec: nothing is allocated. */
#ifndef GC_PLATFORM_PROGRAM_H
#define GC_PLATFORM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Why a library cannot be put in the place of its malloc. */
enum gc__obstacle {
    OBSTACLE_NONE,
    OBSTACLE_NOT_FOUND,
    OBSTACLE_NOT_EXECUTABLE,   /* a folder, a device, or a file without the permission */
    OBSTACLE_NO_PROGRAM,       /* neither of this system's format nor a script, be it one for the shell */
    OBSTACLE_NO_INTERPRETER,   /* that of a script cannot be executed: `detail` is its path */
    OBSTACLE_TOO_MANY_SCRIPTS, /* that interpret each other, perhaps in a circle: `detail` is the last */
    OBSTACLE_OTHER_CPU,        /* or words of another size */
    OBSTACLE_STATIC,           /* there is no dynamic loader */
    OBSTACLE_OTHER_LOADER,     /* of another C library: `detail` is its path */
    OBSTACLE_PRIVILEGED,       /* set-uid or the like: the loader ignores what it is told */
    OBSTACLE_OWN_ALLOCATOR,    /* `detail` is the first name of the family that it defines */
    OBSTACLE_ITS_ALLOCATOR,    /* it calls more of an allocator than malloc and its like: `detail` says what of which */
    OBSTACLE_IS_OURS_ALREADY   /* it is linked with Broom */
};

struct gc__program {
    enum gc__obstacle obstacle;
    char path[4096]; /* of the file that was looked at: of a script its interpreter, if there is one */
    char detail[256];
};

/* The program that `name` stands for, as execvp would find it. */
struct gc__program gc__program_look(const char *name);

/* The one at this path, be it without a slash. */
struct gc__program gc__program_look_at(const char *path);

#define GC_EXPLANATION_BYTES 512

/* The obstacle in words, as they stand behind the program's name and a colon. */
void gc__program_explain(const struct gc__program *program, char *text, size_t capacity);

/* The folder of the running program. */
bool gc__program_own_folder(char *path, size_t capacity);

bool gc__program_is_readable(const char *path);

/* Does not return, but for an error: an errno value. */
int gc__program_execute(const char *name, char **arguments);

#endif
