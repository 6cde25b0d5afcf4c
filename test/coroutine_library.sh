#!/bin/sh
# coroutine_library.sh - coroutines of a library from outside (Debian: libpcl1-dev)
# keep what is on their stacks.
set -eu
: "${CC:=cc}"
source=${top_srcdir:-.}
build=${top_builddir:-.}

# $CC is a command and its arguments.
# shellcheck disable=SC2086
if ! printf '#include <pcl.h>\nint main(void) { return 0; }\n' | $CC -x c -fsyntax-only - 2>/dev/null; then
    echo "no pcl.h: the library is not installed"
    exit 77
fi
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086
$CC -O2 -I"$source/include" "$source/test/coroutine_library.c" -o "$work/program" \
    -L"$build/.libs" -lbroom -lpcl
LD_LIBRARY_PATH=$build/.libs "$work/program"
BROOM_STRESS=4999 LD_LIBRARY_PATH=$build/.libs "$work/program"
