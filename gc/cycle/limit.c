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

/* Below a limit for all that is held, or for the heap. */
static size_t room_below(size_t limit_bytes, size_t outside_bytes, const struct limit_state *state)
{
    return limit_bytes == SIZE_MAX ? SIZE_MAX : rest(rest(limit_bytes, outside_bytes), taken_bytes(state));
}

static size_t room_bytes(const struct limit *limit, const struct limit_state *state)
{
    size_t soft = room_below(limit->soft_bytes, state->outside_bytes, state);
    size_t hard =
        room_below(state->hard_bytes, sum(state->hard_bytes / GC_LIMIT_SLACK_SHARE, state->untouched_bytes), state);

    return gc__min(soft, hard);
}

/* What is allocated in as much time as the collection took, if `bytes` are in `ns`. */
static size_t worthwhile_bytes(const struct limit_state *state, uint64_t bytes, uint64_t ns)
{
    double worthwhile = (double)bytes * (double)state->work_ns;

    if (bytes == 0)
        return 0;
    worthwhile = ns > 0 ? worthwhile / (double)ns : (double)SIZE_MAX;
    return worthwhile < (double)(SIZE_MAX / 2) ? (size_t)worthwhile : SIZE_MAX / 2;
}

void gc__limit_note(struct limit *limit, const struct limit_state *state)
{
    limit->allocated_bytes -= limit->allocated_bytes / GC_THRIFT_MEMORY_SHARE;
    limit->mutator_ns -= limit->mutator_ns / GC_THRIFT_MEMORY_SHARE;
    limit->allocated_bytes += state->allocated_bytes;
    limit->mutator_ns += state->mutator_ns;
}

/* But at least a part of what is wanted. */
static size_t thrifty_bytes(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes)
{
    size_t enough = worthwhile_bytes(state, limit->allocated_bytes, limit->mutator_ns);
    size_t least = gc__max(wanted_bytes / GC_THRIFT_LEAST_SHARE, GC_THRIFT_MIN_BYTES);

    return gc__max(gc__min(enough, SIZE_MAX / GC_THRIFT_TIME_SHARE) * GC_THRIFT_TIME_SHARE, least);
}

size_t gc__limit_budget(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes)
{
    size_t room = room_bytes(limit, state);

    if (limit->thrifty && state->work_ns > 0)
        wanted_bytes = gc__min(wanted_bytes, thrifty_bytes(limit, state, wanted_bytes));
    if (room >= wanted_bytes)
        return wanted_bytes;
    room = gc__max(room, worthwhile_bytes(state, state->allocated_bytes, state->mutator_ns)); /* half of the time */
    room = gc__min(room, room_below(limit->most_bytes, state->outside_bytes, state));
    return gc__min(wanted_bytes, gc__max(room, GC_LIMIT_MIN_BYTES));
}

bool gc__limit_lacks_room(const struct limit *limit, const struct limit_state *state, size_t wanted_bytes)
{
    return room_bytes(limit, state) < wanted_bytes;
}

bool gc__limit_makes_wait(const struct limit *limit, size_t budget_bytes, uint64_t cycle_ns)
{
    double claimed = (double)limit->allocated_bytes * (double)cycle_ns;

    return claimed > (double)limit->mutator_ns * (double)budget_bytes / 100 * GC_RUNWAY_MAX_PERCENT;
}

bool gc__limit_is_exceeded(const struct limit *limit, const struct limit_state *state)
{
    return sum(state->held_bytes, state->outside_bytes) > limit->soft_bytes ||
           sum(state->held_bytes, state->untouched_bytes) > state->hard_bytes;
}
