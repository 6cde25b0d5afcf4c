# machine.sh - of which machine results are, for bench/run and bench/latency.
# shellcheck shell=sh

describe_memory() {
    awk '/^MemTotal:/ { printf "%.1f GiB", $2 / 1048576 }' /proc/meminfo 2>/dev/null || true
}

# "key: value". describe_machine FOLDER: that is of the sources.
describe_machine() {
    system=$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1, /p' /etc/os-release 2>/dev/null || true)
    cpu=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo 2>/dev/null | sed -n 1p)
    huge=$(sed -n 's/.*\[\(.*\)\].*/\1/p' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || true)
    load=$(cut -d ' ' -f 1 /proc/loadavg 2>/dev/null || true)
    revision=$(git -C "$1" describe --always --dirty 2>/dev/null || true)
    cat <<END
date: $(date -u '+%Y-%m-%d %H:%M') UTC
system: $system$(uname -srm)
processor: ${cpu:-unknown}
processors: $(getconf _NPROCESSORS_ONLN)
memory: $(describe_memory)
load: ${load:-unknown}
huge pages: ${huge:-unknown}
revision: ${revision:-unknown}
END
}

# The variables that would change an allocator's default settings.
steering() {
    env | sed -n 's/^\(\(BROOM\|GC\|MALLOC\|MIMALLOC\)_[A-Za-z0-9_]*\|GLIBC_TUNABLES\|LD_PRELOAD\)=.*/\1/p'
}
