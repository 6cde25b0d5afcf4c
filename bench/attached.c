/* attached.c - times full collections of a million objects that have something
 * attached: nothing, for comparison; a weak link each; a finalizer each. First all of
 * them live, then all die, and what follows from that is timed, too.
 */
#include "attach.h"

enum { OBJECTS = 1000000, COLLECTIONS = 5 };

static uintptr_t **root;
static void **links; /* where no collector looks */
static size_t finalized;

static void note(void *object, void *data)
{
    (void)data;
    finalized += *(uintptr_t *)object != 0;
}

static void make_objects(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        root[i] = bench_alloc(32);
        root[i][0] = i + 1;
    }
}

static void link_all(size_t count)
{
    for (size_t i = 0; i < count; i++)
        bench_link(&links[i], root[i]);
}

static void finalize_all(size_t count)
{
    for (size_t i = 0; i < count; i++)
        bench_set_finalizer(root[i], note);
}

/* Not the writes to `root`: where a collector watches for those, the first to a page
 * takes longer, whatever is attached. */
static double time_death(size_t count)
{
    memset(root, 0, count * sizeof *root);
    uint64_t start_ns = bench_now_ns();
    bench_collect();
    bench_finalize();
    return (double)(bench_now_ns() - start_ns) * 1e-6;
}

/* Returns the median of the collections while all live. */
static double measure(const char *name, size_t count, void (*attach)(size_t count))
{
    char label[64];
    double attach_ms;
    uint64_t start_ns;

    bench_pause_collecting();
    make_objects(count);
    start_ns = bench_now_ns();
    if (attach)
        attach(count);
    attach_ms = (double)(bench_now_ns() - start_ns) * 1e-6;
    bench_resume_collecting();
    printf("%s: %.1f ns to attach\n", name, attach_ms * 1e6 / (double)count);
    bench_time_collections();
    snprintf(label, sizeof label, "%s_live_ms", name);
    bench_detail(label, bench.seconds * 1e3);
    double death_ms = time_death(count);
    printf("%s: all dead %.2f ms\n", name, death_ms);
    snprintf(label, sizeof label, "%s_dead_ms", name);
    bench_detail(label, death_ms);
    bench_collect();
    return bench.seconds;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t count = bench_scaled(OBJECTS), left = 0;
    bench_start_attaching();
    root = bench_alloc(count * sizeof *root);
    links = malloc(count * sizeof *links);
    measure("plain", count, NULL);
    double seconds = measure("links", count, link_all);
    for (size_t i = 0; i < count; i++)
        left += links[i] != NULL;
    bench.seconds = seconds + measure("finalizers", count, finalize_all);
    bool correct = left <= count / 50 && finalized >= count - count / 50;
    return bench_finish(correct, correct);
}
