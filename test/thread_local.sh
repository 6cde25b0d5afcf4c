#!/bin/sh
# thread_local.sh - a program that is linked with libbroom.so, and threads that use a
# library's thread-local variables while that comes and goes: the signal that stops them may
# not ask the loader for ours, as it would free theirs then, in the middle of their malloc.
set -eu
: "${CC:=cc}"
top=${top_srcdir:-.} build=${top_builddir:-.}
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/plugin.c" <<'END'
static _Thread_local volatile char large[9000];

int touch(void);

int touch(void)
{
    return ++large[10];
}
END

cat >"$work/program.c" <<'END'
#include <broom.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 100 };

static _Atomic unsigned begun, touched; /* rounds, and threads in this one */
static _Atomic int over;
static int (*touch)(void);

static void *allocate_and_touch(void *unused)
{
    void *piece[64] = {NULL};
    unsigned random = 1, seen = 0;

    while (!over) {
        unsigned which = (random = random * 1103515245 + 12345) >> 8 & 63;

        if (begun != seen) {
            seen = begun;
            touch();
            touched++;
        }
        free(piece[which]);
        piece[which] = malloc(1200 + (random >> 16) % 3000);
    }
    return unused;
}

static void *load(const char *path)
{
    void *plugin = dlopen(path, RTLD_NOW);

    if (plugin == NULL) {
        puts(dlerror());
        exit(1);
    }
    return plugin;
}

/* The other stays, and has a number behind this one's: the loader keeps its place. */
static void come_and_go(const char *path, const char *other)
{
    void *plugin = load(path);

    load(other);
    *(void **)&touch = dlsym(plugin, "touch");
    touched = 0;
    begun++;
    while (touched < THREADS)
        usleep(50);
    dlclose(plugin);
    gc_collect();
}

/* Its arguments are two plugins. */
int main(int count, char **argument)
{
    pthread_t thread[THREADS];

    gc_init();
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], NULL, allocate_and_touch, NULL) != 0)
            return 1;
    for (int i = 0; i < ROUNDS && count == 3; i++)
        come_and_go(argument[1], argument[2]);
    over = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    return 0;
}
END

# $CC is a command and its arguments.
# shellcheck disable=SC2086
$CC -O2 -fPIC -shared -o "$work/plugin.so" "$work/plugin.c"
cp "$work/plugin.so" "$work/other.so"
# shellcheck disable=SC2086
$CC -O2 -I"$top/include" -o "$work/program" "$work/program.c" -L"$build/.libs" -lbroom -pthread -ldl
if ! LD_LIBRARY_PATH=$build/.libs timeout 60 "$work/program" "$work/plugin.so" "$work/other.so"; then
    echo "it hangs, or fails"
    exit 1
fi
