/* replaced_library.c - a program that knows of no collector: as replaced.c, about what the C
 * library and the loader keep for it.
 *
 *   replaced_library CHECK */
#define _GNU_SOURCE
#include "test/early_plugin.h"
#include "test/replaced.h"
#include "test/survive_plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <langinfo.h>
#include <locale.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <regex.h>
#include <search.h>
#include <sys/wait.h>
#include <wctype.h>

/* Of all sizes that what was lost may have had. */
static __attribute__((noinline)) void litter_in_all_sizes(void)
{
    for (unsigned round = 0; round < 20; round++)
        for (size_t bytes = 16; bytes <= 4096; bytes += 16)
            for (unsigned i = 0; i < 1 + 512 / bytes; i++)
                sink = memset(malloc(bytes), 0x5a, bytes);
}

/* ---- Before main ---------------------------------------------------------------------- */

static struct kept *early[2];

/* Before any library's constructor, that of broom-malloc included. */
static void allocate_before_constructors(void)
{
    early[0] = make_kept("before");
    REQUIRE(dlsym(RTLD_DEFAULT, "malloc") != NULL && dlsym(RTLD_DEFAULT, "there is no such function") == NULL);
    REQUIRE(dlerror() != NULL); /* its text is allocated */
}

__attribute__((section(".preinit_array"),
               used)) static void (*const before_constructors)(void) = allocate_before_constructors;

static __attribute__((constructor)) void allocate_in_constructor(void)
{
    early[1] = make_kept("in a constructor");
}

static void check_early(void)
{
    clear_stack();
    litter_in_all_sizes();
    REQUIRE(is_kept(early[0], "before") && is_kept(early[1], "in a constructor"));
    early[0] = realloc(early[0], 1000);
    free(early[1]->next);
    litter_in_all_sizes();
    REQUIRE(is_kept(early[0], "before") && malloc_usable_size(early[0]) >= 1000);
}

/* ---- At the end --------------------------------------------------------------------------- */

enum { MANY = 200 }; /* more than there is room for beforehand */

static unsigned called;

static void check_at_exit_argument(int status, void *argument)
{
    litter(1);
    called++;
    if (status != 0 || !is_kept(argument, "on_exit"))
        _exit(1);
}

static void check_all_were_called(void)
{
    if (called != MANY)
        _exit(1);
}

static void check_at_exit(void)
{
    REQUIRE(atexit(check_all_were_called) == 0); /* the first is called last */
    for (unsigned i = 0; i < MANY; i++)
        REQUIRE(on_exit(check_at_exit_argument, make_kept("on_exit")) == 0);
    clear_stack();
    litter_in_all_sizes();
    exit(0);
}

static void note_called(void)
{
    called++;
}

static void check_atfork(void)
{
    int status;
    pid_t child;

    for (unsigned i = 0; i < MANY; i++)
        REQUIRE(pthread_atfork(note_called, note_called, note_called) == 0);
    litter_in_all_sizes();
    child = fork();
    REQUIRE(child >= 0 && called == 2 * MANY);
    if (child == 0)
        _exit(0);
    REQUIRE(waitpid(child, &status, 0) == child && status == 0);
}

/* What a compiler makes of the destructor of a thread_local object. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *library);
extern void *__dso_handle;

static _Atomic unsigned destroyed;

static void destroy_kept(void *object)
{
    litter_in_all_sizes();
    REQUIRE(is_kept(object, "thread_local"));
    destroyed++;
}

static void *make_thread_local(void *unused)
{
    for (unsigned i = 0; i < 3; i++)
        REQUIRE(__cxa_thread_atexit_impl(destroy_kept, make_kept("thread_local"), &__dso_handle) == 0);
    clear_stack();
    litter_in_all_sizes();
    return unused;
}

static void check_destructors(void)
{
    pthread_t thread[4];

    for (unsigned i = 0; i < 4; i++)
        REQUIRE(pthread_create(&thread[i], NULL, make_thread_local, NULL) == 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    REQUIRE(destroyed == 12);
    make_thread_local(NULL); /* this thread's are called by exit */
}

/* ---- The C library ------------------------------------------------------------------------- */

static void check_library(void)
{
    char *text = malloc(40), *line = NULL, *stream_text;
    size_t capacity = 0, stream_bytes;
    FILE *stream, *file = tmpfile();

    putenv(strcpy(text, "REPLACED=environment"));
    text = NULL;
    setenv("REPLACED_TOO", "set", 1);
    stream = open_memstream(&stream_text, &stream_bytes);
    REQUIRE(file != NULL && stream != NULL);
    for (unsigned i = 0; i < 3000; i++) {
        fprintf(stream, "%u ", i);
        fprintf(file, "line %u\n", i);
        if (i % 100 == 0)
            litter(2);
    }
    rewind(file);
    for (unsigned i = 0; i < 3000; i++)
        REQUIRE(getline(&line, &capacity, file) > 5 && (unsigned)atoi(line + 5) == i);
    fclose(stream);
    fclose(file);
    REQUIRE(stream_bytes == strlen(stream_text) && strstr(stream_text, " 2999 ") != NULL);
    REQUIRE(strcmp(getenv("REPLACED"), "environment") == 0 && strcmp(getenv("REPLACED_TOO"), "set") == 0);
}

extern char **environ;

static __attribute__((noinline)) void make_environment(void)
{
    environ = calloc(3, sizeof *environ);
    environ[0] = strdup("REPLACED=by hand");
    setenv("REPLACED_TOO", "set", 1);
}

static void check_environment(void)
{
    make_environment();
    clear_stack();
    litter_in_all_sizes();
    REQUIRE(strcmp(getenv("REPLACED"), "by hand") == 0 && strcmp(getenv("REPLACED_TOO"), "set") == 0);
}

/* The stream alone has its buffer, and of a stream that is not closed the list of all. */
static __attribute__((noinline)) void leave_stream(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    REQUIRE(file != NULL && setvbuf(file, malloc(5000), _IOFBF, 5000) == 0 && fputs(text, file) >= 0);
}

static void check_streams(void)
{
    char path[] = "./broom-streams-XXXXXX", text[100] = "";
    int file = mkstemp(path);

    REQUIRE(file >= 0);
    leave_stream(path, "written at last");
    clear_stack();
    litter_in_all_sizes();
    REQUIRE(fflush(NULL) == 0 && read(file, text, sizeof text - 1) > 0);
    unlink(path);
    REQUIRE(strcmp(text, "written at last") == 0);
}

static __attribute__((noinline)) void use_locale(void)
{
    locale_t locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);

    REQUIRE(locale != (locale_t)0 && uselocale(locale) != (locale_t)0);
    REQUIRE(setlocale(LC_ALL, "C.UTF-8") != NULL);
}

static void check_locale(void)
{
    if (setlocale(LC_ALL, "C.UTF-8") == NULL)
        return; /* it is not installed */
    for (unsigned i = 0; i < 3; i++) {
        use_locale();
        clear_stack();
        litter_in_all_sizes();
        REQUIRE(strcmp(nl_langinfo(CODESET), "UTF-8") == 0 && towupper(0xe4) == 0xc4);
        REQUIRE(strcmp(setlocale(LC_ALL, NULL), "C.UTF-8") == 0 && strcmp(localeconv()->decimal_point, ".") == 0);
        freelocale(uselocale(LC_GLOBAL_LOCALE));
    }
}

static void check_expressions(void)
{
    static regex_t expression;
    regmatch_t match[3];

    REQUIRE(regcomp(&expression, "^(a|b)*c([[:digit:]]{2,5})x?$", REG_EXTENDED) == 0);
    for (unsigned i = 0; i < 3; i++) {
        clear_stack();
        litter_in_all_sizes();
        REQUIRE(regexec(&expression, "abbac123x", 3, match, 0) == 0 && match[2].rm_so == 5 && match[2].rm_eo == 8);
        REQUIRE(regexec(&expression, "abbac1x", 3, match, 0) == REG_NOMATCH);
    }
    regfree(&expression);
}

static void check_conversion(void)
{
    static iconv_t conversion[2];

    conversion[0] = iconv_open("UTF-16LE", "ISO-8859-15"); /* by two modules that are loaded */
    conversion[1] = iconv_open("ISO-8859-15", "UTF-16LE");
    if (conversion[0] == (iconv_t)-1 || conversion[1] == (iconv_t)-1)
        return; /* they are not installed */
    for (unsigned i = 0; i < 3; i++) {
        char from[] = "a\244b", wide[20], to[20], *at[3] = {from, wide, wide}, *end = to;
        size_t left[3] = {3, sizeof wide, 6}, room = sizeof to;

        clear_stack();
        litter_in_all_sizes();
        REQUIRE(iconv(conversion[0], &at[0], &left[0], &at[1], &left[1]) == 0 && left[1] == sizeof wide - 6);
        REQUIRE(iconv(conversion[1], &at[2], &left[2], &end, &room) == 0 && memcmp(to, from, 3) == 0);
    }
    iconv_close(conversion[0]);
    iconv_close(conversion[1]);
}

static bool is_local(const struct addrinfo *address)
{
    return address != NULL && address->ai_family == AF_INET && address->ai_addrlen != 0;
}

/* What is asked for later is looked up by threads that the C library makes. */
static void check_addresses(void)
{
    static struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_flags = AI_NUMERICHOST};
    static struct gaicb later[20], *list[20];

    for (unsigned i = 0; i < 20; i++) {
        later[i] = (struct gaicb){.ar_name = strdup("127.0.0.1"), .ar_service = strdup("80"), .ar_request = &hints};
        list[i] = &later[i];
    }
    REQUIRE(getaddrinfo("127.0.0.1", "80", &hints, &found) == 0 && getaddrinfo_a(GAI_NOWAIT, list, 20, NULL) == 0);
    clear_stack();
    litter_in_all_sizes();
    REQUIRE(is_local(found));
    for (unsigned i = 0; i < 20; i++) {
        const struct gaicb *wanted[1] = {&later[i]};

        while (gai_error(&later[i]) == EAI_INPROGRESS)
            gai_suspend(wanted, 1, NULL);
        litter(1);
        REQUIRE(gai_error(&later[i]) == 0 && is_local(later[i].ar_result));
    }
    freeaddrinfo(found);
}

/* The nodes of such a tree have their colour in the lowest bit of a pointer. */
static void check_tree(void)
{
    static void *tree;
    char name[20];

    REQUIRE(hcreate(1000) != 0);
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "%d", i * 7919 % 500);
        REQUIRE(tsearch(strdup(name), &tree, (int (*)(const void *, const void *))strcmp) != NULL);
        REQUIRE(hsearch((ENTRY){strdup(name), make_kept(name)}, ENTER) != NULL);
    }
    clear_stack();
    litter_in_all_sizes();
    for (int i = 0; i < 500; i++) {
        ENTRY *entry;

        snprintf(name, sizeof name, "%d", i);
        REQUIRE(tfind(name, &tree, (int (*)(const void *, const void *))strcmp) != NULL);
        entry = hsearch((ENTRY){name, NULL}, FIND);
        REQUIRE(entry != NULL && is_kept(entry->data, name));
    }
}

/* ---- The loader -------------------------------------------------------------------------------- */

enum { MODULES = 20, MODULE_THREADS = 4 }; /* more than a thread has room for beforehand */

typedef uintptr_t *words_of(enum survive_plugin_place place);

static words_of *words_of_module[MODULES];
static pthread_barrier_t filled;

/* A library is loaded once from a file: so each is a copy. */
static words_of *load_copy(const char *folder, unsigned number)
{
    const char *top = getenv("top_builddir");
    char command[5000], path[200];
    void *library;

    snprintf(path, sizeof path, "%s/%u.so", folder, number);
    snprintf(command, sizeof command, "LD_PRELOAD= cp '%s/test/survive_plugin.so' %s", top != NULL ? top : ".", path);
    REQUIRE(system(command) == 0 && (library = dlopen(path, RTLD_NOW | RTLD_LOCAL)) != NULL);
    unlink(path);
    return (words_of *)dlsym(library, "survive_plugin_words");
}

static __attribute__((noinline)) void fill_modules(void)
{
    for (unsigned i = 0; i < MODULES; i++) {
        words_of_module[i](PLUGIN_TLS_DATA)[3] = (uintptr_t)make_kept("initialized");
        words_of_module[i](PLUGIN_TLS_BSS)[5] = (uintptr_t)make_kept("zero");
    }
}

static void *use_modules(void *unused)
{
    fill_modules();
    clear_stack();
    pthread_barrier_wait(&filled);
    litter_in_all_sizes();
    for (unsigned i = 0; i < MODULES; i++) {
        REQUIRE(is_kept((struct kept *)words_of_module[i](PLUGIN_TLS_DATA)[3], "initialized"));
        REQUIRE(is_kept((struct kept *)words_of_module[i](PLUGIN_TLS_BSS)[5], "zero"));
    }
    return unused;
}

/* Each has a block of its own for each thread, and the thread a table of these. */
static void check_modules(void)
{
    char folder[] = "./broom-modules-XXXXXX";
    pthread_t thread[MODULE_THREADS];

    REQUIRE(mkdtemp(folder) != NULL);
    for (unsigned i = 0; i < MODULES; i++)
        words_of_module[i] = load_copy(folder, i);
    rmdir(folder);
    pthread_barrier_init(&filled, NULL, MODULE_THREADS);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < MODULE_THREADS; i++)
            REQUIRE(pthread_create(&thread[i], NULL, use_modules, NULL) == 0);
        for (unsigned i = 0; i < MODULE_THREADS; i++)
            pthread_join(thread[i], NULL);
    }
}

static void *function_of(void *library, const char *name)
{
    void *function = dlsym(library, name);

    REQUIRE(function != NULL);
    return function;
}

/* Its malloc and free are the program's, though its own symbols are to come first. */
static void use_deep(void *library)
{
    void (*discard)(char *text) = (void (*)(char *))function_of(library, "deep_plugin_free");
    char *(*grow)(char *text) = (char *(*)(char *))function_of(library, "deep_plugin_grow");
    char *(*copy)(const char *text) = (char *(*)(const char *))function_of(library, "deep_plugin_copy");
    char *text = strdup("the program's");

    text = grow(text);
    REQUIRE(strcmp(text, "the program's") == 0 && malloc_usable_size(text) >= 5000);
    discard(text);
    for (size_t bytes = 10; bytes < 1 << 20; bytes *= 2)
        discard(malloc(bytes));
    text = realloc(copy("the library's"), 5000);
    REQUIRE(strcmp(text, "the library's") == 0);
    free(text);
}

/* $ORIGIN is the folder of who calls dlopen: it must not seem to be another library. */
static void check_deep_modules(void)
{
    void *library;

    REQUIRE(dlopen("$ORIGIN/no such plugin.so", RTLD_NOW) == NULL && strstr(dlerror(), "no such plugin") != NULL);
    REQUIRE((library = dlmopen(LM_ID_BASE, "$ORIGIN/deep_plugin.so", RTLD_LAZY | RTLD_DEEPBIND)) != NULL);
    use_deep(library);
    REQUIRE(dlclose(library) == 0);
    REQUIRE((library = dlopen("$ORIGIN/deep_plugin.so", RTLD_NOW | RTLD_DEEPBIND)) != NULL);
    use_deep(library);
    REQUIRE(dlopen("$ORIGIN/deep_plugin.so", RTLD_NOW | RTLD_NOLOAD) == library && dlclose(library) == 0);
    if ((library = dlmopen(LM_ID_NEWLM, "$ORIGIN/deep_plugin.so", RTLD_NOW | RTLD_DEEPBIND)) != NULL)
        REQUIRE(function_of(library, "deep_plugin_free") != NULL && dlclose(library) == 0);
}

static volatile bool over;

static void *load_all_the_time(void *unused)
{
    while (!over) {
        void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL), *other = dlopen("libresolv.so.2", RTLD_NOW);

        if (library != NULL)
            dlsym(library, "there is no such function"); /* the message is allocated */
        dlopen("libdoesnotexist.so", RTLD_NOW);
        if (other != NULL)
            dlclose(other);
        if (library != NULL)
            dlclose(library);
    }
    return unused;
}

/* Who loads holds the loader's lock, and allocates; who collects must not wait for it. */
typedef char **early_place(void);

/* Whether the page of `word` can be written: the kernel is asked to. */
static bool can_be_written(char **word)
{
    int file = open("/dev/zero", O_RDONLY);
    ssize_t count = read(file, word, sizeof *word);

    REQUIRE(file >= 0 && (count == sizeof *word || (count == -1 && errno == EFAULT)));
    close(file);
    return count > 0;
}

static void check_bound(void)
{
    const char *top = getenv("top_builddir");
    char path[4096];
    void *library;
    char **place;

    snprintf(path, sizeof path, "%s/test/early_plugin.so", top != NULL ? top : ".");
    REQUIRE((library = dlopen(path, RTLD_NOW)) != NULL);
    place = ((early_place *)dlsym(library, "early_plugin_place"))();
    clear_stack();
    litter(getenv("BROOM_STRESS") == NULL ? 64 : 4);
    REQUIRE(strcmp(*place, EARLY_TEXT) == 0 && !can_be_written(place));
}

static void check_loads(void)
{
    pthread_t thread[2];

    for (unsigned i = 0; i < 2; i++)
        REQUIRE(pthread_create(&thread[i], NULL, load_all_the_time, NULL) == 0);
    litter(getenv("BROOM_STRESS") == NULL ? 1024 : 256);
    over = true;
    for (unsigned i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
}

/* ---- Which ------------------------------------------------------------------------------------------------ */

static const struct check checks[] = {
    {"early", check_early},
    {"at_exit", check_at_exit},
    {"atfork", check_atfork},
    {"destructors", check_destructors},
    {"library", check_library},
    {"environment", check_environment},
    {"streams", check_streams},
    {"locale", check_locale},
    {"expressions", check_expressions},
    {"conversion", check_conversion},
    {"addresses", check_addresses},
    {"tree", check_tree},
    {"modules", check_modules},
    {"deep_modules", check_deep_modules},
    {"bound", check_bound},
    {"loads", check_loads},
};

int main(int count, char **argument)
{
    return run_check(checks, sizeof checks / sizeof checks[0], count, argument);
}
