#!/bin/sh
# selftest.sh - a lint that cannot fail is worth nothing: each gets a small tree
# that is right, and trees with one thing wrong.
set -eu
: "${CC:=cc}"
lint=${top_srcdir:-.}/test/lint
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# The tree that is right; each plant below begins with it.
fresh()
{
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    cd "$work/tree"
    mkdir -p gc/base gc/platform/linux gc/heap gc/cycle gc/insight include test doc bench
    cat >include/broom.h <<'END'
#ifndef BROOM_H
#define BROOM_H
#ifdef __cplusplus
#if __cplusplus < 201103L
#define noexcept throw()
#endif
extern "C" {
#endif
#define GC_VERSION_MAJOR 0
#define GC_VERSION_MINOR 1
#define GC_VERSION_PATCH 0
#define GC__EXPORT __attribute__((visibility("default")))
GC__EXPORT void *gc_one(int of,
                        int many);
typedef void (*gc_hook)(const char *message);
GC__EXPORT gc_hook gc_two(gc_hook hook) __attribute__((unused));
#ifdef __cplusplus
}
#endif
#endif
END
    printf '#ifndef A_H\n#define A_H\n#include <stddef.h>\n#endif\n' >gc/heap/a.h
    printf '#include "gc/heap/a.h"\n#include "gc/base/b.h"\n#include "broom.h"\n' >gc/heap/a.c
    printf '#if 1\n#else\n#endif\n' >gc/base/b.h
    printf '#ifdef __linux__\n#endif\n#include <sys/mman.h>\n' >gc/platform/linux/c.c
    printf '#include <libunwind.h>\n' >gc/insight/d.c
    printf 'void *gc_one(int a, int b) { return a ? &b : 0; }\n' >library.c
    printf 'void *gc_two(void *a) { return a; }\n' >>library.c
    echo 'all: # from /usr/include, https://host/home/page, @srcdir@/work/in' >Makefile.am
}

build() { $CC -w -shared -fPIC -o library.so library.c; }

# passes LINT ARGUMENT...
passes()
{
    name=$1
    shift
    if ! sh "$lint/$name" "$@" >"$work/out" 2>&1; then
        echo "$name fails without reason:"
        cat "$work/out"
        status=1
    fi
}

# catches TEXT LINT ARGUMENT... - it fails, and says TEXT.
catches()
{
    text=$1 name=$2
    shift 2
    if sh "$lint/$name" "$@" >"$work/out" 2>&1 || ! grep -qF "$text" "$work/out"; then
        echo "$name does not catch \"$text\", but says:"
        cat "$work/out"
        status=1
    fi
    fresh
}

fresh
passes layering.sh .
echo '#include "gc/cycle/e.h"' >>gc/heap/a.c
catches 'gc/heap/a.c:4: floor 2 includes floor 6: gc/cycle/e.h' layering.sh .
echo '# include <unistd.h>' >>gc/heap/a.h
catches 'gc/heap/a.h:5: <unistd.h> outside gc/platform' layering.sh .
echo '#include <libunwind.h>' >>gc/heap/a.c
catches '<libunwind.h> outside gc/platform' layering.sh .
echo '#include "b.h"' >>gc/heap/a.c
catches '"b.h" is no path from the root' layering.sh .
mkdir gc/misc && echo 'int a;' >gc/misc/a.c
catches 'gc/misc is no floor' layering.sh .

passes conditionals.sh .
printf '#ifdef FAST\n#endif\n' >>gc/heap/a.c
catches 'gc/heap/a.c:4: #ifdef FAST' conditionals.sh .
printf '#  if FAST\n#endif\n' >>gc/heap/a.h
catches 'gc/heap/a.h:5: #if FAST' conditionals.sh .
printf '#ifndef FAST\n#endif\n' >>include/broom.h
catches '#ifndef FAST' conditionals.sh .
printf '#if defined __cplusplus\n#endif\n' >>include/broom.h
catches '#if defined' conditionals.sh .

build
passes exports.sh library.so include/broom.h
echo 'void pthread_create(void) {}' >>library.c && build
catches 'not interposed: sigaction' exports.sh library.so include/broom.h
sed -i '$d' library.c
echo 'int gc__secret;' >>library.c && build
catches 'not of the interface: gc__secret' exports.sh library.so include/broom.h
echo 'void gc_three(void) {}' >>library.c && build
catches 'exported, but not declared: gc_three' exports.sh library.so include/broom.h
echo 'GC__EXPORT extern __thread int gc_five __attribute__((unused));' >>include/broom.h && build
catches 'declared, but not exported: gc_five' exports.sh library.so include/broom.h
echo 'GC__EXPORT int *gc_four(void);' >>include/broom.h && build
catches 'declared, but not exported: gc_four' exports.sh library.so include/broom.h

passes header.sh include
echo 'size_t gc_three(void);' >>include/broom.h
catches 'is not good c11' header.sh include
echo 'typeof(1) gc_three(void);' >>include/broom.h
catches 'is not good c11' header.sh include
PACKAGE_VERSION=0.1.0 passes header.sh include
PACKAGE_VERSION=0.2.0 catches 'says version 0.1.0' header.sh include

passes paths.sh .
for folder in home work; do
    echo "# see /$folder/me/notes" >>Makefile.am
    catches "Makefile.am:2:# see /$folder/me" paths.sh .
done

# This one warns.
long() { yes "$1" | head -n "$2"; }
{ echo 'int f(void)' && echo '{' && long ' ;' 77 && echo '}' && long '' 510; } >test/a.c
{ echo 'int t[] = {' && long '0,' 90 && echo '};'; } >test/b.c
passes size.sh .
if [ -s "$work/out" ]; then
    echo "size.sh warns without reason:" && cat "$work/out"
    status=1
fi
{ echo 'int g(int a,' && echo '    int b)' && echo '{' && long ' ;' 78 && echo '}'; } >>test/a.c
passes size.sh .
if ! grep -q 'test/a.c:591: a function of 82 lines' "$work/out" || ! grep -q 'test/a.c: 672 lines' "$work/out"; then
    echo "size.sh does not warn, but says:" && cat "$work/out"
    status=1
fi

exit $status
