# charts.awk - the charts of the report, as a script for gnuplot. Behind
# results.awk; report says how.
#
#   -v folder=FOLDER   where gnuplot is to put the charts: time.svg, memory.svg,
#                      pauses.svg, equal.svg, threads.svg, those that there are
#                      results for

END {
    chart_of_ratios("time", "seconds", "Time, compared with Broom",
        "Bars to the right: slower than Broom. Bars to the left: faster.")
    chart_of_ratios("memory", "peak", "Peak memory, compared with Broom",
        "Bars to the right: more memory than Broom. Bars to the left: less.")
    if (has_equal)
        chart_of_equal_memory()
    chart_of_pauses()
    chart_of_threads()
}

# The same in all charts.
BEGIN {
    rgb["broom"] = "#1f6fb2"
    rgb["bdwgc"] = "#d2622a"
    rgb["malloc"] = "#8a8f96"
    rgb["mimalloc"] = "#3f9c78"
    rgb["jemalloc"] = "#c79a2b"
    rgb["faint bdwgc"] = "#efc4ab"
}

# ---- What all charts have in common, in pixels ----------------------------------

function begin_chart(name, title, subtitle, w, h)
{
    width = w
    height = h
    print "reset"
    printf "set terminal svg size %d,%d font 'sans-serif,13' background '#ffffff'\n", width, height
    printf "set output '%s/%s.svg'\n", folder, name
    printf "set label \"{/:Bold %s}\" at %s left font 'sans-serif,17' tc rgb '#222222'\n", title, screen(16, 24)
    label(16, 48, "left", "tc rgb '#555555'", subtitle)
    print "set border 0"
    print "set tics scale 0 tc rgb '#333333'"
    print "unset key\nset errorbars 0"
    legend_x = 16
}

# A place on the page: pixels from its upper left corner.
function screen(x, y) { return sprintf("screen %.5f, screen %.5f", x / width, 1 - y / height) }

function label(x, y, side, style, text)
{
    printf "set label \"%s\" at %s %s %s noenhanced\n", text, screen(x, y), side, style
}

function margins(left, right, top, bottom)
{
    printf "set lmargin at screen %.5f\nset rmargin at screen %.5f\n", left / width, 1 - right / width
    printf "set tmargin at screen %.5f\nset bmargin at screen %.5f\n", 1 - top / height, bottom / height
}

function legend(text, colour)
{
    printf "set object rectangle from %s to %s fs solid noborder fc rgb '%s'\n", screen(legend_x, 66), screen(legend_x + 12, 78), colour
    label(legend_x + 18, 72, "left", "tc rgb '#333333'", text)
    legend_x += 18 + 7.4 * length(text) + 22
}

# Rows are added with their height in pixels, from the top down.
function begin_rows() { row_count = rows_height = longest_name = 0 }

function add_row(name, pixels)
{
    row_name[++row_count] = name
    if (length(name) > longest_name)
        longest_name = length(name)
    row_middle[row_count] = rows_height + pixels / 2
    rows_height += pixels
}

function chart_height() { return 126 + rows_height }

# The names of the rows, and a logarithmic axis from least to most.
function axes_of_rows(least, most, unit,    r)
{
    printf "set yrange [%d:0]\nset ytics () noenhanced\n", rows_height
    for (r = 1; r <= row_count; r++)
        printf "set ytics add (\"%s%s\" %g)\n", row_name[r], (row_name[r] in self_timed ? " *" : ""), row_middle[r]
    printf "set logscale xx2\nset xrange [%g:%g]\nset x2range [%g:%g]\n", least, most, least, most
    tics_from(least, most, unit)
    margins(34 + 7.5 * longest_name, 40, 112, 14)
}

# 1, 2, 5, 10 and so on, at the upper edge.
function tics_from(least, most, unit,    decade, step, at, steps, count)
{
    count = split(most / least > 300 ? "1" : "1 2 5", steps, " ")
    print "unset xtics\nset x2tics ()"
    for (decade = -4; decade <= 6; decade++)
        for (step = 1; step <= count; step++) {
            at = steps[step] * 10 ^ decade
            if (at >= least && at <= most)
                printf "set x2tics add (\"%s\" %g)\n", with_unit(at, unit), at
        }
    print "set grid x2 lt 1 lw 1 lc rgb '#e4e4e4'"
}

function with_unit(value, unit)
{
    return unit == "ms" ? (value >= 1000 ? value / 1000 " s" : value " ms") : value "×"
}

# ---- Bars of ratios ---------------------------------------------------------------

# bar() collects them, row by row; print_bars() draws.
function begin_bars()
{
    begin_rows()
    bar_count = bars_in_row = 0
    lowest = 0.7
    highest = 1.5
}

function bar(value, colour)
{
    if (value == "")
        return
    bar_top[++bar_count] = rows_height + 6 + bars_in_row++ * 11
    bar_value[bar_count] = value
    bar_least[bar_count] = least
    bar_most[bar_count] = most
    bar_colour[bar_count] = colour
    if (least < lowest)
        lowest = least
    if (most > highest)
        highest = most
}

function end_bars_of(name)
{
    if (bars_in_row)
        add_row(name, bars_in_row * 11 + 12)
    bars_in_row = 0
}

function print_bars(    b)
{
    axes_of_rows(lowest / 1.3, highest * 1.3, "×")
    print "$bars << EOD"
    for (b = 1; b <= bar_count; b++) {
        printf "%g %g %g %g %g %g %s\n", bar_value[b], bar_top[b] + 5.5, bar_top[b] + 1, bar_top[b] + 10,
            bar_least[b], bar_most[b], "0x" substr(bar_colour[b], 2)
    }
    print "EOD"
    printf "set arrow from 1, graph 0 to 1, graph 1 nohead lw 1.5 lc rgb '%s' front\n", rgb["broom"]
    print "plot $bars using 1:2:(1):1:3:4:7 with boxxyerror fs solid noborder lc rgb variable, \\"
    print "  $bars using 1:2:5:6 with xerrorbars pt 0 lw 1 lc rgb '#444444', \\"
    print "  $bars using ($1 < 1 ? NaN : $6):2:(sprintf('%.2f', $1)) with labels font 'sans-serif,9' left offset 0.4,0 tc rgb '#555555', \\"
    print "  $bars using ($1 < 1 ? $5 : NaN):2:(sprintf('%.2f', $1)) with labels font 'sans-serif,9' right offset -0.4,0 tc rgb '#555555'"
}

function chart_of_ratios(name, what, title, subtitle,    p, v)
{
    begin_bars()
    for (p = 1; p <= program_count; p++) {
        for (v = 1; v <= allocator_count; v++)
            if (allocators[v] != "broom")
                bar(ratio(what, programs[p], allocators[v], "broom"), rgb[allocators[v]])
        end_bars_of(programs[p])
    }
    if (!row_count)
        return
    begin_chart(name, title, subtitle, 860, chart_height())
    legend("Broom: the line at 1", rgb["broom"])
    for (v = 1; v <= allocator_count; v++)
        if (allocators[v] != "broom")
            legend(allocators[v], rgb[allocators[v]])
    print_bars()
}

function chart_of_equal_memory(    p)
{
    begin_bars()
    for (p = 1; p <= program_count; p++) {
        if (ratio("seconds", programs[p], equal["bdwgc"], equal["broom"]) == "")
            continue
        bar(ratio("seconds", programs[p], "bdwgc", "broom"), rgb["faint bdwgc"])
        bar(ratio("seconds", programs[p], equal["bdwgc"], equal["broom"]), rgb["bdwgc"])
        end_bars_of(programs[p])
    }
    if (!row_count)
        return
    begin_chart("equal", "Time of bdwgc compared with Broom, at equal memory",
        "Bars to the right: bdwgc is slower than Broom. Bars to the left: it is faster.", 860, chart_height())
    legend("each with a heap of its own size", rgb["faint bdwgc"])
    legend("each with at least the heap of the other", rgb["bdwgc"])
    print_bars()
}

# ---- Pauses -------------------------------------------------------------------------

function pause_point(row, variant, value)
{
    if (value == "" || value <= 0)
        return
    points = points sprintf("%g %g %s\n", value, row_middle[row], "0x" substr(rgb[variant], 2))
    if (value < lowest)
        lowest = value
    if (value > highest)
        highest = value
}

function chart_of_pauses(    p, broom, bdwgc)
{
    begin_rows()
    lowest = 1e9
    highest = 0
    points = pairs = ""
    for (p = 1; p <= program_count; p++) {
        broom = median("pause", programs[p], "broom")
        bdwgc = median("pause", programs[p], "bdwgc")
        if (broom == "" && bdwgc == "")
            continue
        add_row(programs[p], 24)
        pause_point(row_count, "broom", broom)
        pause_point(row_count, "bdwgc", bdwgc)
        if (broom > 0 && bdwgc > 0)
            pairs = pairs sprintf("%g %g %g\n", broom, row_middle[row_count], bdwgc - broom)
    }
    if (points == "")
        return
    begin_chart("pauses", "The longest pause", "Further to the left is better. How long the program waits for the longest of its collections.",
        860, chart_height())
    legend("Broom", rgb["broom"])
    if ("bdwgc" in ran)
        legend("bdwgc", rgb["bdwgc"])
    axes_of_rows(lowest / 1.6, highest * 1.6, "ms")
    printf "$points << EOD\n%sEOD\n$pairs << EOD\n%sEOD\n", points, pairs
    print "plot " (pairs == "" ? "" : "$pairs using 1:2:3:(0) with vectors nohead lw 3 lc rgb '#d4d4d4', ") \
        "$points using 1:2:3 with points pt 7 ps 0.9 lc rgb variable"
}

# ---- Threads --------------------------------------------------------------------------

# The time of a unit of work in so many threads: "" where it was not measured.
function unit_time(family, variant, threads,    name, value)
{
    if (family == "threads_alloc") {
        name = (threads > 2 ? family "/" threads : family) " threads_" threads "_bytes_64_ns"
        return median("detail", name, variant)
    }
    value = median("seconds", threads == 2 ? family : family "/" threads, variant)
    return value == "" ? "" : value / threads
}

# The families of programs with threads that Broom also ran with one.
function find_families(    p, family)
{
    family_count = 0
    for (p = 1; p <= program_count; p++) {
        family = programs[p]
        sub(/\/.*/, "", family)
        if (family in is_family || family !~ /^threads_/ || !(unit_time(family, "broom", 1) > 0))
            continue
        is_family[family] = 1
        families[++family_count] = family
    }
}

function panel(number, family, left, right,    v, t, threads, base, value, plots)
{
    base = unit_time(family, "broom", 1)
    plots = "$at_best using 1:2 with lines dt 2 lw 1.5 lc rgb '#aaaaaa'"
    for (v = 1; v <= allocator_count; v++) {
        printf "$panel_%d_%s << EOD\n", number, allocators[v]
        for (t = 1; t <= split("1 2 4", threads, " "); t++) {
            value = unit_time(family, allocators[v], threads[t])
            if (value > 0)
                printf "%d %g\n", threads[t], base / value
        }
        print "EOD"
        plots = sprintf("%s, $panel_%d_%s using 1:2 with linespoints pt 7 ps 0.7 lw 2.5 lc rgb '%s'", plots, number,
            allocators[v], rgb[allocators[v]])
    }
    margins(left, right, 132, 44)
    printf "set title '%s%s' noenhanced offset 0,0.3 tc rgb '#222222'\n", family, family == "threads_alloc" ? ", 64 bytes" : ""
    print "plot [0.9:4.4] [0:*] " plots
}

function smaller(a, b) { return a < b ? a : b }

function chart_of_threads(    v, f, room, processors)
{
    find_families()
    if (!family_count)
        return
    room = 300
    begin_chart("threads", "Work done in a second, with 1, 2 and 4 threads",
        "Higher is better. 1 is what one thread of Broom does; dashed: as many times that as there are threads and processors.",
        room * family_count > 860 ? room * family_count : 860, 390)
    for (v = 1; v <= allocator_count; v++)
        legend(allocators[v] == "broom" ? "Broom" : allocators[v], rgb[allocators[v]])
    print "set logscale x 2\nset xtics ('1 thread' 1, '2' 2, '4' 4)\nset grid y lt 1 lw 1 lc rgb '#e4e4e4'"
    print "set ytics format '%g×'"
    processors = about["processors"] > 0 ? about["processors"] : 1024
    printf "$at_best << EOD\n1 1\n2 %d\n4 %d\nEOD\n", smaller(2, processors), smaller(4, processors)
    print "set multiplot"
    for (f = 1; f <= family_count; f++) {
        panel(f, families[f], 50 + room * (f - 1), width - (room * f - 16))
        print "unset label\nunset object"
    }
    print "unset multiplot"
}
