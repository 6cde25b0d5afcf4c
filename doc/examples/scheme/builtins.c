/* builtins.c - what the builtins need, and main. */
#include "scheme.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc.h"

/* ---- Numbers ------------------------------------------------------------- */

static double real(value v)
{
    if (is(INTEGER, v))
        return (double)integer(v);
    return ((struct real *)expect(REAL, v))->number;
}

static int64_t divisor(value v)
{
    if (integer(v) == 0)
        fail(doing, "division by zero", NULL);
    return integer(v);
}

static size_t index_below(value v, size_t end)
{
    if (integer(v) < 0 || (size_t)integer(v) >= end)
        fail(doing, "out of range:", v);
    return (size_t)integer(v);
}

static int64_t floored(value v)
{
    if (!(fabs(real(v)) < 0x1p62))
        fail(doing, "too large:", v);
    return (int64_t)floor(real(v));
}

static value combine(int operation, value left, value right)
{
    double a = real(left), b = real(right);
    bool exact = is(INTEGER, left) && is(INTEGER, right);
    int64_t m = exact ? integer(left) : 0, n = exact ? integer(right) : 0;
    switch (operation) {
    case '+': return exact ? make_integer(m + n) : make_real(a + b);
    case '-': return exact ? make_integer(m - n) : make_real(a - b);
    case '*': return exact && fabs(a * b) < 0x1p62 ? make_integer(m * n) : make_real(a * b);
    default: return exact && n != 0 && m % n == 0 ? make_integer(m / n) : make_real(a / b);
    }
}

/* (- a) is (- 0 a), (/ a) is (/ 1 a). */
static value arithmetic(int operation, int64_t unit, const struct vector *call)
{
    size_t i = call->length > 2 ? 2 : 1;
    value total = i == 2 ? call->item[1] : make_integer(unit);
    for (; i < call->length; i++)
        total = combine(operation, total, call->item[i]);
    return total;
}

/* ---- Comparing ----------------------------------------------------------- */

static unsigned char character(value v)
{
    return ((struct character *)expect(CHARACTER, v))->code;
}

/* Of two numbers, two strings or two characters: below, at or above 0. */
static int order(value left, value right)
{
    if (is(INTEGER, left) && is(INTEGER, right))
        return (integer(left) > integer(right)) - (integer(left) < integer(right));
    if (is(STRING, left))
        return strcmp(string(left)->bytes, string(right)->bytes);
    if (is(CHARACTER, left))
        return character(left) - character(right);
    return real(left) < real(right) ? -1 : real(left) == real(right) ? 0 : 1;
}

static bool equivalent(value a, value b)
{
    return a == b || (is(REAL, a) && is(REAL, b) && real(a) == real(b));
}

/* ---- Lists and vectors --------------------------------------------------- */

static value member(value wanted, value items)
{
    while (items != nil && !equivalent(wanted, car(items)))
        items = cdr(items);
    return items == nil ? no : items;
}

static value association(value wanted, value items)
{
    while (items != nil && !equivalent(wanted, car(car(items))))
        items = cdr(items);
    return items == nil ? no : car(items);
}

static value filled_vector(size_t length, value item)
{
    struct vector *made = make_vector(length);
    while (length > 0)
        made->item[--length] = item;
    return &made->head;
}

/* ---- Strings ------------------------------------------------------------- */

/* The arguments from the n-th on, as display shows them. */
static value append_displayed(struct string *to, const struct vector *call, size_t n)
{
    for (; n < call->length; n++)
        print(to, call->item[n], false);
    return &to->head;
}

static value substring(const struct string *from, value start, value end)
{
    size_t stop = end ? index_below(end, from->length + 1) : from->length;
    size_t first = index_below(start, stop + 1);
    return &make_string(from->bytes + first, stop - first)->head;
}

/* ---- Ports --------------------------------------------------------------- */

static int64_t open_ports;

static void close_port(void *closed, void *unused)
{
    struct port *p = closed;
    (void)unused;
    open_ports -= p->file != NULL;
    if (p->file)
        fclose(p->file);
    p->file = NULL;
}

/* A port that nobody closed is closed when nobody knows it any more. */
static value open_port(struct string *name)
{
    struct port *made = make(PORT, sizeof *made);
    made->name = name->bytes;
    made->file = fopen(name->bytes, "r");
    if (!made->file)
        fail(doing, strerror(errno), &name->head);
    open_ports++;
    if (gc_set_finalizer(made, close_port, NULL) != 0)
        must(NULL);
    return &made->head;
}

static FILE *file_of(value v)
{
    if (!port(v)->file)
        fail(doing, "closed:", v);
    return port(v)->file;
}

static value read_line(FILE *file)
{
    struct string *text = make_string("", 0);
    int c;
    while ((c = getc(file)) != EOF && c != '\n')
        append_bytes(text, &(char){(char)c}, 1);
    return c == EOF && text->length == 0 ? no : &text->head;
}

/* ---- Guardians ----------------------------------------------------------- */

/* Objects that are given to a guardian are handed back by it when nobody else knows
 * them any more (Dybvig, Bruggeman, Eby, PLDI 1993). All share a queue, which runs
 * when one of them is asked; an object may have several. In no order: objects may
 * lead to each other in circles. */
static gc_finalizer_queue *guarded;

static void hand_over(void *object, void *guardians)
{
    for (value left = guardians; left != nil; left = cdr(left)) {
        struct guardian *guardian = (struct guardian *)car(left);
        guardian->dead = cons(object, guardian->dead);
    }
}

static void guard(value object, struct guardian *guardian)
{
    void *others = nil;
    gc_get_finalizer(guarded, object, NULL, &others);
    if (gc_set_finalizer_in(guarded, object, hand_over, cons(&guardian->head, others), GC_FINALIZE_UNORDERED) != 0)
        must(NULL);
}

static value make_guardian(void)
{
    struct guardian *made = make(GUARDIAN, sizeof *made);
    if (!guarded)
        guarded = must(gc_finalizer_queue_new(GC_FINALIZE_ON_DEMAND));
    made->dead = nil;
    return &made->head;
}

/* (g object) gives it to the guardian; (g) is one that died, or #f. */
value call_guardian(struct guardian *guardian, struct vector *call)
{
    check_count(call, 0, 1);
    if (call->length > 1) {
        if (gc_base(call->item[1]) == call->item[1])
            guard(call->item[1], guardian);
        return nothing;
    }
    gc_run_finalizers(guarded, SIZE_MAX);
    if (guardian->dead == nil)
        return no;
    value dead = car(guardian->dead);
    guardian->dead = cdr(guardian->dead);
    return dead;
}

/* ---- The table ----------------------------------------------------------- */

/* builtins.def is read twice, for what is known of the builtins and for what
 * they do; its line numbers connect the two. */
static struct builtin builtins[] = {
#define BUILTIN(name, min, max, value) {{BUILTIN, 0}, name, min, max, __LINE__},
#include "builtins.def"
#undef BUILTIN
};

value run_builtin(struct vector *call, struct vector **next)
{
    const struct builtin *builtin = (struct builtin *)call->item[0];
    value a = call->length > 1 ? call->item[1] : NULL;
    value b = call->length > 2 ? call->item[2] : NULL;
    value c = call->length > 3 ? call->item[3] : NULL;
    doing = builtin->name;
    check_count(call, builtin->min, builtin->max);
    switch (builtin->line) {
#define BUILTIN(name, min, max, value)                                                                                 \
    case __LINE__:                                                                                                     \
        return value;
#include "builtins.def"
#undef BUILTIN
    default: return nothing;
    }
}

/* ---- Main ---------------------------------------------------------------- */

/* As a text, all of it on line 0. */
#define PRELUDE(...) static const char prelude[] = #__VA_ARGS__;
#include "prelude.scm"

static void run_program(const char *name, const char *text, uint32_t first_line)
{
    file_name = name;
    for (value left = read_all(text, first_line); left != nil; left = cdr(left)) {
        here = left->line;
        run(make_call(make_thunk(car(left)), nil));
    }
}

static const char *read_file(const char *name)
{
    FILE *file = fopen(name, "r");
    struct string *text = make_string("", 0);
    if (!file)
        fail(name, strerror(errno), NULL);
    for (int c; (c = getc(file)) != EOF;)
        append_bytes(text, &(char){(char)c}, 1);
    if (ferror(file))
        fail(name, strerror(errno), NULL);
    fclose(file);
    return text->bytes;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return EXIT_FAILURE;
    }
    gc_init();
    define_types();
    define_keywords();
    prepare_coroutines();
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        keep(intern(builtins[i].name))->global = &builtins[i].head;
    run_program("prelude", prelude, 0);
    for (int i = 1; i < argc; i++)
        run_program(argv[i], read_file(argv[i]), 1);
    return EXIT_SUCCESS;
}
