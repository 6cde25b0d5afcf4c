# latency.gnuplot - a chart of bench/report-latency, a panel for each program.
#
#   chart      mmu, pauses or memory
#   programs   their names
#   data       the folder of what series.awk wrote
#   charts     the folder of the charts

variants = 'broom stopped bdwgc incremental control'
titles = "'Broom' 'Broom, stopped' 'bdwgc' 'bdwgc, incremental' 'the clock alone'"
colours = '#1f6fb2 #7fb3dd #d2622a #efb08c #8a8f96'
shown = chart eq 'mmu' ? words(variants) : words(variants) - 1

file(program, variant) = sprintf('%s/%s.%s.%s', data, word(programs, program), word(variants, variant), chart)
rows = (words(programs) + 1) / 2
columns = words(programs) > 1 ? 2 : 1
height = 90 + 290 * rows

set terminal svg size 860,height font 'sans-serif,13' background '#ffffff'
set output sprintf('%s/%s.svg', charts, chart)
set border 3 lc rgb '#999999'
set tics nomirror scale 0.5 tc rgb '#333333'
set grid lt 1 lw 1 lc rgb '#e8e8e8'
set key off
set style data lines
set yrange [0:*]

if (chart eq 'mmu') {
    name = 'Minimum mutator utilisation'
    meaning = 'Higher is better. In each window of time of this length, the program had at least this share of it.'
    set logscale x
    set xrange [0.1:1000]
    set xtics ('0.1 ms' 0.1, '1 ms' 1, '10 ms' 10, '100 ms' 100, '1 s' 1000)
    set yrange [0:100]
    set format y '%g %%'
}
if (chart eq 'pauses') {
    name = 'Pauses'
    meaning = 'Further to the left is better. How many pauses of about this length the collector tells of in a second.'
    set style data histeps
    set logscale x
    set xrange [0.001:1000]
    set xtics ('0.001' 0.001, '0.01' 0.01, '0.1' 0.1, '1 ms' 1, '10 ms' 10, '100 ms' 100, '1 s' 1000)
}
if (chart eq 'memory') {
    name = 'Memory over time'
    meaning = 'Lower is better. Resident MiB, from the beginning to the end of the first round.'
    set xrange [0:*]
    set format x '%g s'
}

# From the upper edge, in pixels; of a variant in the legend.
down(y) = 1 - y / (1.0 * height)
across(v) = 0.02 + (v - 1) * 0.185

set multiplot layout rows,columns margins 0.08,0.97,45.0/height,down(125) spacing 0.09,85.0/height
set label 1 '{/:Bold '.name.'}' at screen 0.02, screen down(20) left font 'sans-serif,17' tc rgb '#222222'
set label 2 meaning at screen 0.02, screen down(44) left tc rgb '#555555'
do for [v = 1:shown] {
    set object v rectangle from screen across(v), screen down(74) to screen across(v) + 0.014, screen down(62) \
        fs solid noborder fc rgb word(colours, v)
    set label 10 + v word(titles, v) at screen across(v) + 0.02, screen down(68) left noenhanced tc rgb '#333333'
}
do for [p = 1:words(programs)] {
    set title word(programs, p) noenhanced offset 0,-0.5
    plot for [v = 1:shown] file(p, v) using 1:2 lw 2 lc rgb word(colours, v)
    unset label
    unset object
}
unset multiplot
