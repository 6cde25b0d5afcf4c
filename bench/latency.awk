# latency.awk - the page of bench/report-latency, in Markdown, from what bench/latency
# wrote: about, then runs. What is said of figures is computed from them.

FNR == NR {
    split($0, fact, ": ")
    about[fact[1]] = substr($0, length(fact[1]) + 3)
    next
}

{
    program = $1
    variant = $2
    if (!(program in seen_program))
        programs[++program_count] = program
    seen_program[program] = 1
    key = program SUBSEP variant
    runs[key]++
    for (i = 4; i <= NF; i++) {
        split($i, pair, "=")
        value[key, pair[1], runs[key]] = pair[2]
        if (pair[1] == "version" && variant != "control")
            version[pair[1] SUBSEP (variant ~ /^(broom|stopped)$/ ? "broom" : "bdwgc")] = pair[2]
    }
}

END {
    variant_count = split("broom stopped bdwgc incremental control", variants, " ")
    title["broom"] = "Broom"
    title["stopped"] = "Broom, stopped"
    title["bdwgc"] = "bdwgc"
    title["incremental"] = "bdwgc, incremental"
    title["control"] = "the clock alone"
    print_head()
    print_caveats()
    print_reading()
    print_chart("mmu", "Minimum mutator utilisation of each program")
    print_chart("pauses", "How long the pauses are")
    print_chart("memory", "Resident memory over time")
    for (p = 1; p <= program_count; p++)
        print_program(programs[p])
}

# ---- Figures of the rounds ----------------------------------------------------------

function sort_rounds(key, name,    i, j, t, count)
{
    count = 0
    for (i = 1; i <= runs[key]; i++)
        if ((key, name, i) in value)
            sorted[++count] = value[key, name, i] + 0
    for (i = 2; i <= count; i++)
        for (j = i; j > 1 && sorted[j - 1] > sorted[j]; j--) {
            t = sorted[j]
            sorted[j] = sorted[j - 1]
            sorted[j - 1] = t
        }
    return count
}

function median(key, name, format,    count)
{
    count = sort_rounds(key, name)
    return count ? sprintf(format, sorted[int((count + 1) / 2)]) : "-"
}

# Of times in milliseconds: the least, and behind it the greatest.
function span(key, name,    count)
{
    count = sort_rounds(key, name)
    if (!count)
        return "-"
    return count == 1 ? sprintf("%.2f", sorted[1]) : sprintf("%.2f (%.2f)", sorted[1], sorted[count])
}

# ---- The page -------------------------------------------------------------------------

function print_head()
{
    print "# How long a program waits\n"
    print "<!-- Made by bench/report-latency from the results of bench/latency. Changes here are lost when it runs again. -->\n"
    print "Programs with a large heap that read the clock between steps of some microseconds, with Broom as it is by"
    print "itself, with Broom always stopping the program (`BROOM_PAUSE_TARGET_US=never`), and with bdwgc, as it is by itself"
    print "and in its incremental mode (`GC_ENABLE_INCREMENTAL`). Made by\n"
    print "    make bench-latency\n"
    print "| | |\n|---|---|"
    print_fact("date")
    print "| collectors | Broom " version["version" SUBSEP "broom"] ", bdwgc " version["version" SUBSEP "bdwgc"] " |"
    print_fact("system")
    print_fact("processor")
    print_fact("processors")
    print_fact("memory")
    print_fact("huge pages")
    print_fact("load")
    print_fact("revision")
    print_fact("rounds")
    print_fact("scale")
    print_fact("seconds")
    print ""
}

function print_fact(name)
{
    print "| " name " | " about[name] " |"
}

function print_caveats(    p, key, caveats)
{
    if (about["rounds"] < 3)
        caveats = caveats "* There were fewer than three rounds.\n"
    if (about["scale"] + 0 != 1)
        caveats = caveats "* The heaps had " about["scale"] " times their size.\n"
    if (about["seconds"] < 4)
        caveats = caveats "* Each run was measured for " about["seconds"] " s only.\n"
    if (about["load"] > about["processors"] / 4)
        caveats = caveats "* The machine had not been idle just before (load " about["load"] ").\n"
    if (about["revision"] ~ /-dirty$/)
        caveats = caveats "* The sources were those of the revision and changes that it does not have.\n"
    for (p = 1; p <= program_count; p++) {
        key = programs[p] SUBSEP "control"
        if (sort_rounds(key, "gap_longest_ms") && sorted[1] > 1)
            caveats = caveats "* Beside `" programs[p] "`, the machine itself stopped a program that only reads the clock for " \
                sprintf("%.1f", sorted[1]) " ms and more in each round: shorter gaps tell nothing of a collector.\n"
    }
    if (caveats != "")
        print "Mind:\n\n" caveats
}

function print_reading()
{
    print "## How to read this\n"
    print "* **pauses** are what the collector tells: from when all threads stand to when they go on."
    print "* **longest gap** is what the program saw: the longest time between two looks at the clock, pauses, page faults,"
    print "  help for the collector and the machine's own gaps included. The least of the rounds, and in brackets the greatest;"
    print "  beside it stands that of a program that only looks at the clock, run right after."
    print "* **mutator utilisation**: in each window of so many milliseconds, the program had at least such a share of the time"
    print "  (gaps from 50 µs on count as lost; what a collector takes in smaller pieces shows in the throughput)."
    print "* **throughput** is steps in a millisecond: as the program goes round as fast as it can, more is better; `requests`"
    print "  waits for the clock, and is told by how long its responses take."
    print "* **memory** is the peak of the resident set.\n"
    print "All but the longest gap are medians of the rounds.\n"
}

function print_chart(name, text)
{
    print "![" text "](latency/" name ".svg)\n"
}

function print_program(program,    v, key, responses)
{
    responses = sort_rounds(program SUBSEP "broom", "response_median_ms") > 0
    print "## " program "\n"
    print what_is(program) "\n"
    print "| | pauses | median, ms | longest, ms | longest gap, ms | utilisation: 1 ms | 3 ms | 10 ms | 30 ms | 100 ms | " \
        (responses ? "" : "steps in a ms | ") "memory, MiB |"
    print "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|" (responses ? "" : "---:|") "---:|"
    for (v = 1; v <= variant_count; v++) {
        key = program SUBSEP variants[v]
        if (runs[key])
            print_row(key, variants[v], !responses)
    }
    print ""
    if (responses)
        print_responses(program)
}

function print_row(key, variant, throughput)
{
    control = variant == "control"
    printf "| %s | %s | %s | %s | %s |", title[variant], control ? "" : median(key, "pauses", "%d"),
        control ? "" : median(key, "pause_median_ms", "%.2f"), control ? "" : median(key, "pause_longest_ms", "%.2f"),
        span(key, "gap_longest_ms")
    printf " %s | %s | %s | %s | %s |", median(key, "mmu_1ms", "%d %%"), median(key, "mmu_3ms", "%d %%"),
        median(key, "mmu_10ms", "%d %%"), median(key, "mmu_30ms", "%d %%"), median(key, "mmu_100ms", "%d %%")
    if (throughput)
        printf " %s |", control ? "" : median(key, "steps_per_ms", "%.1f")
    printf " %s |\n", control ? "" : median(key, "peak_mib", "%d")
}

function print_responses(program,    v, key)
{
    print "How long the responses took, in milliseconds, from when the request came:\n"
    print "| | median | 99 % | 99.9 % | longest |\n|---|---:|---:|---:|---:|"
    for (v = 1; v < variant_count; v++) {
        key = program SUBSEP variants[v]
        if (runs[key])
            printf "| %s | %s | %s | %s | %s |\n", title[variants[v]], median(key, "response_median_ms", "%.2f"),
                median(key, "response_99_ms", "%.2f"), median(key, "response_999_ms", "%.2f"), span(key, "response_longest_ms")
    }
    print ""
}

function what_is(program)
{
    if (program == "trees")
        return "A forest of 1 GiB; small trees are made as fast as can be, and each sixteenth takes the place of one in the forest."
    if (program == "queue")
        return "A queue of 256 MB of messages; each step appends sixteen, and takes the sixteen that have waited longest."
    if (program == "cache")
        return "A cache of 256 MB of values; each step finds one or puts one in, and the one not used for longest goes."
    if (program == "crowd")
        return "Eight threads make trees beside a forest of 256 MB that 64 MB of global data lead to, and two hundred threads sleep. " \
            "With fewer than eight processors, most gaps are those in which another thread ran."
    return "A server with 256 MB of sessions: with each millisecond comes a request, and is answered with four thousand small objects."
}
