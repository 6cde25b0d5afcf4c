/* test_concurrent_model.c - the protocol of a cycle beside the mutators
 * (gc/cycle/concurrent.h), as a model: every state that any interleaving of the
 * collector's steps with the program's moves leads to is visited, cycle after cycle,
 * full or minor, until there are no new ones. In each it is true that nothing that the
 * program can reach is white when the marks are published, or freed after that. What
 * would break this if it were otherwise is tried, too.
 *
 * What the heap is, and what the program does, stands in concurrent_model.h. A pause is
 * one step. Left out: sweeping, explicit frees, overflow, and more than one marker. */
#include "test/concurrent_model.h"

#include <stdio.h>

TestSuite(concurrent_model, .timeout = 300);

/* ---- Marking ------------------------------------------------------------------------------- */

static void go_on_with(struct state *state, enum phase phase)
{
    state->phase = (uint8_t)phase;
    state->at = 0;
}

/* On which the first so many fields of objects lie. */
static unsigned pages_of(unsigned objects, unsigned fields)
{
    unsigned pages = 0;

    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned f = 0; has(objects, i) && f < fields; f++)
            if (page_of(i, f) != NO_FIELD)
                pages |= 1u << page_of(i, f);
    return pages;
}

static void note_pages_of(struct state *state, unsigned objects)
{
    state->known |= (uint8_t)pages_of(objects, is(KNOWS_WHERE_OBJECTS_BEGIN) ? 1 : FIELDS);
}

static void mark(struct state *state, unsigned objects)
{
    objects &= state->allocated & ~(unsigned)state->marked;
    state->marked |= (uint8_t)objects;
    state->grey |= (uint8_t)objects;
    note_pages_of(state, objects);
}

/* Of `pages`, those that are taken. */
static unsigned pages_to_take(const struct state *state, unsigned pages)
{
    return pages & state->known & pages_of(state->marked, FIELDS);
}

static bool is_scanned_with(unsigned object, unsigned field, unsigned page)
{
    int where = page_of(object, is(SCANS_WHERE_OBJECTS_BEGIN) ? 0 : field);

    return page_of(object, field) != NO_FIELD && where == (int)page;
}

/* ---- The collector's steps ------------------------------------------------------------------ */

static void go_to(struct state state, enum phase phase)
{
    go_on_with(&state, phase);
    visit(state);
}

static void drop(struct state state)
{
    give_marks_up(&state);
    go_to(state, OFF);
}

static void begin(struct state state)
{
    go_to(state, WATCH);
    if (!state.marks_stand)
        return;
    state.minor = true;
    if (!is(MINOR_KNOWS_WHAT_THE_LAST_CYCLE_KNEW))
        note_pages_of(&state, state.marked);
    go_to(state, is(MINOR_WATCHES) ? WATCH : is(MINOR_WHITENS) ? WHITEN : SNAPSHOT);
}

static void whiten(struct state state)
{
    state.marked = state.known = 0;
    go_to(state, SNAPSHOT);
}

/* Or not, if cells of it are likely to be claimed, or to be young. */
static void watch(struct state state)
{
    uint8_t page = (uint8_t)(1u << state.at++);

    if (state.at == PAGES)
        go_on_with(&state, state.minor ? SNAPSHOT : WHITEN);
    visit(state);
    state.written &= (uint8_t)~page;
    visit(state);
}

static void stacks(struct state state)
{
    mark(&state, to(state.held));
    go_to(state, SEGMENTS);
}

static void snapshot(struct state state)
{
    state.minor = false; /* from here on it makes no difference */
    stacks(state);
}

static void scan_variable(struct state *state)
{
    mark(state, to(state->variable));
}

static void watch_variable(struct state *state)
{
    state->variable_known = true;
    state->variable_written = false;
}

/* It is watched, or asked for and watched again at the same moment, and then scanned. */
static void segments(struct state state)
{
    bool watches = search.layout->watches_variables;

    if (watches && state.at == 0 && (!state.variable_known || state.variable_written)) {
        (is(SCANS_VARIABLES_BEFORE_WATCHING) ? scan_variable : watch_variable)(&state);
        state.at++;
        state.scans = true;
        visit(state);
        return;
    }
    if (!watches || state.at > 0)
        (is(SCANS_VARIABLES_BEFORE_WATCHING) ? watch_variable : scan_variable)(&state);
    state.scans = false;
    go_to(state, TRACE);
}

static void scan_field(struct state state)
{
    unsigned object = state.traced - 1u;

    mark(&state, to(state.field[object][state.at++]));
    if (state.at == FIELDS || page_of(object, state.at) == NO_FIELD)
        state.at = state.traced = 0;
    visit(state);
}

static void scan_any(struct state state)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (has(state.grey, i)) {
            struct state then = state;

            then.grey &= (uint8_t) ~(1u << i);
            then.traced = (uint8_t)(i + 1);
            scan_field(then);
        }
}

static void trace(struct state state)
{
    if (state.traced != NOTHING) {
        scan_field(state);
    } else if (state.grey != 0) {
        scan_any(state);
    } else {
        go_on_with(&state, ASK);
        visit(state);
    }
}

/* As many as there is room for; those that are passed over are noted no more. */
static void take(struct state state)
{
    unsigned room = search.layout->batch, pages = pages_to_take(&state, state.noted);

    state.written &= is(ASKS_BEFORE_WATCHING_AGAIN) ? 0 : ALL_PAGES;
    for (unsigned p = 0; p < PAGES && room > 0; p++) {
        state.noted &= (uint8_t) ~(1u << p);
        state.to_scan |= (uint8_t)(pages & 1u << p);
        room -= has(pages, p);
    }
    if (state.to_scan != 0)
        go_to(state, RESCAN);
    else
        go_to(state, is(PASSES_WITHOUT_STACKS) ? TRACE : STACKS);
}

static void ask_no_more(struct state state, bool was_told)
{
    if (state.at < PAGES) {
        visit(state);
        return;
    }
    go_to(state, TAKE);
    if (!was_told)
        go_to(state, FAIL);
}

/* Page by page, while they are written. If the system refuses to tell, it may have
 * watched the page all the same. */
static void ask(struct state state)
{
    uint8_t page = (uint8_t)(1u << state.at), written = state.written & page;
    bool resets = !is(SCANS_BEFORE_WATCHING_AGAIN) && !is(ASKS_BEFORE_WATCHING_AGAIN);

    state.at++;
    if ((state.known & page) == 0)
        ask_no_more(state, true); /* nothing is marked there */
    state.noted |= is(FORGETS_WHAT_IT_WAS_NOT_TOLD) ? 0 : page;
    ask_no_more(state, false);
    state.written &= resets ? (uint8_t)~page : ALL_PAGES;
    ask_no_more(state, false);
    state.noted = (uint8_t)((state.noted & ~page) | written);
    ask_no_more(state, true);
}

static unsigned objects_on(unsigned page)
{
    unsigned objects = 0;

    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned f = 0; f < FIELDS; f++)
            if (is_scanned_with(i, f, page))
                objects |= 1u << i;
    return objects;
}

/* The next field on the page. */
static void rescan_field(struct state *state, unsigned page)
{
    unsigned object = (unsigned)__builtin_ctz(state->seen);

    while (!is_scanned_with(object, state->at, page))
        state->at++;
    mark(state, to(state->field[object][state->at++]));
    if (state->at == FIELDS || !is_scanned_with(object, state->at, page)) {
        state->seen &= (uint8_t) ~(1u << object);
        state->at = 0;
    }
}

/* Those objects on a page that were marked when its turn came. */
static void rescan(struct state state)
{
    unsigned page = (unsigned)__builtin_ctz(state.to_scan);

    state.scans = true;
    if (state.seen == 0)
        state.seen = (uint8_t)(state.marked & objects_on(page));
    else
        rescan_field(&state, page);
    if (state.seen == 0) {
        state.to_scan &= (uint8_t) ~(1u << page);
        state.written &= is(SCANS_BEFORE_WATCHING_AGAIN) ? (uint8_t) ~(1u << page) : ALL_PAGES;
    }
    if (state.to_scan == 0) {
        state.scans = false;
        go_on_with(&state, TAKE);
    }
    visit(state);
}

static void rescan_the_last(struct state *state)
{
    unsigned noted = is(FORGETS_NOTED_PAGES) ? 0 : state->noted, taken = is(FORGETS_TAKEN_PAGES) ? 0 : state->to_scan;
    unsigned pages = pages_to_take(state, state->written | noted | taken), marked = state->marked;

    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned f = 0; has(marked, i) && f < FIELDS; f++)
            for (unsigned p = 0; p < PAGES; p++)
                if (has(pages, p) && is_scanned_with(i, f, p))
                    mark(state, to(state->field[i][f]));
}

static void drain(struct state *state)
{
    unsigned marked = all_that_follows(state, state->grey);

    state->marked |= (uint8_t)(marked & state->allocated);
    state->grey = 0;
}

/* First the rest of what was under way, when somebody took the cycle over. */
static void finish(struct state state)
{
    uint8_t known = state.known;

    state.grey = is(FORGETS_WHAT_IS_GREY) ? 0 : (uint8_t)(state.grey | to(state.traced));
    state.traced = NOTHING;
    if (!is(FORGETS_WRITTEN_PAGES))
        rescan_the_last(&state);
    if (!is(FORGETS_VARIABLES) && (!state.variable_known || state.variable_written))
        mark(&state, to(state.variable));
    if (!is(FORGETS_REGISTERS))
        mark(&state, to(state.held));
    if (state.phase == TRACE) { /* it was too much, and is put off */
        struct state then = state;

        then.known = is(KNOWS_NOTHING_OF_THE_FINISH) ? known : state.known;
        go_to(then, TRACE);
    }
    if (!is(FORGETS_UNISSUED_CELLS))
        state.marked |= (uint8_t)to(state.run);
    drain(&state);
    search.lost |= (reachable(&state) & ~(unsigned)state.marked) != 0;
    search.disliked |= (all_that_follows(&state, state.marked) & ~(unsigned)state.marked) != 0;
    state.noted = state.to_scan = state.seen = 0;
    go_to(state, PUBLISH);
}

/* What is free is watched no more, nor is a page if much of it is. */
static void end(struct state state)
{
    state.written |= (uint8_t)(ALL_PAGES & ~pages_of(state.allocated, FIELDS));
    state.marks_stand = true;
    go_on_with(&state, OFF);
    for (unsigned pages = 0; pages <= ALL_PAGES; pages++) {
        struct state then = state;

        then.written |= (uint8_t)pages;
        visit(then);
    }
}

static void publish(struct state state)
{
    unsigned object = 1u << state.at++;

    if ((state.allocated & ~(unsigned)state.marked & object) != 0) {
        search.lost |= (reachable(&state) & object) != 0 || to(state.run) == object;
        state.allocated &= (uint8_t)~object;
    }
    if (state.at == OBJECTS)
        end(state);
    else
        visit(state);
}

/* Who takes the cycle over finishes it, or gives it up; in the midst of a step nobody
 * can. */
static void take_over(const struct state *state)
{
    bool can_finish = state->phase > SNAPSHOT && state->phase < FAIL;

    if (state->scans || state->phase == OFF || state->phase == PUBLISH)
        return;
    drop(*state);
    if (can_finish)
        finish(*state);
}

static void make_step(struct state state)
{
    switch ((enum phase)state.phase) {
    case OFF: begin(state); break;
    case WHITEN: whiten(state); break;
    case WATCH: watch(state); break;
    case SNAPSHOT: snapshot(state); break;
    case SEGMENTS: segments(state); break;
    case TRACE: trace(state); break;
    case ASK: ask(state); break;
    case TAKE: take(state); break;
    case RESCAN: rescan(state); break;
    case STACKS: stacks(state); break;
    case FAIL: drop(state); break;
    case PUBLISH: publish(state); break;
    case PHASES: break;
    }
}

/* ---- The search ------------------------------------------------------------------------------ */

/* From an empty heap, of which nothing is watched. It ends early only where something
 * is lost. */
static void explore(enum defect defect, const struct layout *layout)
{
    struct state state;

    memset(&state, 0, sizeof state);
    memset(&search, 0, sizeof search);
    search.defect = defect;
    search.layout = layout;
    states_begin(sizeof state, MAX_STATES);
    visit(state);
    for (size_t i = 0; i < states.count && !search.lost; i++) {
        state = *(const struct state *)states_at(i);
        search.came_to[state.phase] = true;
        make_moves(&state);
        make_step(state);
        take_over(&state);
    }
    printf("%zu states\n", states.count);
    states_end();
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void check_is_right(enum defect defect, const struct layout *layout)
{
    explore(defect, layout);
    cr_assert_not(search.lost, "something that the program can reach is white, by defect %d", defect);
    cr_assert_not(search.disliked, "something black points at something white, by defect %d", defect);
}

Test(concurrent_model, nothing_is_lost)
{
    check_is_right(NONE, &apart);
    check_is_right(NONE, &no_leaf);
    check_is_right(NONE, &across);
    check_is_right(NONE, &page_by_page);
    for (unsigned phase = 0; phase < PHASES; phase++)
        cr_assert(search.came_to[phase], "the model does not come to phase %u", phase);
}

Test(concurrent_model, nothing_is_lost_by_what_is_only_slow)
{
    check_is_right(PASSES_WITHOUT_STACKS, &apart);
    check_is_right(MINOR_WHITENS, &apart);
}

Test(concurrent_model, tells_what_would_be_wrong)
{
    for (enum defect defect = SCANS_BEFORE_WATCHING_AGAIN; defect < PASSES_WITHOUT_STACKS; defect++) {
        explore(defect, &across);
        cr_assert(search.lost, "nothing is lost by defect %d", defect);
    }
}
