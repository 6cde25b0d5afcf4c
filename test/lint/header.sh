#!/bin/sh
# header.sh [INCLUDE_FOLDER] - each public header compiles alone, as strict C11,
# GNU C11 and C++17, without a warning; and the version in broom.h is that of the
# package.
set -eu
: "${CC:=cc}"
include=${1:-${top_srcdir:-.}/include}
status=0

headers=$(cd "$include" && find . -name '*.h' | sed 's|^\./||')

# compile LANGUAGE STANDARD COMPILER...
compile()
{
    language=$1 standard=$2
    shift 2
    # Included, as a header itself is allowed more than its users are.
    for header in $headers; do
        printf '#include <%s>\n#include <broom.h>\nint main(void) { return GC_VERSION_MAJOR; }\n' "$header" |
            "$@" -I"$include" -x "$language" "-std=$standard" -pedantic-errors -Wall -Wextra -Wundef -Werror \
                -fsyntax-only - || {
            echo "$header is not good $standard for $*"
            status=1
        }
    done
}

# $CC is a command and its arguments.
# shellcheck disable=SC2086
{
    compile c c11 $CC
    compile c gnu11 $CC
    compile c gnu2x $CC
}

cxx=
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/cxx"
if [ -n "$cxx" ]; then
    headers=$(cd "$include" && find . -name '*.h' -o -name '*.hpp' | sed 's|^\./||')
    compile c++ c++17 "$cxx"
else
    echo "no C++ compiler: not tried as C++17"
fi

version=$(awk '$2 ~ /^GC_VERSION_/ { printf "%s%s", dot, $3; dot = "." }' "$include/broom.h")
if [ "$version" != "${PACKAGE_VERSION:-$version}" ]; then
    echo "broom.h says version $version, configure.ac $PACKAGE_VERSION"
    status=1
fi
exit $status
