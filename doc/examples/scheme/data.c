/* data.c - making, reading and printing objects. */
#include "scheme.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc.h"

static struct symbol constants[] = {
    {.head.type = CONSTANT, .name = "()"},
    {.head.type = CONSTANT, .name = "#t"},
    {.head.type = CONSTANT, .name = "#f"},
    {.head.type = CONSTANT, .name = "#<nothing>"},
};
const value nil = &constants[0].head, yes = &constants[1].head, no = &constants[2].head, nothing = &constants[3].head;

const char *file_name, *doing;
uint32_t here;

/* ---- Failing ------------------------------------------------------------- */

void fail(const char *who, const char *message, value culprit)
{
    fflush(stdout);
    fprintf(stderr, "%s:%u: %s: %s %s\n", file_name, here, who, message, culprit ? text_of(culprit, true) : "");
    exit(EXIT_FAILURE);
}

value expect(enum type type, value v)
{
    if (type_of(v) != type)
        fail(doing, "wrong type:", v);
    return v;
}

/* ---- Making -------------------------------------------------------------- */

void *must(void *memory)
{
    if (!memory)
        fail("scheme", "out of memory", NULL);
    return memory;
}

/* Where the collector finds pointers. Integers among them are odd, and so no
 * address that it takes for one of an object. */
#define AT(type, member) GC_POINTER_AT(struct type, member)
#define OF(type, ...)                                                                                                  \
    .bytes = sizeof(struct type), .pointers = (const uint64_t[])                                                       \
    {                                                                                                                  \
        __VA_ARGS__                                                                                                    \
    }
#define ITEMS                                                                                                          \
    .element_bytes = sizeof(value), .element_pointers = (const uint64_t[])                                             \
    {                                                                                                                  \
        1                                                                                                              \
    }

/* clang-format off */
static const struct gc_kind_options layouts[TYPES] = {
    [STRING]       = {"string", .tracing = GC_TRACE_LAYOUT, OF(string, AT(string, bytes))},
    [SYMBOL]       = {"symbol", .tracing = GC_TRACE_LAYOUT, OF(symbol, AT(symbol, name) | AT(symbol, global) | AT(symbol, next))},
    [PAIR]         = {"pair", .tracing = GC_TRACE_LAYOUT, OF(pair, AT(pair, car) | AT(pair, cdr))},
    [VECTOR]       = {"vector", .tracing = GC_TRACE_LAYOUT, OF(vector, 0), ITEMS},
    [PORT]         = {"port", .tracing = GC_TRACE_LAYOUT, OF(port, AT(port, name))},
    [COROUTINE]    = {"coroutine", .tracing = GC_TRACE_CONSERVATIVE},
    [CLOSURE]      = {"closure", .tracing = GC_TRACE_LAYOUT, OF(closure, AT(closure, lambda) | AT(closure, env))},
    [CONTINUATION] = {"continuation", .tracing = GC_TRACE_LAYOUT, OF(continuation, AT(continuation, frames))},
    [GUARDIAN]     = {"guardian", .tracing = GC_TRACE_LAYOUT, OF(guardian, AT(guardian, dead))},
};
/* clang-format on */

static gc_kind *kinds[TYPES];

void define_types(void)
{
    for (size_t type = 0; type < TYPES; type++)
        if (layouts[type].name)
            kinds[type] = must(gc_kind_new(&layouts[type], sizeof layouts[type]));
}

void *make(enum type type, size_t bytes)
{
    struct object *made = must(gc_new_bytes(kinds[type], bytes));
    made->type = type;
    return made;
}

value make_integer(int64_t n)
{
    if (n < INT64_MIN / 2 || n > INT64_MAX / 2)
        return make_real((double)n);
    return (value)((uintptr_t)n << 1 | 1);
}

value make_real(double number)
{
    struct real *made = must(gc_malloc_atomic(sizeof *made));
    *made = (struct real){{REAL, 0}, number};
    return &made->head;
}

value make_character(int code)
{
    static struct character all[256];
    struct character *made = &all[code & 255];
    *made = (struct character){{CHARACTER, 0}, (unsigned char)code};
    return &made->head;
}

struct vector *make_vector(size_t length)
{
    struct vector *made = make(VECTOR, sizeof *made + length * sizeof(value));
    made->length = length;
    return made;
}

/* ---- Symbols ------------------------------------------------------------- */

static size_t hash_name(const void *name)
{
    size_t hash = 5381;
    for (const unsigned char *c = name; *c; c++)
        hash = hash * 33 + *c;
    return hash;
}

static bool names_are_equal(const void *a, const void *b)
{
    return strcmp(a, b) == 0;
}

/* From names to symbols. A symbol that nobody knows any more is not in it: the next
 * of that name is as good, if the old one had no meaning. */
static gc_weak_map *table;

value intern(const char *name)
{
    if (!table)
        table = must(gc_weak_map_new(GC_WEAK_VALUES, hash_name, names_are_equal));
    struct symbol *known = gc_weak_map_get(table, name);
    if (known)
        return &known->head;
    struct symbol *made = make(SYMBOL, sizeof *made);
    made->name = must(gc_strdup(name));
    if (gc_weak_map_put(table, (char *)made->name, made) != 0)
        must(NULL);
    return &made->head;
}

struct symbol *keep(value name)
{
    static struct symbol *all;
    struct symbol *kept = symbol(name);
    if (!kept->kept) {
        kept->kept = true;
        kept->next = all;
        all = kept;
    }
    return kept;
}

size_t symbol_count(void)
{
    return gc_weak_map_count(table);
}

/* ---- Strings ------------------------------------------------------------- */

struct string *make_string(const char *bytes, size_t length)
{
    struct string *made = make(STRING, sizeof *made);
    append_bytes(made, bytes, length);
    return made;
}

/* A string outgrows its bytes, and leaves them behind. A zero follows the
 * last one, for C. */
void append_bytes(struct string *to, const char *bytes, size_t length)
{
    size_t total = to->length + length;
    if (total >= to->capacity) {
        char *old = to->bytes;
        to->capacity = total * 2 + 16;
        to->bytes = must(gc_malloc_atomic(to->capacity));
        if (old)
            memcpy(to->bytes, old, to->length);
    }
    memcpy(to->bytes + to->length, bytes, length);
    to->bytes[total] = '\0';
    to->length = total;
}

/* For short texts. */
static __attribute__((format(printf, 2, 3))) void append(struct string *to, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    append_bytes(to, text, strlen(text));
}

/* ---- Lists --------------------------------------------------------------- */

value cons(value first, value rest)
{
    struct pair *made = make(PAIR, sizeof *made);
    *made = (struct pair){{PAIR, here}, first, rest};
    return &made->head;
}

value list_of(const value *items, size_t count)
{
    value made = nil;
    while (count > 0)
        made = cons(items[--count], made);
    return made;
}

size_t list_length(value items)
{
    size_t length = 0;
    for (; items != nil; items = cdr(items))
        length++;
    return length;
}

/* A copy of `front` that ends in `back` itself. */
value append_lists(value front, value back)
{
    value first = back, *last = &first;
    for (; front != nil; front = cdr(front)) {
        *last = cons(car(front), back);
        last = &pair(*last)->cdr;
    }
    return first;
}

struct vector *list_to_vector(value items)
{
    struct vector *made = make_vector(list_length(items));
    for (size_t i = 0; i < made->length; i++, items = cdr(items))
        made->item[i] = car(items);
    return made;
}

/* ---- Reading ------------------------------------------------------------- */

static const char *cursor; /* what is left to read */
static uint32_t line;

static value read_datum(void);

static void skip_blanks(void)
{
    while (isspace((unsigned char)*cursor) || *cursor == ';')
        if (*cursor == ';')
            cursor += strcspn(cursor, "\n");
        else
            line += *cursor++ == '\n';
    here = line;
}

/* What comes before `end`. */
static value read_list(char end)
{
    value first = nil, *last = &first;
    for (skip_blanks(); *cursor != end; skip_blanks())
        if (*cursor == '.' && isspace((unsigned char)cursor[1])) {
            cursor++;
            *last = read_datum();
        } else {
            *last = cons(read_datum(), nil);
            last = &pair(*last)->cdr;
        }
    cursor++;
    return first;
}

static value read_string(void)
{
    struct string *text = make_string("", 0);
    for (cursor++; *cursor != '"'; cursor++) {
        bool escaped = *cursor == '\\';
        cursor += escaped;
        if (*cursor == '\0')
            fail("read", "a string is not closed", NULL);
        line += *cursor == '\n';
        append_bytes(text, escaped && *cursor == 'n' ? "\n" : cursor, 1);
    }
    cursor++;
    return &text->head;
}

static const char *read_word(void)
{
    size_t length = 1 + strcspn(cursor + 1, " \t\r\n()\";'");
    const char *word = must(gc_strndup(cursor, length));
    cursor += length;
    return word;
}

/* #t  #f  #\a  #\space  #\newline  #(a b) */
static value read_hash(void)
{
    const char *word = read_word();
    if (word[1] == '\0' && *cursor == '(')
        return cursor++, &list_to_vector(read_list(')'))->head;
    if (word[1] == '\\' && word[2] == '\0' && *cursor)
        return make_character(*cursor++);
    if (word[1] == '\\')
        return make_character(strcmp(word, "#\\space") == 0 ? ' ' : strcmp(word, "#\\newline") == 0 ? '\n' : word[2]);
    if (word[1] != 't' && word[1] != 'f')
        fail("read", "what is this:", intern(word));
    return boolean(word[1] == 't');
}

value parse_number(const char *text)
{
    char *rest;
    double number = strtod(text, &rest);
    if (*rest != '\0' || !isdigit((unsigned char)text[strspn(text, "+-.")]))
        return NULL;
    bool whole = text[strspn(text, "+-0123456789")] == '\0';
    return whole && fabs(number) < 0x1p62 ? make_integer(strtoll(text, NULL, 10)) : make_real(number);
}

static value read_datum(void)
{
    const char *word = "unquote";
    skip_blanks();
    switch (*cursor) {
    case '\0': fail("read", "a list is not closed", NULL);
    case ')': fail("read", "this ) closes nothing", NULL);
    case '(': cursor++; return read_list(')');
    case '"': return read_string();
    case '#': return read_hash();
    case '\'': cursor++; return list(intern("quote"), read_datum());
    case '`': cursor++; return list(intern("quasiquote"), read_datum());
    case ',':
        if (*++cursor == '@')
            cursor++, word = "unquote-splicing";
        return list(intern(word), read_datum());
    default: word = read_word(); return parse_number(word) ?: intern(word);
    }
}

value read_all(const char *text, uint32_t first_line)
{
    cursor = text;
    line = first_line;
    return read_list('\0');
}

/* ---- Printing ------------------------------------------------------------- */

static void print_real(struct string *out, double x)
{
    append(out, "%.15g%s", x, x == floor(x) && fabs(x) < 1e15 ? ".0" : "");
}

static void print_quoted(struct string *out, const struct string *text)
{
    append(out, "\"");
    for (const char *c = text->bytes; c < text->bytes + text->length; c++)
        append(out, strchr("\"\\\n", *c) ? "\\%c" : "%c", *c == '\n' ? 'n' : *c);
    append(out, "\"");
}

static void print_list(struct string *out, value v, bool quoted)
{
    for (const char *before = "("; is(PAIR, v); v = cdr(v), before = " ") {
        append(out, "%s", before);
        print(out, car(v), quoted);
    }
    if (v != nil) {
        append(out, " . ");
        print(out, v, quoted);
    }
    append(out, ")");
}

void print(struct string *out, value v, bool quoted)
{
    switch (type_of(v)) {
    case INTEGER: append(out, "%lld", (long long)integer(v)); break;
    case REAL: print_real(out, ((struct real *)v)->number); break;
    case CHARACTER: append(out, quoted ? "#\\%c" : "%c", ((struct character *)v)->code); break;
    case STRING:
        if (quoted)
            print_quoted(out, string(v));
        else
            append_bytes(out, string(v)->bytes, string(v)->length);
        break;
    case SYMBOL:
    case CONSTANT: append_bytes(out, ((struct symbol *)v)->name, strlen(((struct symbol *)v)->name)); break;
    case PAIR: print_list(out, v, quoted); break;
    case VECTOR:
        append(out, "#");
        print(out, list_of(vector(v)->item, vector(v)->length), quoted);
        break;
    case COROUTINE: append(out, "#<coroutine>"); break;
    case PORT: append(out, "#<port %s>", port(v)->name); break;
    default: append(out, "#<procedure %s>", name_of(v));
    }
}

const char *text_of(value v, bool quoted)
{
    struct string *text = make_string("", 0);
    print(text, v, quoted);
    return text->bytes;
}
