# series.awk - what is drawn of one program and variant: the series of all rounds.
#
#   -v name=FILE   writes FILE.mmu (milliseconds, percent: the median of the rounds),
#                  FILE.pauses (milliseconds, pauses in a second: four bars to a
#                  factor of ten) and FILE.memory (seconds, MiB: of the first round)

BEGIN {
    bars_in_decade = 4
    lowest = -3 * bars_in_decade # microseconds
    highest = 3 * bars_in_decade # seconds
}
FNR == 1 { round++ } # /dev/null has no first line
$1 == "mmu" {
    if (!($2 in rounds_of))
        windows[++window_count] = $2
    mmu[$2, ++rounds_of[$2]] = $3
}
$1 == "pause" { pauses[bar_of($2 / 1000)]++ }
$1 == "memory" && round == 1 { memory = memory $2 " " $3 "\n" }
$1 == "memory" { if ($2 > seconds) seconds = $2 }

function bar_of(ms,    bar)
{
    bar = int(bars_in_decade * log(ms > 0.001 ? ms : 0.001) / log(10) + 100) - 100
    return bar > highest ? highest : bar
}

function median_mmu(window,    i, j, t, count)
{
    count = rounds_of[window]
    for (i = 2; i <= count; i++)
        for (j = i; j > 1 && mmu[window, j - 1] > mmu[window, j]; j--) {
            t = mmu[window, j]
            mmu[window, j] = mmu[window, j - 1]
            mmu[window, j - 1] = t
        }
    return mmu[window, int((count + 1) / 2)]
}

END {
    all_seconds = round > 0 && seconds > 0 ? round * seconds : 1 # none: every run has failed
    for (i = 1; i <= window_count; i++)
        print windows[i], median_mmu(windows[i]) >(name ".mmu")
    for (bar = lowest; bar <= highest; bar++)
        print 10 ^ ((bar + 0.5) / bars_in_decade), pauses[bar] / all_seconds >(name ".pauses")
    printf "%s", memory >(name ".memory")
    printf "" >(name ".mmu")
}
