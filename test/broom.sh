#!/bin/sh
# broom.sh - the command `broom`: what it runs, with which options, and what it says
# of programs that it cannot run.
set -eu
: "${CC:=cc}"
broom=${top_builddir:-.}/broom
# shellcheck source=/dev/null
. "${top_srcdir:-.}/test/needs"
needs_library libbroom-malloc.so

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# fail TEXT - and what was written last.
fail()
{
    echo "$1"
    sed 's/^/    /' "$work/output"
    failures=$((failures + 1))
}

# expect STATUS PATTERN COMMAND... - that is how it ends, and what it writes; an
# empty PATTERN: anything, or nothing.
expect()
{
    status=$1 pattern=$2 ended=0
    shift 2
    "$@" >"$work/output" 2>&1 || ended=$?
    if [ "$ended" -ne "$status" ] || { [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$work/output"; }; then
        fail "status $ended, not $status, or not \"$pattern\": $*"
    fi
}

# ---- What it runs

expect 0 '^swept$' "$broom" run echo swept
expect 3 '' "$broom" run -- sh -c 'exit 3'
expect 0 '^broom: collections [0-9]' "$broom" run --stats ls "$work"
expect 0 '^broom: heap [1-9]' "$broom" run --stats --free=honour --max-heap=64M ls "$work"

cat >"$work/options.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
int main(void)
{
    void *volatile first = malloc(40), *volatile second, *volatile large, *volatile litter;
    uintptr_t was = (uintptr_t)first;
    free(first);
    second = malloc(40);
    large = malloc((size_t)100 << 20);
    for (int i = 0; i < 10000; i++)
        litter = malloc(4096);
    printf("%s %s\n", (uintptr_t)second == was ? "reused" : "new", large != NULL ? "had" : "refused");
    return litter == NULL;
}
END
$CC -o "$work/options" "$work/options.c"
expect 0 '^new had$' "$broom" run "$work/options"
expect 0 '^reused had$' "$broom" run --free=honour "$work/options"
expect 0 '^new refused$' "$broom" run --max-heap=32M "$work/options"
expect 0 '^broom: full collection 1: ' "$broom" run --log "$work/options"

# Of several processes, each says which it is.
expect 0 '^broom: collections [0-9]+ in process [0-9]+$' "$broom" run --stats --children \
    sh -c "'$work/options' & '$work/options'; wait; exit"
if [ "$(sed -n 's/^broom: collections .* in process //p' "$work/output" | sort -u | wc -l)" -lt 2 ]; then
    fail "not two processes, or not told which"
fi

cat >"$work/script" <<'END'
#!/bin/sh
echo "$LD_PRELOAD,$BROOM_RUN_ONCE,$1"
END
chmod +x "$work/script"
expect 0 '^,,x$' "$broom" run "$work/script" x
expect 0 'libbroom-malloc.so,,x$' "$broom" run --children "$work/script" x
expect 0 '^,,$' env LD_PRELOAD= "$broom" run sh -c "'$work/script'"

cat >"$work/whose.c" <<'END'
#include <malloc.h>
int main(void) { return malloc_info(0, stdout); }
END
$CC -o "$work/whose" "$work/whose.c"
expect 0 'broom' "$broom" run "$work/whose"
expect 0 'broom' "$broom" run --children sh -c "exec '$work/whose'"
expect 0 'broom' "$broom" run env X=1 "$work/whose"
expect 0 'broom' "$broom" run sh -c "exec '$work/whose'"
expect 0 '<arena|<heap|malloc version="1"' "$broom" run sh -c "'$work/whose'; exit"

# A script that names no interpreter is the shell's; the loader takes a program as an argument.
echo "exec '$work/whose'" >"$work/nameless"
chmod +x "$work/nameless"
expect 0 'broom' "$broom" run "$work/nameless"
expect 0 'broom' "$broom" run env "$work/nameless"
expect 0 'broom' env PATH="$work:$PATH" "$broom" run nameless
loader=$(readelf -l "$work/whose" | sed -n 's/.*program interpreter: \(.*\)]/\1/p')
expect 0 'broom' "$broom" run "$loader" "$work/whose"
expect 0 'broom' "$broom" run env "$loader" "$work/whose"

# A child that is spawned is another program.
cat >"$work/parent.c" <<'END'
#include <malloc.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void print(const char *text)
{
    if (write(1, text, strlen(text)) < 0)
        exit(2);
}
static int spawn(int by_path, char **argument)
{
    pid_t child;
    int status;
    if ((by_path ? posix_spawnp : posix_spawn)(&child, argument[0], NULL, NULL, argument, environ) != 0)
        return 1;
    return waitpid(child, &status, 0) == child ? status : 1;
}
int main(int count, char **argument)
{
    char *command[] = {"sh", "-c", argument[1], NULL};
    char *kept = strcpy(malloc(8), "parent");
    for (int i = 0; i < 3; i++) {
        void *volatile litter = NULL;
        print("child: ");
        if ((i == 0 ? spawn(0, argument + 1) : i == 1 ? spawn(1, command) : system(argument[1])) != 0)
            return 1;
        for (int j = 0; j < 100000; j++)
            litter = memset(malloc(8 + 100 * (j % 2)), 0, 8);
        print(litter != NULL ? kept : "");
        print(": ");
        malloc_info(0, stdout);
        fflush(stdout);
    }
    return count != 2;
}
END
$CC -D_GNU_SOURCE -o "$work/parent" "$work/parent.c"
# expect_children VERSION COMMAND... - the parent has Broom; its children have malloc of this version.
expect_children()
{
    version=$1
    shift
    expect 0 '' "$@" "$work/parent" "$work/whose"
    if [ "$(grep -c "^child: <malloc version=\"$version" "$work/output")" -ne 3 ] ||
        [ "$(grep -c '^parent: <malloc version="broom' "$work/output")" -ne 3 ]; then
        fail "$*: not all three children have $version"
    fi
}
expect_children 1 "$broom" run
expect_children broom "$broom" run --children
expect_children broom "$broom" run --children --free=honour

# Without /proc, as in a bare chroot, nothing is collected, and the program ends as it would.
# shellcheck disable=SC2016 # that shell expands it
for how in -m -rm; do
    if unshare "$how" sh -c 'mount -t tmpfs none /proc' 2>/dev/null; then
        expect 0 'no collection is possible' unshare "$how" sh -c 'mount -t tmpfs none /proc && exec "$@"' - \
            "$broom" run "$work/options"
        if [ "$(grep -c '^broom: ' "$work/output")" -ne 1 ] || ! grep -q '^new had$' "$work/output"; then
            fail "without /proc: it says more, or does not print what it should"
        fi
        break
    fi
done

# ---- What it says of what it cannot run

expect 127 'no such program' "$broom" run "$work/nothing"
expect 127 'no such program' "$broom" run no-such-program-anywhere
expect 127 "^broom: '': no such program" "$broom" run ''

mkfifo "$work/fifo"
echo 'echo x' >"$work/plain"
for there in "$work" "$work/plain" "$work/fifo" /dev/null; do
    expect 126 "^broom: $there: it is there, but is no file that can be executed" "$broom" run "$there"
done
expect 126 '/plain: it is there, but' env PATH="$work" "$(realpath "$broom")" run plain
expect 127 "^broom: ${work##*/}: no such program" env PATH="${work%/*}" "$(realpath "$broom")" run "${work##*/}"
"$broom" run --help ls | grep -q -- --keep-for= || fail "run --help"
expect 2 'there is no option --no-such' "$broom" run --no-such=1 ls
expect 2 'there is no option -x$' "$broom" run -x ls
expect 2 'there is no option -h$' "$broom" run -h
expect 2 'there is no option -$' "$broom" run - ls
expect 127 '^broom: -x: no such program' "$broom" run -- -x
expect 2 '^broom: --free=maybe: that is no value for it \(ignore or honour\)$' "$broom" run --free=maybe ls
expect 2 '^broom: --max-heap=64K: that is no value for it \(.* G or T behind it, from 4M on\)$' \
    "$broom" run --max-heap=64K ls
expect 2 'no value for it \(a number from 0 to 1\)' "$broom" run --stats= ls
expect 2 '^broom: --max-heap needs =VALUE \(a number, perhaps with K' "$broom" run --max-heap ls
expect 2 '^broom: --free needs =VALUE \(ignore or honour\)$' "$broom" run --free ls
expect 2 '^broom: --keep-for needs =VALUE \(beginnings of' "$broom" run --keep-for ls
for bare in --children --help --version; do
    expect 2 "^broom: $bare takes no value\$" "$broom" run "$bare=1" ls
done
for list in '' ',' 'libz, libx' ./program /usr/lib/libx.so 'libz,,libx' 'libz,'; do
    expect 2 '^broom: --keep-for=.* no value for it \(beginnings of files. names, without folders' \
        "$broom" run --keep-for="$list" ls
done
# shellcheck disable=SC2016 # that shell expands it
expect 0 '^libz,libx,liby$' env BROOM_KEEP_FOR=libold "$broom" run --keep-for=libz,libx --keep-for=liby \
    sh -c 'echo "$BROOM_KEEP_FOR"'
expect 0 '^broom [0-9]' "$broom" run --version
expect 2 '^usage' "$broom" run
expect 2 '^usage' "$broom"
expect 0 '^usage' "$broom" --help
expect 0 '^broom [0-9]' "$broom" --version

# patch OFFSET BYTES - a copy of a program with other bytes.
patch_copy()
{
    cp "$work/whose" "$work/patched"
    printf '%b' "$2" | dd of="$work/patched" bs=1 seek="$1" conv=notrunc 2>/dev/null
}

patch_copy 18 '\0050\0000' # e_machine: ARM
expect 126 'another processor' "$broom" run "$work/patched"
patch_copy 4 '\0001' # e_ident: 32 bits
expect 126 'another processor' "$broom" run "$work/patched"

sed 's,/ld-linux-,/ld-muslx-,' "$work/whose" >"$work/musl"
chmod +x "$work/musl"
expect 126 'another C library.*/ld-muslx-' "$broom" run "$work/musl"

printf 'te\0xt\n' >"$work/data"
chmod +x "$work/data"
expect 126 'neither a program nor a script' "$broom" run "$work/data"

# interpreted FILE INTERPRETER - a script of it.
interpreted()
{
    printf '#!%b\n' "$2" >"$1"
    chmod +x "$1"
}

interpreted "$work/of-none" "$work/nothing"
interpreted "$work/of-folder" " $work -x"
interpreted "$work/of-plain" "$work/plain"
interpreted "$work/of-of-plain" "$work/of-plain"
interpreted "$work/of-crlf" '/bin/sh\r'
interpreted "$work/circle" "$work/circle"
expect 126 "/of-none: its interpreter $work/nothing cannot be executed" "$broom" run "$work/of-none"
expect 126 "/of-folder: its interpreter $work cannot be executed" "$broom" run "$work/of-folder"
expect 126 "/of-plain: its interpreter $work/plain cannot be executed" "$broom" run "$work/of-plain"
expect 126 "/of-plain: its interpreter $work/plain cannot be executed" "$broom" run "$work/of-of-plain"
expect 126 '/of-crlf: its interpreter /bin/sh\\r cannot be executed' "$broom" run "$work/of-crlf"
expect 126 "/circle: its interpreter $work/circle is behind more scripts" "$broom" run "$work/circle"

# The system's own limit.
interpreted "$work/chain1" /bin/echo
for i in 2 3 4 5 6; do
    interpreted "$work/chain$i" "$work/chain$((i - 1))"
done
expect 0 '/chain1 .*/chain5 x$' "$broom" run "$work/chain5" x
expect 126 '/chain1: its interpreter /bin/echo is behind more scripts' "$broom" run "$work/chain6" x

if $CC -static -o "$work/static" "$work/whose.c" 2>/dev/null; then
    expect 126 'statically linked' "$broom" run "$work/static"
    said='/static runs without Broom: statically linked'
    printf '#!/usr/bin/env %s\n' "$work/static" >"$work/static-script"
    chmod +x "$work/static-script"
    expect 0 "$said" "$broom" run env "$work/static"
    expect 0 "$said" "$broom" run nice "$work/static"
    expect 0 "$said" "$broom" run sh -c "cd '$work'; exec ./static"
    expect 0 "$said" "$broom" run "$work/static-script"
fi

echo '#include <broom.h>
int main(void) { return gc_malloc(1) == NULL; }' >"$work/twice.c"
folder=$(cd "${top_builddir:-.}/.libs" && pwd)
$CC -I"${top_srcdir:-.}/include" -o "$work/twice" "$work/twice.c" -L"$folder" -lbroom -Wl,-rpath,"$folder"
expect 126 'linked with Broom already' "$broom" run "$work/twice"
expect 0 'has Broom already.*: it runs without' env LD_PRELOAD="$folder/libbroom-malloc.so" "$work/twice"
expect 0 'twice runs without Broom: linked with Broom already' "$broom" run env "$work/twice"

echo '#include <stddef.h>
void *malloc(size_t n) { (void)n; return NULL; }
int main(void) { return malloc(1) != NULL; }' >"$work/own.c"
$CC -fno-builtin -rdynamic -o "$work/own" "$work/own.c"
expect 126 'allocator of its own, which defines malloc' "$broom" run "$work/own"

expect 0 '/own has an allocator of its own, .* malloc: it runs without' env LD_PRELOAD="$folder/libbroom-malloc.so" "$work/own"
expect 0 '/own has an allocator of its own, .* malloc: it runs without' "$broom" run --children sh -c "'$work/own'; exit"
expect 0 '/own runs without Broom: it has an allocator of its own, which defines malloc' "$broom" run env "$work/own"
expect 0 '^$' "$broom" run sh -c "'$work/own'; echo"
if $CC -fno-builtin -rdynamic -o "$work/own-linked" "$work/own.c" -Wl,--no-as-needed -L"$folder" -lbroom-malloc \
    -Wl,-rpath,"$folder"; then
    expect 134 'own-linked has an allocator of its own.* does not go with that' "$work/own-linked"
fi

# To take the address of malloc is not to define it: at a fixed place, it is the program's.
echo '#include <stdlib.h>
void *(*volatile get)(size_t);
int main(void) { get = malloc; return get(1) == NULL; }' >"$work/fixed.c"
$CC -fno-pie -no-pie -o "$work/fixed" "$work/fixed.c"
expect 0 '' env LD_PRELOAD="$folder/libbroom-malloc.so" "$work/fixed"

# A library that has malloc is no obstacle, but what else of it is called.
echo 'void *mallocx(unsigned long n, int flags) { return __builtin_malloc(n + (unsigned)flags); }
void *_Znwm(unsigned long n) { return __builtin_malloc(n); }' >"$work/allocator.c"
echo '#include <malloc.h>
void *mallocx(unsigned long n, int flags);
int main(void) {
#ifdef EXTENDED
    return mallocx(1, 0) == NULL;
#endif
    return malloc_info(0, stdout); }' >"$work/user.c"
$CC -fPIC -shared -Wl,-soname,libjemalloc.so.2 -o "$work/libjemalloc.so.2" "$work/allocator.c"
for extended in '' -DEXTENDED; do
    $CC $extended -Wl,--no-as-needed -o "$work/user$extended" "$work/user.c" "$work/libjemalloc.so.2" -Wl,-rpath,"$work"
done
expect 0 'broom' "$broom" run "$work/user"
expect 126 ': it calls mallocx of libjemalloc.so.2, more of that allocator than' "$broom" run "$work/user-DEXTENDED"
expect 0 'runs without Broom: it calls mallocx of libjemalloc' "$broom" run env "$work/user-DEXTENDED"

# Where nobody looks at the program before it runs, the library does when it begins, if there is
# another malloc than the C library's.
said='^broom: the program calls mallocx of libjemalloc.so.2, more of that .*: it runs without libbroom-malloc$'
echo 'void *__libc_malloc(unsigned long n);
void *malloc(unsigned long n) { return __libc_malloc(n); }' >>"$work/allocator.c"
$CC -fPIC -shared -Wl,-soname,libjemalloc.so.2 -o "$work/libjemalloc.so.2" "$work/allocator.c"
expect 0 "$said" env LD_PRELOAD="$folder/libbroom-malloc.so" "$work/user-DEXTENDED"
expect 0 "$said" "$broom" run --children sh -c "'$work/user-DEXTENDED'; exit"
expect 0 'broom' env LD_PRELOAD="$folder/libbroom-malloc.so" "$work/user"
expect 0 'broom' "$broom" run --children sh -c "'$work/user'; exit"
expect 0 'broom' "$broom" run "$work/user"

if [ "$(id -u)" -eq 0 ]; then
    cp "$work/whose" "$work/set-uid"
    chown 65534 "$work/set-uid"
    chmod u+s "$work/set-uid"
    expect 126 'set-uid' "$broom" run "$work/set-uid"
fi

[ "$failures" -eq 0 ]
