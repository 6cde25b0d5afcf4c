# report.awk - the page of bench/report, in Markdown. Behind results.awk and
# tables.awk, with markdown = 1.
#
#   -v charts=" time memory "   the charts that were made
#   -v readme=FILE              where the programs are described
#
# What is said of figures is computed from them: the page is true of any results.

END {
    print "# Benchmarks\n"
    print "<!-- Made by bench/report from the results of bench/run. Changes here are lost when it runs again. -->\n"
    print_what_this_is()
    print_caveats()
    print_summary()
    print_time()
    print_memory()
    print_pauses()
    if (has_equal)
        print_equal()
    print_threads()
    print_programs()
    print_own_figures()
    print_method()
}

function chart(name, text)
{
    if (index(charts, " " name " "))
        print "![" text "](benchmarks/" name ".svg)\n"
}

function others(    v, list)
{
    for (v = 1; v <= allocator_count; v++)
        if (allocators[v] != "broom")
            list = list (list == "" ? "" : v == allocator_count ? " and " : ", ") allocators[v]
    return list == "" ? "nothing else" : list
}

# ---- The head ---------------------------------------------------------------------

function fact(name, key)
{
    if (about[key] != "" && about[key] != "unknown")
        print "| " name " | " about[key] " |"
}

function print_what_this_is(    v, line)
{
    print "Broom beside " others() ": the same programs, from the same sources, by the same compiler."
    print "On `malloc`, mimalloc and jemalloc every `free` is written; on the collectors, Broom and bdwgc (the Boehm-Demers-Weiser"
    print "collector), none is. Everything on this page was made by two commands, from one run:\n"
    print "    " about["command"]
    print "    bench/report\n"
    for (v = 1; v <= allocator_count; v++)
        line = line (v > 1 ? ", " : "") (allocators[v] == "broom" ? "Broom" : allocators[v]) " " version[allocators[v]]
    print "| | |\n|---|---|"
    fact("date", "date")
    print "| allocators | " line " |"
    fact("linked", "linked")
    fact("settings", "settings")
    fact("revision of Broom", "revision")
    fact("system", "system")
    fact("processor", "processor")
    fact("processors", "processors")
    fact("memory", "memory")
    fact("transparent huge pages", "huge pages")
    fact("compiler", "compiler")
    fact("load at the start", "load")
    print "| rounds | " rounds " of each program and allocator, the allocators in turn |"
    fact("scale of the problems", "scale")
    print ""
}

function caveat(text) { caveats = caveats "* " text "\n" }

function print_caveats(    p, v, key)
{
    if (rounds < 3)
        caveat("There " (rounds == 1 ? "was only one round" : "were only " rounds " rounds") ": a median of so few says little, and the spread next to nothing.")
    if (about["scale"] + 0 != 1)
        caveat("The problems had " about["scale"] " times their size. Small problems time the start and the end of a program, too.")
    if (about["load"] > about["processors"] / 4)
        caveat("The machine had not been idle just before (load " about["load"] ").")
    if (about["revision"] ~ /-dirty$/)
        caveat("The sources were those of the revision and changes that it does not have.")
    for (p = 1; p <= program_count; p++) {
        if (programs[p] in differs)
            caveat("The variants of `" programs[p] "` **differ in what they computed**: one of them is wrong, and no ratio is taken.")
        for (v = 1; v <= allocator_count; v++)
            if ((programs[p], allocators[v]) in failed)
                caveat("`" programs[p] "` **failed** with " allocators[v] ", in one round or more.")
        for (key in equal)
            if ((programs[p], equal[key]) in failed)
                caveat("`" programs[p] "` **failed** with " key " at equal memory, in one round or more.")
    }
    if (caveats != "")
        print "Mind:\n\n" caveats
}

# ---- In short ---------------------------------------------------------------------

function counted(verb) { return verb " " below " of " mean_of " programs" }

function print_summary(    v, other, time, time_counted, memory)
{
    print "## In short\n"
    print "Geometric means of the ratios, each program once (with two threads if it is one with threads). Above 1, Broom is"
    print "better.\n"
    for (v = 1; v <= allocator_count; v++) {
        other = allocators[v]
        if (other == "broom" || (time = mean("seconds", other, "broom", 1)) == "")
            continue
        time_counted = counted("it is the faster one in")
        memory = mean("peak", other, "broom", 1)
        printf "* **%s** takes **%.2f** times the time of Broom (%s), and **%.2f** times the memory (%s).\n", other, time,
            time_counted, memory, counted("it takes less in")
    }
    if (has_equal && (time = mean("seconds", equal["bdwgc"], equal["broom"], 1)) != "")
        printf "* **At equal memory** bdwgc takes **%.2f** times the time of Broom (%s).\n", time, counted("it is the faster one in")
    print ""
    print_means()
    print_marked()
}

function print_marked(    program)
{
    for (program in self_timed) {
        print "\\* What the program timed itself, not the time of the whole run.\n"
        return
    }
}

# ---- The sections -------------------------------------------------------------------

function print_time()
{
    print "## Time\n"
    chart("time", "Time of each program, compared with Broom")
    print "A bar ends at the median of the ratios that were taken within each round; the thin line goes from the least to the"
    print "greatest. Where it crosses 1, the two are about as fast. The axis is logarithmic: twice as fast is as long a bar as"
    print "twice as slow.\n"
    print "Seconds, medians of the rounds; then the ratios, with the least and the greatest of the rounds:\n"
    print_medians("seconds", "%.3f")
    print_marked()
}

function print_memory()
{
    print "## Peak memory\n"
    chart("memory", "Peak memory of each program, compared with Broom")
    print "The resident set of the process as the kernel counts it, with its code and libraries. A collector holds garbage"
    print "until it collects, so it needs more than the program has alive; how much more is a matter of choice, which is why"
    print "time and memory belong together.\n"
    print "MiB, medians of the rounds; then the ratios, with the least and the greatest of the rounds:\n"
    print_medians("peak", "%.1f")
}

function print_pauses()
{
    print "## Collections and pauses\n"
    chart("pauses", "The longest pause of each program")
    print "The median, over the rounds, of the longest pause of a run; the axis is logarithmic. Broom counts them itself,"
    print "as the time that the program waits for a collection; for bdwgc a callback reads the clock when a collection starts and"
    print "when it ends.\n"
    print "Collections of a run, and milliseconds: the longest pause, and the sum of all:\n"
    print_collections()
}

function print_equal()
{
    print "## Time at equal memory\n"
    chart("equal", "Time of bdwgc compared with Broom, at equal memory")
    print "A collector that takes more memory collects less often. Here each has from its start at least the heap that the"
    print "other one used at its peak above (the median of the rounds): Broom by `BROOM_INITIAL_HEAP`, bdwgc by"
    print "`GC_INITIAL_HEAP_SIZE`. It may take more, so the column of peaks says what it did take. Programs marked \\*"
    print "are left out.\n"
    print "Heaps in MiB, time in seconds, pauses in milliseconds:\n"
    print_equal_memory()
}

function print_threads()
{
    if (!index(charts, " threads "))
        return
    print "## Threads\n"
    chart("threads", "Work done in a second, with 1, 2 and 4 threads")
    print "Each thread does all of the work of the program, so that with twice the threads there is twice the work. The"
    print "machine has " about["processors"] " processors: more threads than that cannot do more, at best as much.\n"
}

# A program is described where it stands first in a line of README's table.
function print_programs(    line, name, parts)
{
    print "## The programs\n\n| program | what it does |\n|---|---|"
    while ((getline line < readme) > 0) {
        if (line !~ /^\| `[a-z0-9_]+`( \*)? \|/)
            continue
        split(line, parts, "`")
        name = parts[2]
        if (name in seen || name "/1" in seen || name "/4" in seen)
            print line
    }
    print "\nA number behind a name, as in `threads_trees/4`, is that of its threads; without one there are two.\n"
}

function print_own_figures()
{
    if (!detail_count)
        return
    print "## The programs' own figures\n"
    print "<details><summary>Medians and ratios; the lower the better.</summary>\n"
    print_details()
    print "</details>\n"
}

function print_method()
{
    print "## How it was measured\n"
    print "The variants of a program run in turn, A B C A B C, so that a change in the speed of the machine meets all alike."
    print "Time is wall-clock time of the whole process, from before its start to after its end, but for the programs marked"
    print "\\*. Each program checks its own result, and its variants have to agree on a checksum. All are written in C over one"
    print "header, `bench/alloc.h`. A collector is asked for memory to scan, which it zeroes, or for memory without pointers; the"
    print "others for the same, by `calloc` or by `malloc`. [More of this, and how to run it](../bench/README.md)."
}
