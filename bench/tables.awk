# tables.awk - the tables of medians and ratios, for table.awk, which prints them
# as text, and report.awk, which prints them as Markdown (markdown = 1). Behind
# results.awk.

# ---- A table is collected cell by cell, then printed ---------------------------

function begin_table() { rows = 0; columns = 0; at = 0 }

function cell(text)
{
    if (at == 0)
        rows++
    table[rows, ++at] = text
    if (at > columns)
        columns = at
}

function end_row() { at = 0 }

# The first column is of names and to the left, the others are of numbers.
function print_table(    r, c, width, line)
{
    for (c = 1; c <= columns; c++) {
        width[c] = 1
        for (r = 1; r <= rows; r++)
            if (length(table[r, c]) > width[c])
                width[c] = length(table[r, c])
    }
    for (r = 1; r <= rows; r++) {
        line = markdown ? "|" : ""
        for (c = 1; c <= columns; c++)
            line = line padded(table[r, c], width[c], c)
        sub(/ +$/, "", line)
        print line
        if (markdown && r == 1)
            print_rule()
    }
    print ""
}

function padded(text, width, c)
{
    if (markdown)
        return " " text " |"
    return sprintf("%" (c == 1 ? "-" : "") width "s  ", text)
}

function print_rule(    c, line)
{
    line = "|---|"
    for (c = 2; c <= columns; c++)
        line = line "---:|"
    print line
}

# ---- Cells ----------------------------------------------------------------------

function name_cell(program)
{
    cell((markdown ? "`" program "`" : program) (program in self_timed ? (markdown ? " \\*" : " *") : ""))
}

function median_cell(what, program, variant, format,    value)
{
    if ((program, variant) in failed)
        return cell("FAILED")
    value = median(what, program, variant)
    return cell(value == "" ? "-" : sprintf(format, value))
}

function ratio_cell(what, program, variant, base,    value)
{
    value = ratio(what, program, variant, base)
    return cell(value == "" ? "-" : sprintf("%.2f (%.2f-%.2f)", value, least, most))
}

function mean_cell(what, variant, base, with_self_timed,    value)
{
    value = mean(what, variant, base, with_self_timed)
    return cell(value == "" ? "-" : sprintf("%.2f (of %d)", value, mean_of))
}

# ---- The tables -----------------------------------------------------------------

# The medians of each allocator, and the ratios to Broom.
function print_medians(what, format,    p, v)
{
    begin_table()
    cell("program")
    for (v = 1; v <= allocator_count; v++)
        cell(allocators[v])
    for (v = 1; v <= allocator_count; v++)
        if (allocators[v] != "broom")
            cell(allocators[v] " / broom")
    end_row()
    for (p = 1; p <= program_count; p++) {
        name_cell(programs[p])
        for (v = 1; v <= allocator_count; v++)
            median_cell(what, programs[p], allocators[v], format)
        for (v = 1; v <= allocator_count; v++)
            if (allocators[v] != "broom")
                ratio_cell(what, programs[p], allocators[v], "broom")
        end_row()
    }
    print_table()
}

function has_collections(program)
{
    return median("collections", program, "broom") != "" || median("collections", program, "bdwgc") != ""
}

function print_collections(    p, v, w)
{
    begin_table()
    cell("program")
    split("collections,longest pause,all pauses", heads, ",")
    for (w = 1; w <= 3; w++)
        for (v = 1; v <= allocator_count; v++)
            if (allocators[v] in equal)
                cell(heads[w] " " allocators[v])
    end_row()
    split("collections pause pauses", whats, " ")
    split("%.0f %.2f %.1f", formats, " ")
    for (p = 1; p <= program_count; p++) {
        if (!has_collections(programs[p]))
            continue
        name_cell(programs[p])
        for (w = 1; w <= 3; w++)
            for (v = 1; v <= allocator_count; v++)
                if (allocators[v] in equal)
                    median_cell(whats[w], programs[p], allocators[v], formats[w])
        end_row()
    }
    print_table()
}

# One line for each allocator that Broom is compared with.
function print_means(    v)
{
    begin_table()
    cell("against broom")
    cell("time, all programs")
    cell("time, without those marked *")
    cell("peak memory")
    end_row()
    for (v = 1; v <= allocator_count; v++) {
        if (allocators[v] == "broom")
            continue
        cell(allocators[v])
        mean_cell("seconds", allocators[v], "broom", 1)
        mean_cell("seconds", allocators[v], "broom", 0)
        mean_cell("peak", allocators[v], "broom", 1)
        end_row()
    }
    print_table()
}

function ran_equal(program)
{
    return (program, equal["broom"]) in failed || (program, equal["bdwgc"]) in failed ||
        median("seconds", program, equal["broom"]) != "" || median("seconds", program, equal["bdwgc"]) != ""
}

function print_equal_memory(    p)
{
    begin_table()
    split("program,heap given broom,heap given bdwgc,peak heap broom,peak heap bdwgc,time broom,time bdwgc," \
        "bdwgc / broom,with heaps of their own,collections broom,collections bdwgc,longest pause broom,longest pause bdwgc", heads, ",")
    for (p = 1; p in heads; p++)
        cell(heads[p])
    end_row()
    for (p = 1; p <= program_count; p++) {
        if (!ran_equal(programs[p]))
            continue
        name_cell(programs[p])
        pair_of_cells("given", programs[p], "%.1f")
        pair_of_cells("heap", programs[p], "%.1f")
        pair_of_cells("seconds", programs[p], "%.3f")
        ratio_cell("seconds", programs[p], equal["bdwgc"], equal["broom"])
        ratio_cell("seconds", programs[p], "bdwgc", "broom")
        pair_of_cells("collections", programs[p], "%.0f")
        pair_of_cells("pause", programs[p], "%.2f")
        end_row()
    }
    print_table()
}

function pair_of_cells(what, program, format)
{
    median_cell(what, program, equal["broom"], format)
    median_cell(what, program, equal["bdwgc"], format)
}

function print_details(    d, v)
{
    begin_table()
    cell("the programs' own figures")
    for (v = 1; v <= allocator_count; v++)
        cell(allocators[v])
    for (v = 1; v <= allocator_count; v++)
        if (allocators[v] != "broom")
            cell(allocators[v] " / broom")
    end_row()
    for (d = 1; d <= detail_count; d++) {
        cell(details[d])
        for (v = 1; v <= allocator_count; v++)
            median_cell("detail", details[d], allocators[v], "%.1f")
        for (v = 1; v <= allocator_count; v++)
            if (allocators[v] != "broom")
                ratio_cell("detail", details[d], allocators[v], "broom")
        end_row()
    }
    print_table()
}
