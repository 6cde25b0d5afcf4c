#!/bin/sh
# keepers.sh - in the place of malloc: a library that knows its memory by the difference of
# two addresses keeps it until it frees it, whether the program is linked with it or opens it
# later; others' memory is collected as ever.
set -eu
: "${CC:=cc}"
library=${top_builddir:-.}/.libs/libbroom-malloc.so
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom-malloc.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/apart.c" <<'END'
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct apart {
    intptr_t text; /* from here */
    size_t bytes;
};

static char *text_of(struct apart *a)
{
    return (char *)a + a->text;
}

/* It begins as nothing, and may grow, as such arrays do. */
struct apart *apart_make(char letter, size_t bytes);

/* Before the program, and perhaps before Broom's own constructor. */
static struct apart *early;

__attribute__((constructor)) static void begin(void)
{
    early = apart_make('e', 5000);
}

struct apart *apart_early(void)
{
    return early;
}

struct apart *apart_make(char letter, size_t bytes)
{
    struct apart *a = calloc(1, sizeof *a);
    size_t alignment = bytes % 5 == 0 ? 64 : bytes % 7 == 0 ? 1 << 16 : 0;
    char *text = alignment != 0 ? aligned_alloc(alignment, bytes) : realloc(bytes % 11 == 0 ? strdup("") : NULL, bytes);

    memset(text, letter, bytes);
    if (bytes % 16 == 0)
        text = memset(realloc(text, 2 * bytes), letter, 2 * bytes);
    a->text = (intptr_t)text - (intptr_t)a;
    a->bytes = bytes;
    return a;
}

int apart_is_whole(struct apart *a, char letter)
{
    for (size_t i = 0; i < a->bytes; i++)
        if (text_of(a)[i] != letter)
            return 0;
    return 1;
}

void apart_free(struct apart *a)
{
    free(text_of(a));
    free(a);
}
END

cat >"$work/program.c" <<'END'
#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 300, ROUNDS = 2000 };

static struct apart *kept[COUNT];
static void *volatile sink;

static char letter_of(size_t i)
{
    return (char)('a' + i % 26);
}

static size_t bytes_of(size_t i)
{
    return i % 30 == 0 ? 50000 : 24 + 8 * (i % 100);
}

static void *look_up(void *library, const char *name)
{
    void *function = dlsym(library, name);

    if (function == NULL)
        exit(3);
    return function;
}

int main(int count, char **argument)
{
    void *library = count > 1 ? dlopen(argument[1], RTLD_NOW) : NULL;
    struct apart *(*make)(char letter, size_t bytes) = look_up(library, "apart_make");
    int (*is_whole)(struct apart *a, char letter) = look_up(library, "apart_is_whole");
    void (*free_it)(struct apart *a) = look_up(library, "apart_free");
    struct apart *(*early)(void) = look_up(library, "apart_early");

    for (size_t i = 0; i < COUNT; i++)
        kept[i] = make(letter_of(i), bytes_of(i));
    for (int round = 0; round < ROUNDS; round++) {
        struct apart *passing = make('z', 30000);

        sink = memset(malloc(30000), 0x55, 30000); /* dropped */
        if (!is_whole(passing, 'z'))
            return 1;
        free_it(passing);
    }
    for (size_t i = 0; i < COUNT; i++)
        if (!is_whole(kept[i], letter_of(i)))
            return 1;
    if (!is_whole(early(), 'e'))
        return 1;
#ifndef KEEPS_ALL
    if (mallinfo2().arena > (32u << 20)) { /* of 120 MB */
        fprintf(stderr, "%zu bytes are held\n", mallinfo2().arena);
        return 2;
    }
#endif
    return 0;
}
END

# A library that allocates as it goes, while another is waiting to take its place.
cat >"$work/goes.c" <<'END'
#include <stdlib.h>
#include <time.h>

extern volatile int goes, next_comes;
static void *volatile sink;

__attribute__((destructor)) static void end(void)
{
    goes = 1;
    while (!next_comes)
        continue;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    sink = malloc(20);
    free(sink);
}
END
cat >"$work/turns.c" <<'END'
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 300 };

volatile int goes, next_comes;
static struct apart *kept[COUNT];
static void *volatile sink;

static void *unload(void *library)
{
    return dlclose(library) == 0 ? NULL : library;
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);

    if (library == NULL)
        exit(3);
    return library;
}

static __attribute__((noinline)) void clear_stack(void)
{
    volatile char area[16384];

    memset((char *)area, 0, sizeof area);
}

/* The arguments: the library that goes, and the one that comes. */
int main(int count, char **argument)
{
    pthread_t thread;
    void *library = load(argument[1]), *result;
    struct apart *(*make)(char letter, size_t bytes);
    int (*is_whole)(struct apart *a, char letter);

    (void)count;
    pthread_create(&thread, NULL, unload, library);
    while (!goes)
        continue;
    next_comes = 1;
    library = load(argument[2]);
    make = dlsym(library, "apart_make");
    is_whole = dlsym(library, "apart_is_whole");
    for (size_t i = 0; i < COUNT; i++)
        kept[i] = make('a', 24 + 8 * (i % 100));
    clear_stack();
    for (size_t i = 0; i < 100 * COUNT; i++)
        sink = memset(malloc(24 + 8 * (i % 100)), 0x55, 24 + 8 * (i % 100)); /* dropped */
    for (size_t i = 0; i < COUNT; i++)
        if (!is_whole(kept[i], 'a'))
            return 1;
    return pthread_join(thread, &result) == 0 && result == NULL ? 0 : 1;
}
END

# $CC is a command and its arguments.
# shellcheck disable=SC2086
{
    $CC -std=gnu11 -O1 -fno-builtin -fPIC -shared -o "$work/libapart.so" "$work/apart.c"
    $CC -std=gnu11 -O1 -fno-builtin -o "$work/opens" "$work/program.c" -ldl
    $CC -std=gnu11 -O1 -fno-builtin -o "$work/linked" "$work/program.c" -Wl,--no-as-needed "$work/libapart.so" -ldl
    $CC -std=gnu11 -O1 -fno-builtin -DKEEPS_ALL -rdynamic -o "$work/apartment" "$work/program.c" "$work/apart.c" -ldl
    $CC -std=gnu11 -O1 -fno-builtin -fPIC -shared -o "$work/libgoes.so" "$work/goes.c"
    $CC -std=gnu11 -O1 -fno-builtin -rdynamic -pthread -o "$work/turns" "$work/turns.c" -ldl
}
ln -s apartment "$work/elsewhere"

for free in ignore honour; do
    for stress in 0 97; do
        for list in libapart.so "another,,libapart"; do
            echo "free: $free, stress: $stress, $list"
            export BROOM_FREE=$free BROOM_STRESS=$stress BROOM_KEEP_FOR="$list"
            LD_PRELOAD=$library "$work/linked"
            LD_PRELOAD=$library "$work/opens" "$work/libapart.so"
        done
    done
done
unset BROOM_FREE BROOM_STRESS
export BROOM_KEEP_FOR=libapart,apartment

echo "a program of that name, whatever it is called"
LD_PRELOAD=$library "$work/apartment"
LD_PRELOAD=$library "$work/elsewhere"

echo "where another library was"
LD_PRELOAD=$library "$work/turns" "$work/libgoes.so" "$work/libapart.so"
unset BROOM_KEEP_FOR

echo "by the option of the command"
"${top_builddir:-.}/broom" run --keep-for=libapart "$work/linked"
if "${top_builddir:-.}/broom" run --keep-for=others "$work/linked" 2>/dev/null; then
    echo "without it nothing is lost, and so nothing was shown"
    exit 1
fi
