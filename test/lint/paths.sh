#!/bin/sh
# paths.sh [ROOT] - no text of the project names a folder of someone's machine:
# no home, no scratch folder, nothing that is there on one computer only.
set -eu
cd "${1:-${top_srcdir:-.}}"

# Sources only, also in a tree that was built in place.
if find . -type d \( -name '.?*' ! -name .ci -o -name 'build-*' -o -name 'broom-*' -o -name autom4te.cache \) -prune -o \
    -type f \( -name '*.[chS]' -o -name '*.sh' -o -name '*.md' -o -name '*.ac' -o -name '*.am' -o -name '*.awk' -o -name '*.def' -o -name '*.pc.in' \
    -o -name broom.m4 -o -name '*.scm' -o -name README -o -name NEWS -o -name COPYING -o -name bootstrap -o -name run \
    -o -name report -o -name demo -o -name summary -o -name installed -o -name '.clang-format' \
    -o -name .gitignore \) \
    -exec grep -nE '(^|[^A-Za-z0-9_.})*@])/(home|Users|root|tmp|work|scratch|mnt|build|srv)/[A-Za-z0-9._-]' {} +; then
    exit 1
fi
