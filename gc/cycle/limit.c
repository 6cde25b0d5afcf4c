#include "gc/cycle/limit.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"

static size_t sum(size_t a, size_t b)
{
    return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

static size_t rest(size_t of, size_t without)
{
    return of > without ? of - without : 0;
}

/* Live cells lie among free ones that fit nothing: so much more is taken than is
 * live. */
static size_t taken_bytes(const struct limit_state *state)
{
    return sum(state->live_bytes, state->live_bytes / GC_LIMIT_SLACK_SHARE);
}

static size_t room_bytes(const struct limit *limit, const struct limit_state *state)
{
    size_t soft = rest(limit->soft_bytes, state->outside_bytes);
    size_t hard =
        state->hard_bytes == SIZE_MAX ? SIZE_MAX : rest(state->hard_bytes, state->hard_bytes / GC_LIMIT_SLACK_SHARE);

    return rest(gc__min(soft, hard), taken_bytes(state));
}

/* What was allocated in as much time as the collection took: with that as the
 * budget half of the time is the program's. */
static size_t worthwhile_bytes(const struct limit_state *state)
{
    double bytes = (double)state->allocated_bytes * (double)state->pause_ns;

    if (state->allocated_bytes == 0)
        return 0;
    bytes = state->mutator_ns > 0 ? bytes / (double)state->mutator_ns : (double)SIZE_MAX;
    return bytes < (double)(SIZE_MAX / 2) ? (size_t)bytes : SIZE_MAX / 2;
}

/* One cycle says little of the next: at least a part of what is wanted. */
static size_t thrifty_bytes(const struct limit_state *state, size_t wanted_bytes)
{
    size_t enough = gc__min(worthwhile_bytes(state), SIZE_MAX / GC_THRIFT_TIME_SHARE) * GC_THRIFT_TIME_SHARE;
    size_t least = gc__max(wanted_bytes / GC_THRIFT_LEAST_SHARE, GC_THRIFT_MIN_BYTES);

    return state->allocated_bytes == 0 ? wanted_bytes : gc__max(enough, least);
}

size_t gc__limit_budget(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes)
{
    size_t room = room_bytes(limit, state);

    if (limit->thrifty)
        wanted_bytes = gc__min(wanted_bytes, thrifty_bytes(state, wanted_bytes));
    if (room >= wanted_bytes)
        return wanted_bytes;
    room = gc__max(room, worthwhile_bytes(state));
    return gc__min(wanted_bytes, gc__max(room, GC_LIMIT_MIN_BYTES));
}

bool gc__limit_is_exceeded(const struct limit *limit, const struct limit_state *state)
{
    return limit->soft_bytes != SIZE_MAX && sum(state->held_bytes, state->outside_bytes) > limit->soft_bytes;
}
