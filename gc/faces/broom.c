/* broom.c - the command `broom`: runs programs with Broom in the place of malloc. See
 * doc/man/broom.1. */

#include "gc/api/options.h"
#include "gc/base/check.h"
#include "gc/faces/preload.h"
#include "gc/platform/linux/keepers.h"
#include "gc/platform/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As env and its like end. */
enum { WRONG_USE = 2, CANNOT_RUN = 126, NOT_FOUND = 127 };

static const char usage[] = "usage: broom run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
                            "\n"
                            "Runs PROGRAM with Broom, a garbage collector, in the place of malloc.\n"
                            "\n"
                            "  --free=ignore    free does nothing: what is unreachable is collected (default)\n"
                            "  --free=honour    free frees at once; what was forgotten is collected\n"
                            "  --stats          a summary on stderr at exit\n"
                            "  --log            one line on stderr for each collection\n"
                            "  --max-heap=SIZE  beyond that malloc fails (SIZE: a number, perhaps with K, M, G or T)\n"
                            "  --children       the programs that it runs have Broom, too\n"
                            "  --keep-for=LIST  what libraries of these names allocate is kept until they free it\n"
                            "  --NAME=VALUE     any other option: BROOM_NAME of the manual\n"
                            "\n"
                            "       broom --help | --version\n";

/* ---- Options -------------------------------------------------------------------------- */

/* --max-heap=1G is the value of BROOM_MAX_HEAP. */
static const struct option *find_option(const char *name, size_t length)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        const char *variable = gc__options[i].variable + sizeof "BROOM_" - 1;
        size_t same = 0;

        while (same < length && (name[same] == '-' ? variable[same] == '_' : name[same] - 'a' + 'A' == variable[same]))
            same++;
        if (same == length && variable[same] == '\0')
            return &gc__options[i];
    }
    return NULL;
}

static bool take_option(const char *argument)
{
    static const char keep[] = "--keep-for=";
    size_t length = strcspn(argument + 2, "=");
    const struct option *option = find_option(argument + 2, length);
    bool is_switch = option != NULL && option->form == OPTION_COUNT && option->most == 1;
    const char *value = argument[2 + length] == '=' ? argument + 2 + length + 1 : is_switch ? "1" : "";
    int64_t parsed;

    if (strncmp(argument, keep, sizeof keep - 1) == 0)
        return setenv(GC_KEEP_FOR, argument + sizeof keep - 1, 1) == 0;
    if (option == NULL) {
        gc__message("there is no option %.80s", argument);
        return false;
    }
    if (!gc__option_parse(option, value, &parsed)) {
        gc__message("%.80s: that is no value for it (%s)", argument, option->meaning);
        return false;
    }
    return setenv(option->variable, value, 1) == 0;
}

/* ---- The library ------------------------------------------------------------------------ */

/* Beside the command where it was built, or below the same prefix, or where it is
 * installed. */
static bool find_library(char *path, size_t capacity)
{
    char folder[2048];

    if (gc__program_own_folder(folder, sizeof folder)) {
        snprintf(path, capacity, "%s/.libs/" PRELOAD_NAME, folder);
        if (gc__program_is_readable(path))
            return true;
        snprintf(path, capacity, "%s/../lib/" PRELOAD_NAME ".0", folder);
        if (gc__program_is_readable(path))
            return true;
    }
    snprintf(path, capacity, "%s/" PRELOAD_NAME ".0", LIBRARY_FOLDER);
    return gc__program_is_readable(path);
}

static bool preload(void)
{
    const char *others = getenv("LD_PRELOAD");
    char path[4096], all[8192];

    if (!find_library(path, sizeof path)) {
        gc__message("the library %s is not where it was installed", path);
        return false;
    }
    if (strpbrk(path, ": ") != NULL) {
        gc__message("the loader takes no library from a folder like this: %.1000s", path);
        return false;
    }
    snprintf(all, sizeof all, "%s%s%s", path, others != NULL && *others != '\0' ? ":" : "",
             others != NULL ? others : "");
    return setenv("LD_PRELOAD", all, 1) == 0;
}

/* ---- Running ------------------------------------------------------------------------------ */

static int run(char **arguments)
{
    struct gc__program program = gc__program_look(arguments[0]);
    char why[GC_EXPLANATION_BYTES];
    int error;

    if (program.obstacle != OBSTACLE_NONE) {
        gc__program_explain(&program, why, sizeof why);
        gc__message("%.400s: %s", *program.path != '\0' ? program.path : "''", why);
        return program.obstacle == OBSTACLE_NOT_FOUND ? NOT_FOUND : CANNOT_RUN;
    }
    if (!preload())
        return CANNOT_RUN;
    error = gc__program_execute(arguments[0], arguments);
    gc__message("%.400s: %s", arguments[0], strerror(error));
    return CANNOT_RUN;
}

static int take_options_and_run(char **argument)
{
    bool children = false;

    for (; *argument != NULL && strncmp(*argument, "--", 2) == 0; argument++) {
        if (strcmp(*argument, "--") == 0) {
            argument++;
            break;
        }
        if (strcmp(*argument, "--help") == 0)
            return fputs(usage, stdout) < 0;
        if (strcmp(*argument, "--children") == 0)
            children = true;
        else if (!take_option(*argument))
            return WRONG_USE;
    }
    if (*argument == NULL) {
        fputs(usage, stderr);
        return WRONG_USE;
    }
    if (!children)
        setenv(PRELOAD_ONCE, "1", 1);
    return run(argument);
}

int main(int count, char **argument)
{
    if (count >= 2 && strcmp(argument[1], "run") == 0)
        return take_options_and_run(argument + 2);
    if (count == 2 && strcmp(argument[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    if (count == 2 && strcmp(argument[1], "--version") == 0)
        return printf("broom %d.%d.%d\n", GC_VERSION_MAJOR, GC_VERSION_MINOR, GC_VERSION_PATCH) < 0;
    fputs(usage, stderr);
    return WRONG_USE;
}
