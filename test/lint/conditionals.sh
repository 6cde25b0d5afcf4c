#!/bin/sh
# conditionals.sh [ROOT] - #if and its like stand only in gc/platform/, in
# gc/base/ (tunables, checks) and, for C++ and which, in the public headers. What
# the library does is chosen when it runs, by code that every build compiles.
#
# Allowed everywhere: the guard of a header, its first directive.
set -eu
cd "${1:-${top_srcdir:-.}}"

find gc include \( -path gc/platform -o -path gc/base \) -prune -o -name '*.[chS]' -exec awk '
    FNR == 1 { directives = 0 }
    /^[ \t]*#/ {
        directives++
        sub(/^[ \t]*#[ \t]*/, "")
        if ($1 !~ /^(if|ifdef|ifndef|elif|else)$/)
            next
        if (directives == 1 && $1 == "ifndef" && FILENAME ~ /\.h$/)
            next
        if (FILENAME ~ /^include\// && $1 ~ /^(if|ifdef)$/ && $2 == "__cplusplus")
            next
        print FILENAME ":" FNR ": #" $0
        found = 1
    }
    END { exit found }
' {} +
