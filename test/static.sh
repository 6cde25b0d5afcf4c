#!/bin/sh
# static.sh - static executables: what only a thread-local variable points at stays
# alive, in the first thread and in others; and Broom in the place of malloc.
set -eu
: "${CC:=cc}"
top=${top_srcdir:-.} build=${top_builddir:-.}
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.a

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/program.c" <<'END'
#include <broom.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

enum { COUNT = 1000 };

struct leaf {
    uintptr_t number;
};

/* Aligned, and not of a round size. */
static _Thread_local _Alignas(64) struct leaf *leaf[COUNT];
static _Thread_local char odd[5] = "odd.";

static __attribute__((noinline)) void make_leaves(void)
{
    for (uintptr_t i = 0; i < COUNT; i++) {
        leaf[i] = gc_malloc(sizeof *leaf[i]);
        leaf[i]->number = i;
    }
}

static void *keep_leaves(void *unused)
{
    make_leaves();
    gc_collect();
    for (unsigned i = 0; i < 10 * COUNT; i++)
        memset(gc_malloc(sizeof(struct leaf)), 0xbb, sizeof(struct leaf));
    for (uintptr_t i = 0; i < COUNT; i++)
        if (leaf[i]->number != i)
            return (void *)leaf;
    return strcmp(odd, "odd.") == 0 ? unused : (void *)odd;
}

int main(void)
{
    pthread_t thread;
    void *result;

    if (keep_leaves(NULL) != NULL)
        return 1;
    if (pthread_create(&thread, NULL, keep_leaves, NULL) != 0 || pthread_join(thread, &result) != 0)
        return 2;
    return result != NULL ? 3 : 0;
}
END

echo 'int main(void) { return 0; }' >"$work/nothing.c"
if ! $CC -static -o "$work/nothing" "$work/nothing.c" 2>/dev/null; then
    echo "no static C library"
    exit 77
fi

# variable LIBRARY NAME - what its .pc says.
variable()
{
    sed -n "s/^$2[=:] *//p" "$build/$1.pc"
}

# link LIBRARY SOURCE FLAG... - to the program, without a word of the linker's.
link()
{
    library=$1 source=$2
    shift 2
    # Words, not strings: $CC, and what the .pc says.
    # shellcheck disable=SC2046,SC2086
    if ! $CC -static -o "$work/program" "$source" "$@" "$build/.libs/lib$library.a" \
        $(variable $library Libs.private) $(variable $library static_executable) 2>"$work/errors"; then
        cat "$work/errors"
        exit 1
    fi
    if [ -s "$work/errors" ]; then
        cat "$work/errors"
        echo "the linker has something to say"
        exit 1
    fi
}

link broom "$work/program.c" -I"$top/include"
"$work/program"

# One without threads needs no more than the archive: there are no markers but its own.
cat >"$work/alone.c" <<'END'
#include <broom.h>

struct cell {
    struct cell *next;
    long number[10];
};

int main(void)
{
    struct cell *cells = NULL;
    long count = 0;

    for (long i = 0; i < 400000; i++) {
        struct cell *cell = gc_malloc(sizeof *cell);

        cell->next = cells;
        cell->number[9] = i;
        cells = cell;
    }
    gc_collect();
    for (; cells != NULL && cells->number[9] == 399999 - count; cells = cells->next)
        count++;
    return count == 400000 ? 0 : 1;
}
END
$CC -static -o "$work/alone" "$work/alone.c" -I"$top/include" "$build/.libs/libbroom.a"
BROOM_MARKERS=4 "$work/alone"

link broom-malloc "$top/test/replaced_roots.c" -std=gnu11 -fno-builtin -I"$top" -Wl,-u,malloc
for check in static mapped brk unaligned threads epoll queue signalling_timer; do
    if ! BROOM_STATS=1 "$work/program" $check 2>"$work/errors" || ! grep -q '^broom: collections [1-9]' "$work/errors"; then
        cat "$work/errors"
        echo "$check: it fails, or is not linked with Broom"
        exit 1
    fi
done
