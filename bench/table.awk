# table.awk - the tables of bench/run, from its results:
#
#   awk [-v show_details=1] -f bench/results.awk -f bench/tables.awk -f bench/table.awk bench-results.csv
#
# Exits with 1 when a run failed, or two variants of a program differ in what
# they computed.

END {
    line = "\nThe medians of " (rounds == 1 ? "one round" : rounds " rounds")
    for (v = 1; v <= allocator_count; v++)
        line = line ", " allocators[v] " " version[allocators[v]]
    print line ".\nA ratio is the median of the rounds' ratios, with the least and the greatest behind it.\n"

    print "time, s"
    print_medians("seconds", "%.3f")
    print "peak memory, MiB"
    print_medians("peak", "%.1f")
    print "collections and their pauses, ms"
    print_collections()
    if (has_equal) {
        print "equal memory: each collector with at least the heap that the other one used above; s, MiB, ms"
        print_equal_memory()
    }
    print "geometric means of the ratios, each program once"
    print_means()
    if (show_details && detail_count > 0)
        print_details()
    for (program in self_timed)
        marked = 1
    if (marked)
        print "* what the program timed itself, not the time of the whole run"
    for (p = 1; p <= program_count; p++)
        if (programs[p] in differs)
            print "WRONG: the variants of " programs[p] " disagree on the result"
    exit trouble
}
