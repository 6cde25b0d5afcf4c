#!/bin/sh
# exports.sh [LIBRARY [HEADER...]] - the shared library exports what the headers
# declare with GC__EXPORT, not more, not less; all of it begins with gc_, and
# none with gc__, which is internal. Beside that only the calls of the C library
# that are interposed: all of these, or none. Without arguments also: the library
# that takes the place of malloc exports these and malloc's family, and nothing else.
# And neither asks the loader for thread-local variables.
set -eu
: "${NM:=nm}"
library=${1:-${top_builddir:-.}/.libs/libbroom.so}
replacement=
[ $# -gt 0 ] || replacement=${library%.so}-malloc.so
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "${top_srcdir:-.}/include/broom.h" "${top_srcdir:-.}"/include/broom/*.h

if [ ! -e "$library" ]; then
    echo "no $library: configured with --disable-shared?"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

interposed='__sysv_signal bsd_signal epoll_ctl execl execle execlp execv execve execveat execvp execvpe fexecve pthread_clockjoin_np pthread_create pthread_detach pthread_exit
pthread_join pthread_sigmask pthread_timedjoin_np pthread_tryjoin_np sigaction sighold sigignore siginterrupt signal sigprocmask
sigset ssignal sysv_signal'
# shellcheck disable=SC2086 # words
printf '%s\n' $interposed | sort >"$work/interposed"

$NM -D --defined-only "$library" | awk '{ print $NF }' | sort >"$work/all"
comm -23 "$work/all" "$work/interposed" >"$work/exported"

# One declaration a line, from GC__EXPORT to its semicolon: a function is the
# first name before a parenthesis, a variable that before its attributes.
cat "$@" | grep -v '^ *#' | tr '\n' ' ' | sed 's/GC__EXPORT/\n&/g' |
    sed -n 's/^GC__EXPORT [^(]*[ *]\(gc_[a-z0-9_]*\)(.*/\1/p
        s/^GC__EXPORT extern [^(]*[ *]\(gc_[a-z0-9_]*\) __attribute__.*/\1/p' | sort >"$work/declared"

status=0
if comm -12 "$work/all" "$work/interposed" | grep -q . &&
    comm -13 "$work/all" "$work/interposed" | sed 's/^/not interposed: /' | grep .; then
    status=1
fi
if grep -v '^gc_[^_]' "$work/exported" >"$work/foreign"; then
    sed 's/^/exported, but not of the interface: /' "$work/foreign"
    status=1
fi
if ! diff "$work/declared" "$work/exported" >"$work/diff"; then
    sed -n 's/^< /declared, but not exported: /p; s/^> /exported, but not declared: /p' "$work/diff"
    status=1
fi
# What is thread-local is found without a call: as the loader makes room for it, it would
# allocate, in the handler of the signal that stops threads.
for file in "$library" $replacement; do
    if $NM -D --undefined-only "$file" | grep -w '__tls_get_addr' || readelf -rW "$file" | grep TLSDESC; then
        echo "$file: thread-local variables are not initial-exec"
        status=1
    fi
done
family='__poll_chk __ppoll_chk __sigpause __xpg_sigpause aligned_alloc calloc clock_nanosleep dlclose dlmopen dlopen epoll_pwait epoll_pwait2 epoll_wait free makecontext mallinfo mallinfo2 malloc malloc_info malloc_stats malloc_trim
malloc_usable_size mallopt memalign mprotect mq_notify msgrcv msgsnd nanosleep pause pkey_mprotect poll posix_memalign ppoll pselect pvalloc
realloc reallocarray select sem_clockwait sem_timedwait semop semtimedop sigaltstack signalfd sigpause sigsuspend sigtimedwait sigwait
sigwaitinfo sleep thrd_sleep timer_create timer_delete usleep valloc'
if [ -n "$replacement" ]; then
    # shellcheck disable=SC2086 # words
    printf '%s\n' $interposed $family | sort >"$work/expected"
    $NM -D --defined-only "$replacement" | awk '{ print $NF }' | sort >"$work/replaced"
    if ! diff "$work/expected" "$work/replaced" >"$work/diff"; then
        sed -n 's/^< /not in the place of malloc: /p; s/^> /in the place of malloc, but not of its family: /p' "$work/diff"
        status=1
    fi
fi
exit $status
