/* scheme.h - a small Scheme that never frees: its objects, and what its files
 * offer each other.
 *
 *     data.c        making, reading and printing objects
 *     eval.c        from a datum to code, and the machine that runs code
 *     builtins.def  the builtins: a line for each
 *     builtins.c    what they need, what is defined in Scheme, and main
 *
 * Who would free what? A pair belongs to any number of lists, an environment
 * to the closures made in it, a frame to the continuations that may return to
 * it. Nobody here has to know: everything is allocated, and left behind.
 */
#ifndef SCHEME_H
#define SCHEME_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A pointer to an object, or an integer: a word whose lowest bit is set.
 * NULL is no value: it stands in a variable before its definition. */
typedef struct object *value;

enum type { INTEGER, REAL, CHARACTER, STRING, SYMBOL, CONSTANT, PAIR, VECTOR, CLOSURE, BUILTIN, CONTINUATION, KEYWORD };

/* How every object begins. A pair keeps for messages where it was read: the
 * number of the file in the upper 12 bits, of the line in the lower 20. */
struct object {
    enum type type;
    uint32_t place;
};

/* clang-format off */
struct real      { struct object head; double number; };
struct character { struct object head; unsigned char code; };
struct string    { struct object head; size_t length, capacity; char *bytes; };
struct symbol    { struct object head; const char *name; value global; struct symbol *next; };
struct named     { struct object head; const char *name; };
struct pair      { struct object head; value car, cdr; };
struct vector    { struct object head; size_t length; value item[]; };
struct closure   { struct object head; const struct node *lambda; struct vector *env; };
struct builtin   { struct named named; size_t min, max; int line; }; /* min, max: how many arguments */
/* clang-format on */

/* ---- data.c --------------------------------------------------------------- */

extern const value nil, yes, no, nothing, end_of_file;

void *must(void *memory);                     /* returns it, unless there was none */
void *allocate(enum type type, size_t bytes); /* zeroed */
value make_integer(int64_t n);                /* a real, where 63 bits are not enough */
value make_real(double number);
value make_character(int code);
value make_symbol(const char *name); /* unlike any other */
value intern(const char *name);      /* the one that a program writes so */
struct vector *make_vector(size_t length);

struct string *make_string(const char *bytes, size_t length);
void append_bytes(struct string *to, const char *bytes, size_t length);
void append_char(struct string *to, int c);
void append(struct string *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define list(...) list_of((value[]){__VA_ARGS__}, sizeof((value[]){__VA_ARGS__}) / sizeof(value))
value list_of(const value *items, size_t count);
size_t list_length(value items);
value cons(value first, value rest);
value append_lists(value front, value back);
struct vector *list_to_vector(value items);

struct source {
    FILE *file;
    uint32_t place;
};

struct source make_source(const char *name, FILE *file);
void print_place(const char *before, uint32_t place, const char *after); /* on stderr */
void skip_line(struct source *in);
value read_datum(struct source *in);  /* or end_of_file */
value parse_number(const char *text); /* or NULL */

void print(struct string *out, value v, bool quoted); /* as `write`, or else as `display` */
const char *show(value v);                            /* as text, for a message */

_Noreturn void expected(const char *what, value got);
value expect(enum type type, value v); /* returns v */

/* clang-format off */
static inline enum type type_of(value v) { return (uintptr_t)v & 1 ? INTEGER : v->type; }
static inline bool is(enum type type, value v) { return type_of(v) == type; }
static inline value boolean(bool truth) { return truth ? yes : no; }
static inline int64_t integer(value v) { return (intptr_t)expect(INTEGER, v) >> 1; }
static inline struct string *string(value v) { return (struct string *)expect(STRING, v); }
static inline struct symbol *symbol(value v) { return (struct symbol *)expect(SYMBOL, v); }
static inline struct vector *vector(value v) { return (struct vector *)expect(VECTOR, v); }
static inline struct pair *pair(value v) { return (struct pair *)expect(PAIR, v); }
static inline value car(value v) { return pair(v)->car; }
static inline value cdr(value v) { return pair(v)->cdr; }
static inline value second(value v) { return car(cdr(v)); }
static inline value third(value v) { return car(cdr(cdr(v))); }
/* clang-format on */

/* ---- eval.c --------------------------------------------------------------- */

extern uint32_t here;      /* the place that is being read, compiled or run */
extern const char *doing;  /* the builtin or keyword at work */
extern jmp_buf *recovery;  /* where fail goes; NULL: it ends the program */
extern char *stack_bottom; /* of C's own stack */

_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void guard_stack(void); /* fails before C's stack overflows */

void check_count(const char *name, size_t count, size_t min, size_t max);
enum { ANY = 1 << 30 }; /* as max: no limit */

void define_keywords(void);
value evaluate(value datum);
const char *name_of(const struct closure *closure);

/* These builtins end with a call, and leave it to the machine: they return
 * NULL. */
value begin_apply(struct vector *call);
value begin_call_cc(value procedure);
value begin_eval(value datum);

/* ---- builtins.c ----------------------------------------------------------- */

value run_builtin(struct vector *call);

#endif
