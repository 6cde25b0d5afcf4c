#!/bin/sh
# documents.sh - the programs in doc/runtimes.md compile without a warning, run, and
# print what the document says: what stands in the next block of text behind each.
set -eu
: "${CC:=cc}"
source=${top_srcdir:-.}/doc/runtimes.md
library=${top_builddir:-.}/libbroom.la
status=0 count=0

unset BROOM_STRESS # what they print depends on when is collected

# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroomcore.a

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
    /^```c$/ { file = work "/" ++programs ".c"; next }
    /^```cpp$/ { file = work "/" ++programs ".cc"; next }
    /^```text$/ { file = work "/" programs ".expected"; next }
    /^```/ { file = ""; next }
    file != "" { print >file }
' "$source"

cxx=
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/cxx"

for program in "$work"/*.c "$work"/*.cc; do
    name=${program%.c*}
    count=$((count + 1))
    case $program in
    *.cc) compiler="$cxx -std=c++17" ;;
    *) compiler="$CC -std=gnu11" ;;
    esac
    [ "$compiler" != ' -std=c++17' ] || continue
    # A command and its arguments.
    # shellcheck disable=SC2086
    "${top_builddir:-.}/libtool" --silent --tag=CC --mode=link $compiler -Wall -Wextra -Werror ${CFLAGS:-} \
        -I"${top_srcdir:-.}/include" -static -o "$name" "$program" "$library" || {
        echo "$source: program $count does not compile"
        status=1
        continue
    }
    "$name" >"$name.printed" || echo "status of program $count: $?" >>"$name.printed"
    if ! diff "$name.expected" "$name.printed"; then
        echo "$source: program $count does not print what is said (<)"
        status=1
    fi
done
[ "$count" -gt 0 ] || { echo "no programs in $source" && status=1; }
exit $status
