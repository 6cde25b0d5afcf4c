# heaps.awk - the heaps that the collectors used: for each program that both ran,
# "program broom's bytes bdwgc's bytes". Behind results.awk. Programs that time
# collections alone are left out: the size of the heap is theirs to choose.

END {
    for (p = 1; p <= program_count; p++) {
        program = programs[p]
        if (!(program in self_timed) && ratio("heap", program, "bdwgc", "broom") != "")
            printf "%s %.0f %.0f\n", program, median("heap", program, "broom") * 1048576, median("heap", program, "bdwgc") * 1048576
    }
}
