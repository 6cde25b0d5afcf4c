# results.awk - reads bench-results.csv, and takes medians and ratios, for the
# programs that are given to awk behind it: table.awk, report.awk, heaps.awk.
#
# A file of results begins with lines "# key: value", about the run. A line of
# its table is one run of one variant of one program. A variant is an allocator;
# or a collector with the heap that the other one used, "broom=bdwgc's heap" and
# "bdwgc=broom's heap".
#
# Filled when END is reached:
#   about[key]
#   programs[1..program_count]   in the order of the file
#   allocators[1..allocator_count]   those that ran, Broom first
#   version[variant], self_timed[program], rounds, has_equal (there are runs with the other's heap)
#   details[1..detail_count]     "program name" of the programs' own figures
#   trouble                      a run failed, or two variants of a program differ

BEGIN {
    FS = ","
    equal["broom"] = "broom=bdwgc's heap"
    equal["bdwgc"] = "bdwgc=broom's heap"
}

/^# [a-z ]+: / {
    split($0, pair, ": ")
    about[substr(pair[1], 3)] = substr($0, length(pair[1]) + 3)
    next
}

!has_columns {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    has_columns = 1
    next
}

{ read_run(field("program"), field("variant"), field("round") + 0) }

END {
    count = split("broom bdwgc malloc mimalloc jemalloc", names, " ")
    for (i = 1; i <= count; i++)
        if (names[i] in ran)
            allocators[++allocator_count] = names[i]
    has_equal = equal["broom"] in ran && equal["bdwgc"] in ran
}

function read_run(program, variant, round)
{
    if (!(program in seen)) {
        seen[program] = 1
        programs[++program_count] = program
    }
    ran[variant] = 1
    if (round > rounds)
        rounds = round
    if (field("version") != "")
        version[variant] = field("version")
    if (field("timed") == "program")
        self_timed[program] = 1
    if (field("status") != "0") {
        failed[program, variant] = 1
        trouble = 1
        return
    }
    check(program, field("checksum"))
    keep("seconds", program, variant, round, field("seconds"), 1)
    keep("peak", program, variant, round, field("peak_kib"), 1 / 1024)
    keep("heap", program, variant, round, field("heap_peak_bytes"), 1 / 1048576)
    keep("given", program, variant, round, field("heap_given_bytes"), 1 / 1048576)
    keep("collections", program, variant, round, field("collections"), 1)
    keep("pause", program, variant, round, field("pause_max_ns"), 1e-6)
    keep("pauses", program, variant, round, field("pause_total_ns"), 1e-6)
    read_details(program, variant, round)
}

function read_details(program, variant, round,    i, count, words, pair, name)
{
    count = split(field("details"), words, ";")
    for (i = 1; i <= count; i++) {
        split(words[i], pair, "=")
        name = program " " pair[1]
        if (!(name in seen)) {
            seen[name] = 1
            details[++detail_count] = name
        }
        keep("detail", name, variant, round, pair[2], 1)
    }
}

# Of an older file some are missing.
function field(name) { return name in column ? $column[name] : "" }

function check(program, checksum)
{
    if (!(program in checksums))
        checksums[program] = checksum
    else if (checksums[program] != checksum) {
        differs[program] = 1
        trouble = 1
    }
}

function keep(what, program, variant, round, value, unit)
{
    if (value != "")
        data[what, program, variant, round] = value * unit
}

# Sorts sample[1..size], and returns its median.
function middle(size,    i, j, value)
{
    for (i = 2; i <= size; i++) {
        value = sample[i]
        for (j = i - 1; j >= 1 && sample[j] > value; j--)
            sample[j + 1] = sample[j]
        sample[j + 1] = value
    }
    return size % 2 ? sample[(size + 1) / 2] : (sample[size / 2] + sample[size / 2 + 1]) / 2
}

# The median of the rounds, "" where there is none.
function median(what, program, variant,    round, size)
{
    if ((program, variant) in failed)
        return ""
    for (round = 1; round <= rounds; round++)
        if ((what, program, variant, round) in data)
            sample[++size] = data[what, program, variant, round]
    return size ? middle(size) : ""
}

# How many times as much `variant` takes as `base`: the median of the ratios
# within each round, "" where there is none. Sets least and most.
function ratio(what, program, variant, base,    round, size, value)
{
    if (program in differs || (program, variant) in failed || (program, base) in failed)
        return ""
    for (round = 1; round <= rounds; round++)
        if ((what, program, variant, round) in data && (what, program, base, round) in data &&
            data[what, program, base, round] > 0 && data[what, program, variant, round] > 0)
            sample[++size] = data[what, program, variant, round] / data[what, program, base, round]
    if (!size)
        return ""
    value = middle(size)
    least = sample[1]
    most = sample[size]
    return value
}

# A program counts once in a mean: with the number of threads that it has by itself.
function counts_in_mean(program, with_self_timed)
{
    return program !~ /\// && (with_self_timed || !(program in self_timed))
}

# The geometric mean of the programs' ratios, "" where there is none. Sets mean_of
# to their number, and below to the number of those below 1.
function mean(what, variant, base, with_self_timed,    p, value, sum)
{
    mean_of = below = sum = 0
    for (p = 1; p <= program_count; p++) {
        if (!counts_in_mean(programs[p], with_self_timed))
            continue
        value = ratio(what, programs[p], variant, base)
        if (value == "")
            continue
        sum += log(value)
        mean_of++
        below += value < 1
    }
    return mean_of ? exp(sum / mean_of) : ""
}
