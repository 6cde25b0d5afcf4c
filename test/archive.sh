#!/bin/sh
# archive.sh - programs that are linked with the archive libbroom-malloc.a: what they keep
# where, and C++.
set -eu
: "${CC:=cc}"
top=${top_srcdir:-.} archive=${top_builddir:-.}/.libs/libbroom-malloc.a
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom-malloc.a

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export BROOM_STATS=1

# collects PROGRAM ARGUMENT... - it ends well, and has Broom, with both meanings of free.
collects()
{
    for free in ignore honour; do
        if ! BROOM_FREE=$free "$@" 2>"$work/errors" || ! grep -q '^broom: collections [1-9]' "$work/errors"; then
            echo "free: $free: $*"
            cat "$work/errors"
            exit 1
        fi
    done
}

# As the linker is told by broom-malloc.pc; $CC is a command and its arguments.
# shellcheck disable=SC2086
$CC -std=gnu11 -O1 -fno-builtin -I"$top" -o "$work/roots" "$top/test/replaced_roots.c" -Wl,-u,malloc "$archive" -pthread
for check in static mapped shared memfd brk unaligned threads epoll queue signalling_timer; do
    collects "$work/roots" $check
done

cxx=
# shellcheck source=/dev/null
. "$top/test/cxx"
if [ -n "$cxx" ]; then
    "$cxx" -std=c++17 -O1 -o "$work/cplusplus" "$top/test/replaced_cplusplus.cc" -Wl,-u,malloc "$archive" -pthread
    collects "$work/cplusplus"
    BROOM_STRESS=997 collects "$work/cplusplus"
fi
