#!/bin/sh
# size.sh [ROOT] - names files of more than 600 lines and functions of more than
# 80. It only warns: some things are one thing and long.
set -eu
cd "${1:-${top_srcdir:-.}}"

# A function is what stands between a line that ends in "{", with a parenthesis
# and no "=" since the last thing ended, and the next "}" in the first column.
find gc include test doc bench -name '*.[ch]' -exec awk -v file_lines=600 -v function_lines=80 '
    function end_of_file() {
        if (lines > file_lines)
            print file ": " lines " lines"
    }
    FNR == 1 { end_of_file(); file = FILENAME; head = ""; start = 0 }
    { lines = FNR }
    /^}/ {
        if (start && FNR - start + 1 > function_lines)
            print FILENAME ":" start ": a function of " FNR - start + 1 " lines"
        head = ""
        start = 0
        next
    }
    start { next }
    /^[A-Za-z_]/ && head == "" { begun = FNR }
    /^[A-Za-z_{ \t]/ { head = head $0 }
    /{$/ && head ~ /\(/ && head !~ /=/ { start = begun; next }
    /;$/ { head = "" }
    END { end_of_file() }
' {} +
