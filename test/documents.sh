#!/bin/sh
# documents.sh - the programs in doc/runtimes.md compile without a warning, run, and
# print what the document says: what stands in the next block of text behind each.
set -eu
: "${CC:=cc}"
source=${top_srcdir:-.}/doc/runtimes.md
library=${top_builddir:-.}/libbroom.la
status=0 count=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

awk -v work="$work" '
    /^```c$/ { file = work "/" ++programs ".c"; next }
    /^```text$/ { file = work "/" programs ".expected"; next }
    /^```/ { file = ""; next }
    file != "" { print >file }
' "$source"

for program in "$work"/*.c; do
    name=${program%.c}
    count=$((count + 1))
    # $CC is a command and its arguments.
    # shellcheck disable=SC2086
    "${top_builddir:-.}/libtool" --silent --tag=CC --mode=link $CC -std=gnu11 -Wall -Wextra -Werror ${CFLAGS:-} \
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
