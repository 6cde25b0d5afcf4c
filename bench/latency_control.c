/* latency_control.c - reads the clock, and does nothing else: the gaps that it sees are
 * the machine's own, and other programs' see them too.
 */
#include "latency.h"

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    while (latency_goes_on())
        continue;
    return latency_finish(true, 0);
}
