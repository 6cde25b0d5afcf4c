/* scheme.h - a small Scheme that never frees: its objects, and what its files
 * offer each other.
 *
 *     data.c        making, reading and printing objects
 *     eval.c        from a datum to code, and the machine that runs code
 *     coroutine.c   coroutines
 *     builtins.def  the builtins: a line for each
 *     builtins.c    what they need, and main
 *     prelude.scm   what is said better in Scheme
 *
 * Who would free what? A pair belongs to any number of lists, an environment
 * to the closures made in it, a frame to the continuations that may return to
 * it. Nobody here has to know: everything is allocated, and left behind. The
 * collector is only told which words of a type are pointers, and what is to be
 * done for the dead: a port is closed, a symbol leaves its table, and what a
 * guardian looks after goes to it.
 */
#ifndef SCHEME_H
#define SCHEME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A pointer to an object, or an integer: a word whose lowest bit is set.
 * NULL is no value: it stands in a variable before its definition. */
typedef struct object *value;

enum type {
    INTEGER,
    REAL,
    CHARACTER,
    STRING,
    SYMBOL,
    CONSTANT,
    PAIR,
    VECTOR,
    PORT,
    COROUTINE,
    CLOSURE,
    BUILTIN,
    CONTINUATION,
    GUARDIAN,
    TYPES
};

/* How every object begins. A pair keeps the line where it was read or made. */
struct object {
    enum type type;
    uint32_t line;
};

struct scope;
typedef struct node *compiler(value form, struct scope *scope);

/* clang-format off */
struct real         { struct object head; double number; };
struct character    { struct object head; unsigned char code; };
struct string       { struct object head; size_t length, capacity; char *bytes; };
struct symbol       { struct object head; const char *name; value global; compiler *compile; struct symbol *next; bool kept; };
struct pair         { struct object head; value car, cdr; };
struct vector       { struct object head; size_t length; value item[]; };
struct port         { struct object head; void *file; const char *name; };
struct closure      { struct object head; const struct node *lambda; struct vector *env; };
struct builtin      { struct object head; const char *name; size_t min, max; int line; };
struct continuation { struct object head; struct frame *frames; };
struct guardian     { struct object head; value dead; };
/* clang-format on */

/* ---- data.c -------------------------------------------------------------- */

extern const value nil, yes, no, nothing;
extern const char *file_name; /* of the program */
extern uint32_t here;         /* the line that is being read, compiled or run */
extern const char *doing;     /* the builtin or keyword at work */

_Noreturn void fail(const char *who, const char *message, value culprit); /* which may be NULL */
value expect(enum type type, value v);                                    /* returns v */

void *must(void *memory);                 /* returns it, unless there was none */
void define_types(void);                  /* before anything is made */
void *make(enum type type, size_t bytes); /* zeroed */
value make_integer(int64_t n);            /* a real, where 63 bits are too few */
value make_real(double number);
value make_character(int code);
value intern(const char *name);  /* the symbol */
struct symbol *keep(value name); /* returns it; it stays, as it has a meaning */
size_t symbol_count(void);
struct vector *make_vector(size_t length);
struct string *make_string(const char *bytes, size_t length);
void append_bytes(struct string *to, const char *bytes, size_t length);

#define list(...) list_of((value[]){__VA_ARGS__}, sizeof((value[]){__VA_ARGS__}) / sizeof(value))
value list_of(const value *items, size_t count);
size_t list_length(value items);
value cons(value first, value rest);
value append_lists(value front, value back);
struct vector *list_to_vector(value items);

value read_all(const char *text, uint32_t first_line); /* a list */
value parse_number(const char *text);                  /* or NULL */
void print(struct string *out, value v, bool quoted);  /* as `write`, or else as `display` */
const char *text_of(value v, bool quoted);

/* clang-format off */
static inline enum type type_of(value v) { return (uintptr_t)v & 1 ? INTEGER : v->type; }
static inline bool is(enum type type, value v) { return type_of(v) == type; }
static inline value boolean(bool truth) { return truth ? yes : no; }
static inline int64_t integer(value v) { return (intptr_t)expect(INTEGER, v) >> 1; }
static inline struct string *string(value v) { return (struct string *)expect(STRING, v); }
static inline struct symbol *symbol(value v) { return (struct symbol *)expect(SYMBOL, v); }
static inline struct port *port(value v) { return (struct port *)expect(PORT, v); }
static inline struct vector *vector(value v) { return (struct vector *)expect(VECTOR, v); }
static inline struct pair *pair(value v) { return (struct pair *)expect(PAIR, v); }
static inline value car(value v) { return pair(v)->car; }
static inline value cdr(value v) { return pair(v)->cdr; }
static inline value second(value v) { return car(cdr(v)); }
static inline value third(value v) { return car(cdr(cdr(v))); }
/* clang-format on */

/* ---- eval.c -------------------------------------------------------------- */

enum { ANY = 1 << 30 }; /* as max: no limit */

void define_keywords(void);
const char *name_of(value procedure);
value make_thunk(value datum); /* a procedure that evaluates it */
value make_continuation(void); /* of the call that runs */
struct vector *make_call(value procedure, value arguments);
void check_count(const struct vector *call, size_t min, size_t max);
value run(struct vector *call);
extern struct frame *frames; /* the stack of the machine that runs */

/* ---- coroutine.c --------------------------------------------------------- */

void prepare_coroutines(void);
value make_coroutine(value procedure);  /* of one argument */
value resume(value coroutine, value v); /* returns what it yields, or its result */
value yield(value v);                   /* returns what it is resumed with */
bool is_over(value coroutine);

/* ---- builtins.c ---------------------------------------------------------- */

/* Returns NULL when another call has to follow, and puts it into `next`. */
value run_builtin(struct vector *call, struct vector **next);
value call_guardian(struct guardian *guardian, struct vector *call);

#endif
