/* information.c - the calls of glibc's that tell of the allocator, or tune it: of Broom's
 * heap. */

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/insight/stats.h"

#include <broom.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

static struct gc_stats figures(void)
{
    struct gc_stats stats;

    gc_get_stats(&stats, sizeof stats);
    return stats;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
    size_t arena = figures().heap_bytes, in_use = gc__min(gc__stats_in_use(), arena);

    return (struct mallinfo2){.arena = arena, .uordblks = in_use, .fordblks = arena - in_use};
}

EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 info = mallinfo2();

    return (struct mallinfo){
        .arena = (int)info.arena,
        .uordblks = (int)info.uordblks,
        .fordblks = (int)info.fordblks,
    };
}

/* There is nothing of glibc's to be tuned. */
EXPORT int mallopt(int parameter, int value)
{
    (void)parameter, (void)value;
    return 1;
}

EXPORT int malloc_info(int options, FILE *stream)
{
    struct gc_stats stats = figures();

    if (options != 0)
        return EINVAL;
    fprintf(stream,
            "<malloc version=\"broom-%s\">\n<heap nr=\"0\">\n</heap>\n<system type=\"current\" size=\"%llu\"/>\n"
            "<system type=\"max\" size=\"%llu\"/>\n</malloc>\n",
            gc_version(), (unsigned long long)stats.heap_bytes, (unsigned long long)stats.heap_peak_bytes);
    return 0;
}

EXPORT void malloc_stats(void)
{
    struct gc_stats stats = figures();

    gc__message("heap %llu bytes, in use %llu bytes, %llu collections", (unsigned long long)stats.heap_bytes,
                (unsigned long long)gc__stats_in_use(), (unsigned long long)stats.collections);
}
