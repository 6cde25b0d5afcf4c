#!/bin/sh
# replaced_cplusplus.sh - C++ with the library broom-malloc in the place of malloc:
# exceptions in flight, destructors of threads, new and delete.
set -eu
build=${top_builddir:-.}
library=$build/.libs/libbroom-malloc.so

cxx=
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/cxx"
if [ -z "$cxx" ]; then
    echo "no C++ compiler"
    exit 77
fi
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom-malloc.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$cxx" -std=c++17 -O1 -Wall -Wextra -Werror -pthread -o "$work/program" "${top_srcdir:-.}/test/replaced_cplusplus.cc"
"$work/program"
for free in ignore honour; do
    for stress in 0 97; do
        echo "free: $free, stress: $stress"
        BROOM_FREE=$free BROOM_STRESS=$stress LD_PRELOAD=$library "$work/program"
    done
done
