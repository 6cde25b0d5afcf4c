#!/bin/sh
# examples.sh - the examples print what they should, with collections under way.
#
# Some run under stress, too, not all: the audit of a large heap takes long. For
# the same reason BROOM_STRESS in the environment is for the unit tests only.
set -eu
examples=${top_builddir:-.}/doc/examples
sources=${top_srcdir:-.}/doc/examples

unset BROOM_STRESS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0

# prints EXPECTED COMMAND...
prints()
{
    expected=$1
    shift
    if ! "$@" >"$work/out"; then
        echo "status of: $*"
        status=1
    elif ! diff "$expected" "$work/out" >"$work/diff"; then
        echo "not what was expected (<) from: $*"
        head -n 10 "$work/diff"
        status=1
    fi
}

for program in "$sources"/scheme/programs/*.scm; do
    prints "${program%.scm}.expected" "$examples/scheme-broom" "$program"
done
prints "$sources/scheme/coroutines.expected" "$examples/scheme-broom" "$sources/scheme/coroutines.scm"
prints "$sources/scheme/coroutines.expected" env BROOM_STRESS=9973 "$examples/scheme-broom" "$sources/scheme/coroutines.scm"
prints "$sources/scheme/memory.expected" "$examples/scheme-broom" "$sources/scheme/memory.scm"
prints "$sources/scheme/memory.expected" env BROOM_STRESS=9973 "$examples/scheme-broom" "$sources/scheme/memory.scm"
prints "$sources/scheme/tour.expected" env BROOM_STRESS=9973 "$examples/scheme-broom" "$sources/scheme/tour.scm"
for program in ctak meta queens; do
    program=$sources/scheme/programs/$program
    prints "$program.expected" env BROOM_STRESS=9973 "$examples/scheme-broom" "$program.scm"
done

# The event loop, alone and with company, and often enough for the threads to meet.
for threads in 1 4 16; do
    prints "$sources/loop/expected" "$examples/loop-broom" "$threads" <"$sources/loop/requests"
done
for _ in 1 2 3 4 5 6 7 8 9 10; do
    cat "$sources/loop/requests"
done >"$work/requests"
for _ in 1 2 3 4 5 6 7 8 9 10; do
    cat "$sources/loop/expected"
done >"$work/expected"
prints "$work/expected" "$examples/loop-broom" <"$work/requests"
prints "$sources/loop/expected" env BROOM_STRESS=9973 "$examples/loop-broom" <"$sources/loop/requests"

set -- -l -w software -p 5 "$sources/../../COPYING" "$sources"/scheme/*.c
"$examples/concordance-malloc" "$@" >"$work/concordance"
prints "$work/concordance" "$examples/concordance-broom" "$@"
prints "$work/concordance" env BROOM_STRESS=9973 "$examples/concordance-broom" "$@"

exit $status
