/* test_concurrent_model.c - the protocol of a cycle beside the mutators
 * (gc/cycle/concurrent.h), as a model: every state that any interleaving of the
 * collector's steps with the program's moves leads to is visited, cycle after cycle,
 * full or minor, until there are no new ones. In each it is true that nothing that the
 * program can reach is white when the marks are published, or freed after that. What
 * would break this if it were otherwise is tried, too.
 *
 * The heap is of three objects, of one or two fields each, on two pages; one may lie on
 * both. The program has a register and a global variable. It reaches an object in one
 * move, however long the path; that is more than a program can do. Each access of one
 * side to what the other changes is one step: to a field, or to the bit of a page. What
 * the program does not see joins the step before: nobody but the collector reads marks.
 * A pause is one step.
 *
 * What is dead and white is free at once, as if there were always more cells. What is
 * born while the marks are published is black, as a large object, or, as a cell of a new
 * block, white. Left out: sweeping, explicit frees, overflow, and more than one marker. */
#include "test/states.h"

#include <stdbool.h>
#include <stdio.h>

TestSuite(concurrent_model, .timeout = 300);

#define OBJECTS 3
#define FIELDS 2
#define PAGES 2

#define ALL_OBJECTS ((1u << OBJECTS) - 1)
#define ALL_PAGES ((1u << PAGES) - 1)

/* A word: nothing, or an object's number plus one. */
#define NOTHING 0

/* On which page a field is. */
#define NO_FIELD (-1)

struct layout {
    int8_t page[OBJECTS][FIELDS];
    uint8_t batch; /* pages that are taken at once */
};

/* Two objects that point, and a leaf. */
static const struct layout apart = {{{0, 0}, {1, NO_FIELD}, {NO_FIELD, NO_FIELD}}, PAGES};

/* One lies on both pages. */
static const struct layout across = {{{0, 1}, {0, NO_FIELD}, {NO_FIELD, NO_FIELD}}, PAGES};
static const struct layout page_by_page = {{{0, 1}, {1, NO_FIELD}, {NO_FIELD, NO_FIELD}}, 1};

static const struct layout no_leaf = {{{0, NO_FIELD}, {0, NO_FIELD}, {1, NO_FIELD}}, PAGES};

/* The collector's next step. The steps `segments` and `ranges` are one, and so are the
 * ends of a cycle that fails. */
enum phase {
    OFF,
    WATCH,
    WHITEN,
    SNAPSHOT,
    SEGMENTS,
    TRACE,
    ASK,
    TAKE,
    RESCAN, /* one step in the code */
    STACKS,
    FAIL,
    PUBLISH, /* the finish goes before it, whatever the phase is */
    PHASES
};

/* Sets of objects and pages are bits. */
struct state {
    uint8_t field[OBJECTS][FIELDS];
    uint8_t variable; /* global, */
    uint8_t held;     /* in a register */

    uint8_t allocated, marked;
    uint8_t grey;
    uint8_t run; /* a cell that was claimed, and not yet handed out: a word */
    bool marks_stand;
    bool minor;

    uint8_t written; /* pages, as the system knows it, */
    uint8_t noted;   /* as we know it, and have not taken; */
    uint8_t to_scan; /* taken */
    bool scans;      /* halfway through the step that scans them */
    uint8_t known;   /* to hold something marked: no others are taken */

    uint8_t phase;
    uint8_t at;     /* how far the phase is */
    uint8_t seen;   /* objects that were marked when the rescan of a page began */
    uint8_t traced; /* the object that is being scanned: a word */
};

/* What a broken variant does. */
enum defect {
    NONE,
    SCANS_BEFORE_WATCHING_AGAIN,
    ASKS_BEFORE_WATCHING_AGAIN,   /* not at the same moment */
    FORGETS_WHAT_IT_WAS_NOT_TOLD, /* though it is watched again, perhaps */
    KNOWS_WHERE_OBJECTS_BEGIN,
    KNOWS_NOTHING_OF_THE_FINISH, /* that was put off */
    MINOR_KNOWS_WHAT_THE_LAST_CYCLE_KNEW,
    BIRTHS_ARE_BLACK_WHILE_MARKING, /* and nobody knows of their pages */
    BIRTHS_ARE_WHITE_WHILE_PUBLISHING,
    FORGETS_UNISSUED_CELLS, /* at the finish, as the next four */
    FORGETS_REGISTERS,
    FORGETS_VARIABLES,
    FORGETS_WRITTEN_PAGES,
    FORGETS_WHAT_IS_GREY,
    FORGETS_NOTED_PAGES, /* at the finish, when somebody took the cycle over; and */
    FORGETS_TAKEN_PAGES,
    SCANS_WHERE_OBJECTS_BEGIN, /* and not what else is on a page */
    MINOR_WATCHES,
    MINOR_AFTER_GIVING_UP,
    /* These are not wrong, only slow, or of no use. */
    PASSES_WITHOUT_STACKS,
    MINOR_WHITENS
};

/* ---- All states ------------------------------------------------------------------------- */

#define MAX_STATES ((size_t)1 << 22)

static struct {
    const struct layout *layout;
    enum defect defect;
    bool lost;     /* something that the program can reach is white, or free */
    bool disliked; /* by the verifier: something black points at something white */
    bool came_to[PHASES];
} search;

static bool is(enum defect defect)
{
    return search.defect == defect;
}

/* The set of a word. */
static unsigned to(uint8_t word)
{
    return word == NOTHING ? 0 : 1u << (word - 1);
}

static bool has(unsigned set, unsigned element)
{
    return (set >> element & 1) != 0;
}

static int page_of(unsigned object, unsigned field)
{
    return search.layout->page[object][field];
}

/* The longest path is through all objects. */
static unsigned all_that_follows(const struct state *state, unsigned from)
{
    for (unsigned steps = 1; steps < OBJECTS; steps++)
        for (unsigned i = 0; i < OBJECTS; i++)
            for (unsigned f = 0; has(from, i) && f < FIELDS; f++)
                from |= to(state->field[i][f]);
    return from;
}

static unsigned reachable(const struct state *state)
{
    return all_that_follows(state, to(state->held) | to(state->variable));
}

static void give_marks_up(struct state *state)
{
    state->marks_stand = is(MINOR_AFTER_GIVING_UP);
    state->minor = false;
    state->grey = state->traced = state->seen = 0;
    state->noted = state->to_scan = 0;
    state->scans = false;
}

static bool is_marking(const struct state *state)
{
    return state->phase >= SNAPSHOT && state->phase < FAIL;
}

/* Marks before the whitening, which pages are written before they are watched, and
 * what nobody will ever read. */
static void forget_what_does_not_matter(struct state *state)
{
    unsigned read;

    if (state->phase == FAIL)
        give_marks_up(state);
    if (!state->minor && (state->phase == WATCH || state->phase == WHITEN))
        state->marked = 0;
    if (!state->marks_stand && (state->phase == OFF || state->phase == FAIL)) {
        state->marked = 0;
        state->written = ALL_PAGES;
    }
    if (!is_marking(state) && !is(MINOR_KNOWS_WHAT_THE_LAST_CYCLE_KNEW))
        state->known = 0;
    read = all_that_follows(state, to(state->held) | to(state->variable) | state->marked);
    state->allocated &= (uint8_t)(read | to(state->run));
    for (unsigned i = 0; i < OBJECTS; i++)
        if (!has(read, i))
            memset(state->field[i], NOTHING, FIELDS);
}

static void visit(struct state state)
{
    forget_what_does_not_matter(&state);
    states_put(&state);
}

/* ---- The program's moves ------------------------------------------------------------------ *
 * From here on a state that is an argument by value is a copy. */

static void load(struct state state, uint8_t word)
{
    state.held = word;
    visit(state);
}

static void store(struct state state, unsigned object, unsigned field, uint8_t word)
{
    state.field[object][field] = word;
    state.written |= (uint8_t)(1u << page_of(object, field));
    visit(state);
}

static void store_variable(struct state state, uint8_t word)
{
    state.variable = word;
    visit(state);
}

static bool is_born_black(const struct state *state)
{
    return state->phase == PUBLISH ? !is(BIRTHS_ARE_WHITE_WHILE_PUBLISHING)
                                   : is(BIRTHS_ARE_BLACK_WHILE_MARKING) && is_marking(state);
}

/* Of memory that is zero already: else its page is written, too. */
static void claim(struct state state, unsigned object)
{
    memset(state.field[object], NOTHING, FIELDS);
    state.allocated |= (uint8_t)(1u << object);
    state.run = (uint8_t)(object + 1);
    if (state.phase == PUBLISH && object < state.at)
        visit(state); /* nobody will ask for its mark any more */
    if (is_born_black(&state))
        state.marked |= (uint8_t)(1u << object);
    visit(state);
}

static void hand_out(struct state state)
{
    state.held = state.run;
    state.run = NOTHING;
    visit(state);
}

static void make_moves(const struct state *state)
{
    unsigned objects = reachable(state);

    for (unsigned i = 0; i < OBJECTS; i++)
        for (unsigned f = 0; has(objects, i) && f < FIELDS; f++)
            if (page_of(i, f) != NO_FIELD) {
                load(*state, state->field[i][f]);
                store(*state, i, f, state->held);
                if (state->held != NOTHING)
                    store(*state, i, f, NOTHING);
            }
    load(*state, NOTHING);
    load(*state, state->variable);
    store_variable(*state, state->held);
    store_variable(*state, NOTHING);
    for (unsigned i = 0; state->run == NOTHING && i < OBJECTS; i++)
        if (!has(state->allocated, i))
            claim(*state, i);
    if (state->run != NOTHING)
        hand_out(*state);
}

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

static void segments(struct state state)
{
    mark(&state, to(state.variable));
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
    if (!is(FORGETS_VARIABLES))
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
