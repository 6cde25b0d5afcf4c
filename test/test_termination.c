/* test_termination.c - the protocol by which markers learn that nothing is grey
 * (gc/mark/pool.h), as a model: every state that any interleaving of its steps
 * leads to is visited. Each access to what is shared is one step.
 *
 * Work is counted: a marker has some in hand, a packet is one piece of it, and
 * doing a piece may uncover more, as long as there is some left to uncover. */
#include "test/states.h"

#include <stdbool.h>
#include <stdio.h>

#define MARKERS 3

/* Where a marker is in the code: what it does next. */
enum place {
    WORKING,    /* scans, gives, or has nothing and takes: gc__pool_next */
    RESTING,    /* rest */
    WAITING,    /* gc__pool_wait: reads the head of the full stack... */
    RISING,     /* ...saw a packet: rise_and_take counts itself... */
    TAKING,     /* ...and pops */
    LOOKING,    /* ...saw none: reads `working` */
    QUITTING,   /* wakes the sleepers */
    DROWSY,     /* gc__pool_sleep: reads the news */
    LYING_DOWN, /* is among the sleepers from here on */
    LISTENING,  /* the last look: the head... */
    LISTENING_FOR_WORKERS,
    FALLING_ASLEEP, /* gc__os_wait compares the news */
    ASLEEP,
    GETTING_UP,
    GONE
};

struct member {
    uint8_t place;
    uint8_t in_hand; /* pieces of grey work */
    uint8_t news;    /* that it saw */
    bool waking;     /* it gave a packet, and has still to look for sleepers */
};

struct state {
    struct member marker[MARKERS];
    uint8_t covered; /* pieces that scanning may still uncover */
    uint8_t full;    /* packets */
    uint8_t working;
    uint8_t sleepers;
    uint8_t news;
};

/* What a broken variant does. */
enum defect {
    NONE,
    RESTS_WITHOUT_LOOKING_AT_THE_POOL,
    RESTS_WITH_WORK_IN_HAND,
    TAKES_BEFORE_RISING,
    QUITS_WITHOUT_LOOKING_FOR_WORKERS,
    QUITS_WITHOUT_WAKING,
    GIVES_WITHOUT_WAKING, /* is not wrong, only slow: who gives takes it back in the end */
    SLEEPS_WITHOUT_A_LAST_LOOK,
    SLEEPS_WHATEVER_THE_NEWS
};

struct model {
    enum defect defect;
    uint8_t pool; /* packets there may be */
};

/* ---- All states ------------------------------------------------------------------------- */

#define MAX_STATES ((size_t)1 << 20)
#define MAX_EDGES (MAX_STATES * 4)

static struct {
    size_t current; /* the one whose successors are visited */
    struct edge {
        uint32_t from, to;
    } * edge;
    size_t edges;
    struct model model;
    bool early;    /* somebody quit while something was grey */
    bool stuck;    /* nobody could do anything, and not all had quit */
    bool mistaken; /* one who thought to be the only one at work was not */
} search;

/* Of news only matters whether they are what somebody remembers. */
#define STALE UINT8_MAX

static void forget_what_does_not_matter(struct state *state)
{
    for (unsigned i = 0; i < MARKERS; i++) {
        struct member *member = &state->marker[i];
        bool remembers = member->place >= LYING_DOWN && member->place <= FALLING_ASLEEP;

        member->news = remembers && member->news != state->news ? STALE : 0;
    }
    state->news = 0;
}

static void note_edge(size_t to)
{
    cr_assert_lt(search.edges, MAX_EDGES);
    search.edge[search.edges++] = (struct edge){(uint32_t)search.current, (uint32_t)to};
}

static void visit(struct state state)
{
    forget_what_does_not_matter(&state);
    note_edge(states_put(&state));
}

/* ---- Steps -------------------------------------------------------------------------------- */

static bool is_grey(const struct state *state)
{
    if (state->full != 0)
        return true;
    for (unsigned i = 0; i < MARKERS; i++)
        if (state->marker[i].in_hand != 0)
            return true;
    return false;
}

/* From here on the state is a copy, and `i` the marker whose step it is. */
static void go(struct state state, unsigned i, enum place place)
{
    state.marker[i].place = (uint8_t)place;
    visit(state);
}

static void take(struct state state, unsigned i, enum place otherwise)
{
    if (state.full == 0) {
        go(state, i, otherwise);
        return;
    }
    state.full--;
    state.marker[i].in_hand = 1;
    if (search.model.defect == TAKES_BEFORE_RISING && state.marker[i].place == RISING)
        go(state, i, TAKING);
    else
        go(state, i, WORKING);
}

static void wake(struct state *state, unsigned count)
{
    if (state->sleepers == 0)
        return;
    state->news++;
    for (unsigned i = 0; i < MARKERS && count > 0; i++)
        if (state->marker[i].place == ASLEEP) {
            state->marker[i].place = GETTING_UP;
            count--;
        }
}

static void scan(struct state state, unsigned i)
{
    state.marker[i].in_hand--;
    visit(state); /* it had no edges to white objects */
    for (uint8_t uncovered = 1; uncovered <= 2 && uncovered <= state.covered; uncovered++) {
        struct state then = state;

        then.covered = (uint8_t)(then.covered - uncovered);
        then.marker[i].in_hand = (uint8_t)(then.marker[i].in_hand + uncovered);
        visit(then);
    }
}

static void give(struct state state, unsigned i)
{
    state.marker[i].in_hand--;
    state.full++;
    state.marker[i].waking = search.model.defect != GIVES_WITHOUT_WAKING;
    visit(state);
}

/* AMONG_IDLE in the marker: what it relies on is checked at once, as gc__pool_is_left_to_one
 * would find it if nothing came between its reads. */
static void check_left_to_one(const struct state *state, unsigned i)
{
    if (state->full != 0 || state->working != 1)
        return;
    for (unsigned other = 0; other < MARKERS; other++)
        if (other != i && state->marker[other].in_hand != 0)
            search.mistaken = true;
}

static void work(struct state state, unsigned i)
{
    if (state.marker[i].waking) {
        state.marker[i].waking = false;
        wake(&state, 1);
        visit(state);
        return;
    }
    check_left_to_one(&state, i);
    if (state.marker[i].in_hand > 0)
        scan(state, i);
    if (state.marker[i].in_hand > 0 && state.full < search.model.pool)
        give(state, i);
    if (state.marker[i].in_hand == 0 && search.model.defect != RESTS_WITHOUT_LOOKING_AT_THE_POOL)
        take(state, i, RESTING);
    else if (state.marker[i].in_hand == 0 || search.model.defect == RESTS_WITH_WORK_IN_HAND)
        go(state, i, RESTING);
}

static void wait(struct state state, unsigned i)
{
    if (state.full != 0)
        go(state, i, RISING);
    else
        go(state, i, search.model.defect == QUITS_WITHOUT_LOOKING_FOR_WORKERS ? QUITTING : LOOKING);
}

static void rise(struct state state, unsigned i)
{
    if (search.model.defect == TAKES_BEFORE_RISING) {
        take(state, i, WAITING);
        return;
    }
    state.working++;
    go(state, i, TAKING);
}

static void quit(struct state state, unsigned i)
{
    search.early |= is_grey(&state);
    if (search.model.defect != QUITS_WITHOUT_WAKING)
        wake(&state, MARKERS);
    go(state, i, GONE);
}

static void lie_down(struct state state, unsigned i)
{
    state.sleepers++;
    go(state, i, search.model.defect == SLEEPS_WITHOUT_A_LAST_LOOK ? FALLING_ASLEEP : LISTENING);
}

static void listen(struct state state, unsigned i)
{
    go(state, i, state.full != 0 ? GETTING_UP : LISTENING_FOR_WORKERS);
}

static void fall_asleep(struct state state, unsigned i)
{
    bool news = state.marker[i].news != state.news && search.model.defect != SLEEPS_WHATEVER_THE_NEWS;

    go(state, i, news ? GETTING_UP : ASLEEP);
}

static void get_up(struct state state, unsigned i)
{
    state.sleepers--;
    go(state, i, WAITING);
}

/* All that marker `i` may do next; false: nothing. */
static bool step(struct state state, unsigned i)
{
    switch ((enum place)state.marker[i].place) {
    case WORKING: work(state, i); return true;
    case RESTING:
        state.working--;
        go(state, i, WAITING);
        return true;
    case WAITING: wait(state, i); return true;
    case RISING: rise(state, i); return true;
    case TAKING:
        if (search.model.defect == TAKES_BEFORE_RISING) {
            state.working++;
            go(state, i, WORKING);
        } else {
            take(state, i, RESTING);
        }
        return true;
    case LOOKING: go(state, i, state.working == 0 ? QUITTING : DROWSY); return true;
    case QUITTING: quit(state, i); return true;
    case DROWSY: /* or it goes on without sleep */
        go(state, i, WAITING);
        state.marker[i].news = state.news;
        go(state, i, LYING_DOWN);
        return true;
    case LYING_DOWN: lie_down(state, i); return true;
    case LISTENING: listen(state, i); return true;
    case LISTENING_FOR_WORKERS: go(state, i, state.working == 0 ? GETTING_UP : FALLING_ASLEEP); return true;
    case FALLING_ASLEEP: fall_asleep(state, i); return true;
    case GETTING_UP: get_up(state, i); return true;
    case ASLEEP:
    case GONE: return false;
    }
    return false;
}

/* ---- The search ------------------------------------------------------------------------------ */

static bool is_over(const struct state *state)
{
    for (unsigned i = 0; i < MARKERS; i++)
        if (state->marker[i].place != GONE)
            return false;
    return true;
}

/* From every state one must be reachable in which all have quit. Edges stand in
 * the order of their origins, so going backwards a few times is enough. */
static bool always_may_end(void)
{
    bool *ends = calloc(states.count, sizeof *ends);
    size_t known = 0, before;

    for (size_t i = 0; i < states.count; i++)
        known += ends[i] = is_over(states_at(i));
    do {
        before = known;
        for (size_t e = search.edges; e-- > 0;)
            if (ends[search.edge[e].to] && !ends[search.edge[e].from]) {
                ends[search.edge[e].from] = true;
                known++;
            }
    } while (known != before);
    free(ends);
    return known == states.count;
}

static void search_from(const struct state *first)
{
    visit(*first);
    for (; search.current < states.count; search.current++) {
        struct state state = *(const struct state *)states_at(search.current);
        bool moved = false;

        for (unsigned i = 0; i < MARKERS; i++)
            moved |= step(state, i);
        search.stuck |= !moved && !is_over(&state);
    }
}

struct verdict {
    bool early, stuck, mistaken, may_end;
};

/* The leader begins with all the work; the others were called and wait. */
static struct verdict explore(enum defect defect, uint8_t in_hand, uint8_t covered, uint8_t pool)
{
    struct state state;
    struct verdict verdict;

    memset(&state, 0, sizeof state);
    state.marker[0].in_hand = in_hand;
    for (unsigned i = 1; i < MARKERS; i++)
        state.marker[i].place = WAITING;
    state.covered = covered;
    state.working = 1;
    memset(&search, 0, sizeof search);
    search.model = (struct model){defect, pool};
    states_begin(sizeof state, MAX_STATES);
    search.edge = malloc(MAX_EDGES * sizeof *search.edge);
    cr_assert_not_null(search.edge);
    search_from(&state);
    verdict = (struct verdict){search.early, search.stuck, search.mistaken, always_may_end()};
    printf("%zu states, %zu steps\n", states.count, search.edges);
    states_end();
    free(search.edge);
    return verdict;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void check_is_right(uint8_t in_hand, uint8_t covered, uint8_t pool)
{
    struct verdict verdict = explore(NONE, in_hand, covered, pool);

    cr_assert_not(verdict.early, "somebody quits while something is grey");
    cr_assert_not(verdict.stuck, "nobody can go on");
    cr_assert_not(verdict.mistaken, "somebody thinks to be the only one at work, and is not");
    cr_assert(verdict.may_end, "it may go on for ever");
}

Test(termination, comes_when_nothing_is_grey_and_always)
{
    check_is_right(0, 0, 2);
    check_is_right(1, 0, 1);
    check_is_right(1, 2, 1);
    check_is_right(2, 1, 2);
    check_is_right(1, 3, 2);
    check_is_right(3, 1, 1);
    check_is_right(2, 3, 3);
    check_is_right(4, 2, 2);
}

static struct verdict explore_broken(enum defect defect)
{
    return explore(defect, 2, 1, 2);
}

Test(termination, is_early_when_a_marker_does_not_look_at_the_pool)
{
    cr_assert(explore_broken(RESTS_WITHOUT_LOOKING_AT_THE_POOL).early);
}

Test(termination, is_early_when_a_marker_rests_with_work_in_hand)
{
    cr_assert(explore_broken(RESTS_WITH_WORK_IN_HAND).early);
}

Test(termination, is_early_when_a_marker_takes_before_it_rises)
{
    cr_assert(explore_broken(TAKES_BEFORE_RISING).early);
}

Test(termination, is_early_when_a_marker_does_not_look_for_workers)
{
    cr_assert(explore_broken(QUITS_WITHOUT_LOOKING_FOR_WORKERS).early);
}

Test(termination, fails_when_nobody_wakes_the_sleepers)
{
    struct verdict verdict = explore_broken(QUITS_WITHOUT_WAKING);

    cr_assert(verdict.stuck && !verdict.may_end);
}

Test(termination, fails_when_a_marker_sleeps_without_a_last_look)
{
    struct verdict verdict = explore_broken(SLEEPS_WITHOUT_A_LAST_LOOK);

    cr_assert(verdict.stuck && !verdict.may_end);
}

Test(termination, fails_when_a_marker_sleeps_whatever_the_news)
{
    struct verdict verdict = explore_broken(SLEEPS_WHATEVER_THE_NEWS);

    cr_assert(verdict.stuck && !verdict.may_end);
}

Test(termination, comes_even_if_who_gives_wakes_nobody)
{
    struct verdict verdict = explore_broken(GIVES_WITHOUT_WAKING);

    cr_assert(!verdict.early && !verdict.stuck && verdict.may_end);
}
