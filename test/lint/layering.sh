#!/bin/sh
# layering.sh [ROOT] - floors and includes of gc/.
#
# - A room includes its own floor and lower ones, by paths from the root.
# - The operating system's headers are included in gc/platform/ only: all but ISO
#   C's (without signals, threads and time) and alloca.h, which is the compiler's;
#   libunwind's also in gc/insight/, and malloc's, which are replaced there, in gc/faces/.
set -eu
cd "${1:-${top_srcdir:-.}}"

find gc -name '*.[chS]' -exec awk '
    BEGIN {
        floors = split("base platform heap roots mark reclaim cycle alloc api insight faces", folder)
        for (i = 1; i <= floors; i++)
            floor["gc/" folder[i]] = i - 1
        headers = split("alloca assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp " \
            "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath wchar wctype", iso)
        for (i = 1; i <= headers; i++)
            portable[iso[i] ".h"] = 1
    }
    function report(message) {
        print FILENAME ":" FNR ": " message
        found = 1
    }
    function room_of(path) {
        split(path, part, "/")
        return part[1] "/" part[2]
    }
    FNR == 1 {
        here = room_of(FILENAME)
        if (!(here in floor))
            report(here " is no floor of the house")
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        split($0, quoted, "\"")
        if (quoted[2] == "broom.h" || quoted[2] == "include/broom.h")
            next
        there = room_of(quoted[2])
        if (!(there in floor))
            report("\"" quoted[2] "\" is no path from the root")
        else if (floor[there] > floor[here])
            report("floor " floor[here] " includes floor " floor[there] ": " quoted[2])
    }
    /^[ \t]*#[ \t]*include[ \t]*</ {
        split($0, angled, /[<>]/)
        if (angled[2] in portable || angled[2] ~ /^broom(\.h|\/[a-z_]+\.h)$/ || here == "gc/platform")
            next
        if (here == "gc/insight" && angled[2] == "libunwind.h")
            next
        if (here == "gc/faces" && angled[2] == "malloc.h")
            next
        report("<" angled[2] "> outside gc/platform")
    }
    END { exit found }
' {} +
