/* latency_requests.c - a server with 256 MB of sessions. A request comes with each
 * millisecond, by the clock, whether the last one has been answered or not: it finds a
 * session, replaces some of its items, and makes an answer of four thousand small objects.
 * How long it took from when it came to the answer is its latency: if the program stands
 * still for 100 ms, then a hundred requests wait. Between requests the program reads the
 * clock: the time that the kernel takes to wake somebody is not what is to be measured.
 * latency.h says what else is.
 *
 * Optional arguments: the scale, and seconds.
 */
#include "latency.h"

_Static_assert(!BENCH_FREES, "malloc does not pause");

enum {
    STATE_BYTES = 256 << 20,
    ITEMS = 15, /* of a session */
    ITEM_BYTES = 128,
    REPLACED = 4, /* by a request, */
    PARTS = 4000, /* and the parts of its answer; */
    LOOK_EVERY = 200,
    REQUEST_EVERY_NS = 1000000
};

struct item {
    uint64_t session, version;
    unsigned char filler[ITEM_BYTES - 16];
};

struct session {
    uint64_t number, version;
    struct item *item[ITEMS];
};

struct part {
    struct part *next;
    const struct item *item;
    uint64_t text[4];
};

static size_t sessions;
static struct session **table;

static struct item *new_item(struct session *session)
{
    struct item *item = bench_alloc(sizeof *item);
    item->session = session->number;
    item->version = ++session->version;
    return item;
}

static struct session *new_session(size_t number)
{
    struct session *session = bench_alloc(sizeof *session);
    session->number = number;
    for (size_t i = 0; i < ITEMS; i++)
        session->item[i] = new_item(session);
    return session;
}

static struct part *answer(const struct session *session)
{
    struct part *first = NULL;
    for (size_t i = 0; i < PARTS; i++) {
        struct part *part = bench_alloc(sizeof *part);
        part->next = first;
        part->item = session->item[i % ITEMS];
        part->text[0] = part->item->version;
        first = part;
        if (i % LOOK_EVERY == 0)
            latency_look();
    }
    return first;
}

static bool is_right(const struct part *part, const struct session *session)
{
    bool right = true;
    for (; part; part = part->next)
        right &= part->item->session == session->number && part->text[0] == part->item->version;
    return right;
}

static bool serve(void)
{
    struct session *session = table[bench_random_below(sessions)];
    for (size_t i = 0; i < REPLACED; i++)
        session->item[bench_random_below(ITEMS)] = new_item(session);
    return is_right(answer(session), session);
}

static struct latency_list responses;

/* Returns when the next one is due. */
static uint64_t serve_due(uint64_t due_ns, bool *correct)
{
    if (latency.last_ns < due_ns)
        return due_ns;
    *correct &= serve();
    uint64_t done_ns = latency_look();
    if (latency.settled)
        latency_note(&responses, due_ns, done_ns - due_ns);
    return due_ns + REQUEST_EVERY_NS;
}

static void report_responses(void)
{
    qsort(responses.span, responses.count, sizeof *responses.span, latency_compare);
    bench_detail("response_median_ms", latency_quantile_ms(&responses, 0.5));
    bench_detail("response_99_ms", latency_quantile_ms(&responses, 0.99));
    bench_detail("response_999_ms", latency_quantile_ms(&responses, 0.999));
    bench_detail("response_longest_ms", latency_quantile_ms(&responses, 1));
}

int main(int argc, char **argv)
{
    latency_start(argc, argv);
    bool correct = true;
    responses.span = latency_map(LATENCY_MOST * sizeof *responses.span);
    sessions = bench_scaled(STATE_BYTES / (sizeof(struct session) + ITEMS * sizeof(struct item)));
    table = bench_alloc(sessions * sizeof *table);
    for (size_t i = 0; i < sessions; i++)
        table[i] = new_session(i);

    uint64_t due_ns = bench_now_ns();
    while (latency_goes_on())
        due_ns = serve_due(due_ns, &correct);

    for (size_t i = 0; i < sessions; i++)
        for (size_t j = 0; j < ITEMS; j++)
            correct &= table[i]->item[j]->session == i;
    report_responses();
    return latency_finish(correct, sessions);
}
