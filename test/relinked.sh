#!/bin/sh
# relinked.sh - the examples that never free, as they were compiled for malloc, are
# linked again, with Broom in its place: they print the same, and stay small.
set -eu
: "${CC:=cc}"
build=${top_builddir:-.} sources=${top_srcdir:-.}/doc/examples
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom-malloc.so

unset BROOM_STRESS # the audit is no subject here
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# stays_below MIB PROGRAM ARGUMENT... - with twice, and more than ten times, as much it
# would run into the limit of its heap. The output is that of malloc.
stays_below()
{
    limit=$1 program=$2
    shift 2
    [ -e "$work/$program" ] || $CC -o "$work/$program" "$build/doc/examples/$program"/malloc-*.o \
        -L"$build/.libs" -lbroom-malloc -Wl,-rpath,"$(cd "$build/.libs" && pwd)" -lm
    "$build/doc/examples/$program-malloc" "$@" >"$work/expected"
    BROOM_MAX_HEAP=${limit}M BROOM_STATS=1 "$work/$program" "$@" >"$work/output" 2>"$work/summary" || status=1
    cmp "$work/expected" "$work/output" || status=1
    if ! grep -q '^broom: collections [1-9]' "$work/summary"; then
        echo "$program: is not linked with Broom, or did not collect"
        status=1
    fi
}

stays_below 12 concordance -l -w software -p 20 "$sources/../../COPYING" "$sources"/scheme/*.c
stays_below 12 concordance -l -w software -p 200 "$sources/../../COPYING" "$sources"/scheme/*.c
stays_below 12 scheme "$sources/scheme/programs/queens.scm"
exit $status
