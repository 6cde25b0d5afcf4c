#!/bin/sh
# traced.sh - a program with threads that collects, under gdb and under strace: both see
# the signal that stops threads, and neither is disturbed.
set -eu
: "${CC:=cc}"
build=${top_builddir:-.}
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.a

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/program.c" <<'END'
#include <broom.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 3, COLLECTIONS = 5 };

static _Atomic int done;
static int pipe_ends[2];

/* It does not come by itself. */
static void *count(void *unused)
{
    volatile unsigned long n = 0;

    while (!done)
        n++;
    return unused;
}

static void *wait(void *unused)
{
    char byte;

    return read(pipe_ends[0], &byte, 1) == 1 ? unused : pipe_ends;
}

int main(void)
{
    static void *(*const function[THREADS])(void *) = {count, wait, count};
    pthread_t thread[THREADS];
    void *result;
    int failures = pipe(pipe_ends) != 0;

    gc_init();
    for (int i = 0; i < THREADS; i++)
        failures += pthread_create(&thread[i], NULL, function[i], NULL) != 0;
    for (int i = 0; i < COLLECTIONS; i++) {
        failures += gc_malloc(1000) == NULL;
        gc_collect();
    }
    done = 1;
    failures += write(pipe_ends[1], "", 1) != 1;
    for (int i = 0; i < THREADS; i++)
        failures += pthread_join(thread[i], &result) != 0 || result != NULL;
    puts(failures == 0 ? "all went well" : "it failed");
    return failures != 0;
}
END

# Words, not strings: $CC, and what broom.pc says.
# shellcheck disable=SC2046,SC2086
$CC -g -o "$work/program" "$work/program.c" -I"${top_srcdir:-.}/include" "$build/.libs/libbroom.a" \
    $(sed -n 's/^Libs.private: *//p' "$build/broom.pc")

tried=0 failures=0

# expect PATTERN FILE
expect()
{
    if ! grep -qE -- "$1" "$2"; then
        echo "$tracer: no \"$1\":"
        sed 's/^/    /' "$2" | tail -n 40
        failures=$((failures + 1))
    fi
}

# May be refused: in a container, or where the test is traced itself.
under_gdb()
{
    gdb -nx -batch -ex 'set startup-with-shell off' -ex 'set disable-randomization off' \
        -ex 'set debuginfod enabled off' -ex 'handle SIG41 nostop noprint' -ex run "$1"
}

tracer=gdb
if under_gdb /bin/true 2>&1 | grep -q 'exited normally'; then
    tried=$((tried + 1))
    under_gdb "$work/program" >"$work/output" 2>&1 || failures=$((failures + 1))
    # Not at the start of a line: gdb may be in the middle of one when the program speaks.
    expect 'all went well$' "$work/output"
    expect 'exited normally' "$work/output"
    if grep -q 'broom:' "$work/output"; then
        cat "$work/output"
        failures=$((failures + 1))
    fi
fi

tracer=strace
if strace -f -o /dev/null /bin/true 2>/dev/null; then
    tried=$((tried + 1))
    strace -f -o "$work/calls" "$work/program" >"$work/output" 2>&1 || failures=$((failures + 1))
    expect '^all went well$' "$work/output"
    expect 'SIGRT_9' "$work/calls"
fi

[ "$tried" -gt 0 ] || { echo "neither gdb nor strace can trace anything here" && exit 77; }
[ "$failures" -eq 0 ]
