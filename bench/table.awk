# table.awk - the table of bench/run, from its results:
#
#   awk [-v show_details=1] -f bench/table.awk bench-results.csv
#
# Exits with 1 when a run failed, or two variants of a program differ in what
# they computed.

BEGIN { FS = "," }

NR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    next
}

{
    program = field("program")
    variant = field("variant")
    round = field("round") + 0
    run = program SUBSEP variant
    if (!(program in seen)) {
        seen[program] = 1
        programs[++program_count] = program
    }
    if (round > rounds)
        rounds = round
    if (field("version") != "")
        version[variant] = field("version")
    if (field("timed") == "program")
        self_timed[program] = 1
    if (field("status") != 0) {
        failed[run] = 1
        trouble = 1
        next
    }
    check(program, variant, field("checksum"))
    present[run] = 1
    keep("seconds", run, round, field("seconds"))
    keep("peak", run, round, field("peak_kib") / 1024)
    if (field("collections") != "") {
        keep("collections", run, round, field("collections"))
        keep("pause", run, round, field("pause_max_ns") / 1e6)
    }
    count = split(field("details"), details, ";")
    for (i = 1; i <= count; i++) {
        split(details[i], pair, "=")
        name = program " " pair[1]
        if (!(name in detail_seen)) {
            detail_seen[name] = 1
            detail_names[++detail_count] = name
        }
        keep("detail", name SUBSEP variant, round, pair[2])
    }
}

END {
    line = "the medians of " rounds " rounds"
    for (v = 1; v <= split("broom bdwgc malloc", names, " "); v++)
        if (names[v] in version)
            line = line ", " names[v] " " version[names[v]]
    print line "\n"
    print_table()
    print_means()
    if (show_details && detail_count > 0)
        print_details()
    for (p = 1; p <= program_count; p++)
        if (programs[p] in differs)
            print "WRONG: the variants of " programs[p] " disagree on the result"
    exit trouble
}

function field(name) { return $column[name] }

function check(program, variant, checksum)
{
    if (!(program in checksums))
        checksums[program] = checksum
    else if (checksums[program] != checksum) {
        differs[program] = 1
        trouble = 1
    }
}

# What was measured, by what it is, of which run, and in which round.
function keep(what, run, round, value) { data[what, run, round] = value + 0 }

# Sorts sample[1..size].
function sort(size,    i, j, value)
{
    for (i = 2; i <= size; i++) {
        value = sample[i]
        for (j = i - 1; j >= 1 && sample[j] > value; j--)
            sample[j + 1] = sample[j]
        sample[j + 1] = value
    }
}

# The median of sample[1..size], which it sorts.
function middle(size)
{
    sort(size)
    return size % 2 ? sample[(size + 1) / 2] : (sample[size / 2] + sample[size / 2 + 1]) / 2
}

# Collects the rounds of one run in sample; returns how many there are.
function gather(what, run,    round, size)
{
    for (round = 1; round <= rounds; round++)
        if ((what, run, round) in data)
            sample[++size] = data[what, run, round]
    return size + 0
}

# Collects, round by round, how many times as much the run takes as the other.
function gather_ratios(what, run, other,    round, size)
{
    for (round = 1; round <= rounds; round++)
        if ((what, run, round) in data && (what, other, round) in data && data[what, other, round] > 0)
            sample[++size] = data[what, run, round] / data[what, other, round]
    return size + 0
}

# Whether the variant, and broom, ran the program without fail, and rightly.
function comparable(program, variant)
{
    return !(program in differs) && whole(program SUBSEP variant) && whole(program SUBSEP "broom")
}

function whole(run) { return run in present && !(run in failed) }

function median(what, run, format,    size)
{
    if (run in failed)
        return "FAILED"
    size = gather(what, run)
    return size ? sprintf(format, middle(size)) : "-"
}

# "median  min-max" of the ratios of this program.
function ratio(program, variant,    size)
{
    if (!comparable(program, variant))
        return sprintf("%6s %12s", "-", "")
    size = gather_ratios("seconds", program SUBSEP variant, program SUBSEP "broom")
    if (!size)
        return sprintf("%6s %12s", "-", "")
    return sprintf("%6.2f %12s", middle(size), sprintf("(%.2f-%.2f)", sample[1], sample[size]))
}

function print_table(    p, program)
{
    printf "%-17s %26s %21s %21s %22s %17s %19s\n", "", "time, s", "bdwgc / broom", "malloc / broom",
        "peak memory, MiB", "collections", "longest pause, ms"
    printf "%-17s %8s %8s %8s  %6s %12s  %6s %12s  %7s %6s %6s  %8s %8s  %8s %8s\n", "program", "broom", "bdwgc",
        "malloc", "median", "(min-max)", "median", "(min-max)", "broom", "bdwgc", "malloc", "broom", "bdwgc",
        "broom", "bdwgc"
    for (p = 1; p <= program_count; p++) {
        program = programs[p]
        printf "%-17s %8s %8s %8s  %s  %s  %7s %6s %6s  %8s %8s  %8s %8s\n", program (program in self_timed ? " *" : ""),
            median("seconds", program SUBSEP "broom", "%.3f"),
            median("seconds", program SUBSEP "bdwgc", "%.3f"),
            median("seconds", program SUBSEP "malloc", "%.3f"),
            ratio(program, "bdwgc"), ratio(program, "malloc"),
            median("peak", program SUBSEP "broom", "%.1f"),
            median("peak", program SUBSEP "bdwgc", "%.1f"),
            median("peak", program SUBSEP "malloc", "%.1f"),
            median("collections", program SUBSEP "broom", "%.0f"),
            median("collections", program SUBSEP "bdwgc", "%.0f"),
            median("pause", program SUBSEP "broom", "%.2f"),
            median("pause", program SUBSEP "bdwgc", "%.2f")
    }
}

# The geometric mean, over the programs, of the median ratio of broom to
# `variant`. Sets mean_of to their number.
function mean(what, variant, with_self_timed,    p, size, sum)
{
    mean_of = 0
    sum = 0
    for (p = 1; p <= program_count; p++) {
        if (programs[p] in self_timed && !with_self_timed)
            continue
        if (!comparable(programs[p], variant))
            continue
        size = gather_ratios(what, programs[p] SUBSEP variant, programs[p] SUBSEP "broom")
        if (size) {
            sum += log(middle(size))
            mean_of++
        }
    }
    return mean_of ? exp(sum / mean_of) : 0
}

function mean_cell(what, variant, with_self_timed,    value)
{
    value = mean(what, variant, with_self_timed)
    return mean_of ? sprintf("%6.2f %12s", value, sprintf("(%d of %d)", mean_of, program_count)) : sprintf("%6s %12s", "-", "")
}

function print_mean(label, what, with_self_timed)
{
    printf "%-44s  %s  %s\n", label, mean_cell(what, "bdwgc", with_self_timed), mean_cell(what, "malloc", with_self_timed)
}

function print_means(    p, any)
{
    for (p = 1; p <= program_count; p++)
        if (programs[p] in self_timed)
            any = 1
    print ""
    print_mean("geometric mean of the time ratios", "seconds", 1)
    if (any)
        print_mean("  without those marked *", "seconds", 0)
    print_mean("geometric mean of the peak memory ratios", "peak", 1)
    if (any)
        print "\n* what the program timed itself, full collections, not the time of the whole run"
}

function detail_ratio(name, variant,    size)
{
    size = gather_ratios("detail", name SUBSEP variant, name SUBSEP "broom")
    return size ? sprintf("%.2f", middle(size)) : "-"
}

function print_details(    d, name)
{
    printf "\n%-38s %10s %10s %10s  %13s %14s\n", "the programs' own figures", "broom", "bdwgc", "malloc", "bdwgc / broom", "malloc / broom"
    for (d = 1; d <= detail_count; d++) {
        name = detail_names[d]
        printf "%-38s %10s %10s %10s  %13s %14s\n", name, median("detail", name SUBSEP "broom", "%.1f"),
            median("detail", name SUBSEP "bdwgc", "%.1f"), median("detail", name SUBSEP "malloc", "%.1f"),
            detail_ratio(name, "bdwgc"), detail_ratio(name, "malloc")
    }
}
