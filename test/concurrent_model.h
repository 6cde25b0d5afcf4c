/* concurrent_model.h - what there is in the model of a cycle beside the mutators
 * (test_concurrent_model.c), how it may be broken, and the program's moves.
 *
 * The heap is of three objects, of one or two fields each, on two pages; one may lie on
 * both. The program has a register and a global variable. It reaches an object in one
 * move, however long the path; that is more than a program can do. Each access of one
 * side to what the other changes is one step: to a field, or to the bit of a page. What
 * the program does not see joins the step before: nobody but the collector reads marks.
 *
 * What is dead and white is free at once, as if there were always more cells. What is
 * born while the marks are published is black, as a large object, or, as a cell of a new
 * block, white. */
#ifndef TEST_CONCURRENT_MODEL_H
#define TEST_CONCURRENT_MODEL_H

#include "test/states.h"

#include <stdbool.h>

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
    uint8_t batch;          /* pages that are taken at once */
    bool watches_variables; /* and does not scan them whole, always */
};

/* Two objects that point, and a leaf. */
static const struct layout apart = {{{0, 0}, {1, NO_FIELD}, {NO_FIELD, NO_FIELD}}, PAGES, true};

/* One lies on both pages. */
static const struct layout across = {{{0, 1}, {0, NO_FIELD}, {NO_FIELD, NO_FIELD}}, PAGES, true};
static const struct layout page_by_page = {{{0, 1}, {1, NO_FIELD}, {NO_FIELD, NO_FIELD}}, 1, false};

static const struct layout no_leaf = {{{0, NO_FIELD}, {0, NO_FIELD}, {1, NO_FIELD}}, PAGES, false};

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
    uint8_t variable;      /* global, */
    uint8_t held;          /* in a register */
    bool variable_known;   /* watched, and scanned after that, in this cycle; */
    bool variable_written; /* since then, or since it was asked for last */

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
    SCANS_VARIABLES_BEFORE_WATCHING,
    KNOWS_VARIABLES_OF_THE_LAST_CYCLE,
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
    if (!is_marking(state) && !is(KNOWS_VARIABLES_OF_THE_LAST_CYCLE))
        state->variable_known = false;
    if (!state->variable_known)
        state->variable_written = false; /* nobody asks */
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
    state.variable_written = true;
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

#endif
