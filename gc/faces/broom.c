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

static const char usage[] =
    "usage: broom run [OPTION...] [--] PROGRAM [ARGUMENT...]\n"
    "\n"
    "Runs PROGRAM with Broom, a garbage collector, in the place of malloc.\n"
    "\n"
    "  --free=ignore    free does nothing: what is unreachable is collected (default)\n"
    "  --free=honour    free frees at once; what was forgotten is collected\n"
    "  --stats          a summary on stderr at exit (none after _exit, as of dash, nor after a signal)\n"
    "  --log            one line on stderr for each collection\n"
    "  --max-heap=SIZE  beyond that malloc fails (SIZE: a number, perhaps with K, M, G or T, from 4M on)\n"
    "  --children       the programs that it runs have Broom, too\n"
    "  --keep-for=LIST  what libraries of these names allocate is kept until they free it\n"
    "  --NAME=VALUE     any other option: BROOM_NAME of the manual\n"
    "  --               ends the options, for a PROGRAM whose name begins with -\n"
    "\n"
    "       broom --help | --version\n"
    "\n"
    "Programs that are linked with Broom have the options as variables: BROOM_STATS=1 PROGRAM\n";

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

static bool needs_value(const char *argument, const char *allowed)
{
    gc__message("%.80s needs =VALUE (%s)", argument, allowed);
    return false;
}

static bool is_no_value(const char *argument, const char *allowed)
{
    gc__message("%.80s: that is no value for it (%s)", argument, allowed);
    return false;
}

static bool set_option(const struct option *option, const char *argument, const char *value)
{
    bool is_switch = option->form == OPTION_COUNT && option->most == 1;
    char allowed[GC_ALLOWED_BYTES];
    int64_t parsed;

    gc__option_allowed(option, allowed, sizeof allowed);
    if (value == NULL && !is_switch)
        return needs_value(argument, allowed);
    if (!gc__option_parse(option, value != NULL ? value : "1", &parsed))
        return is_no_value(argument, allowed);
    return setenv(option->variable, value != NULL ? value : "1", 1) == 0;
}

/* No file's name begins with nothing, or with a folder; and after a comma, a blank is a slip. */
static bool is_list_of_names(const char *list)
{
    for (size_t length;; list += length + 1) {
        length = strcspn(list, ",");
        if (length == 0 || strcspn(list, "/ \t\n") < length)
            return false;
        if (list[length] == '\0')
            return true;
    }
}

/* To what stood before on the command line, but not to what the environment has. */
static bool keep_for(const char *argument, const char *list)
{
    static const char allowed[] = "beginnings of files' names, without folders or blanks, with commas between";
    static char all[8192];
    size_t length = strlen(all);

    if (list == NULL)
        return needs_value(argument, allowed);
    if (!is_list_of_names(list) || strlen(list) + 1 >= sizeof all - length)
        return is_no_value(argument, allowed);
    snprintf(all + length, sizeof all - length, "%s%s", length > 0 ? "," : "", list);
    return setenv(GC_KEEP_FOR, all, 1) == 0;
}

static bool is_named(const char *argument, size_t length, const char *name)
{
    return strncmp(argument, name, length) == 0 && name[length] == '\0';
}

static bool take_option(const char *argument)
{
    size_t length = strcspn(argument, "=");
    const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
    const struct option *option = strncmp(argument, "--", 2) == 0 ? find_option(argument + 2, length - 2) : NULL;

    if (option != NULL)
        return set_option(option, argument, value);
    if (is_named(argument, length, "--keep-for"))
        return keep_for(argument, value);
    if (is_named(argument, length, "--children") || is_named(argument, length, "--help") ||
        is_named(argument, length, "--version"))
        gc__message("%.*s takes no value", (int)length, argument);
    else
        gc__message("there is no option %.80s", argument);
    return false;
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

static int print_usage(void)
{
    return fputs(usage, stdout) < 0;
}

static int print_version(void)
{
    return printf("broom %d.%d.%d\n", GC_VERSION_MAJOR, GC_VERSION_MINOR, GC_VERSION_PATCH) < 0;
}

static int take_options_and_run(char **argument)
{
    bool children = false;

    for (; *argument != NULL && **argument == '-'; argument++) {
        if (strcmp(*argument, "--") == 0) {
            argument++;
            break;
        }
        if (strcmp(*argument, "--help") == 0)
            return print_usage();
        if (strcmp(*argument, "--version") == 0)
            return print_version();
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
        return print_usage();
    if (count == 2 && strcmp(argument[1], "--version") == 0)
        return print_version();
    fputs(usage, stderr);
    return WRONG_USE;
}
