#!/bin/sh
# cplusplus.sh - broom.hpp with the containers of the standard library, also under
# stress.
set -eu
source=${top_srcdir:-.}
build=${top_builddir:-.}

cxx=
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/cxx"
if [ -z "$cxx" ]; then
    echo "no C++ compiler"
    exit 77
fi
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cxx" -std=c++17 -O2 -Wall -Wextra -Werror -pedantic-errors -pthread -I"$source/include" \
    "$source/test/cplusplus.cc" -o "$work/program" -L"$build/.libs" -lbroom
LD_LIBRARY_PATH=$build/.libs "$work/program"
BROOM_STRESS=2003 LD_LIBRARY_PATH=$build/.libs "$work/program"
