/* data.c - making, reading and printing objects. */
#include "scheme.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc.h"

static struct named constants[] = {
    {{CONSTANT, 0}, "()"},
    {{CONSTANT, 0}, "#t"},
    {{CONSTANT, 0}, "#f"},
    {{CONSTANT, 0}, "#<nothing>"},
    {{CONSTANT, 0}, "#<end of file>"},
};
const value nil = &constants[0].head, yes = &constants[1].head, no = &constants[2].head;
const value nothing = &constants[3].head, end_of_file = &constants[4].head;

/* ---- Making --------------------------------------------------------------- */

void *must(void *memory)
{
    if (!memory)
        fail("out of memory");
    return memory;
}

void *allocate(enum type type, size_t bytes)
{
    struct object *made = must(gc_malloc(bytes));
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
    struct vector *made = allocate(VECTOR, sizeof *made + length * sizeof(value));
    made->length = length;
    return made;
}

/* ---- Strings -------------------------------------------------------------- */

/* Makes room for `more` bytes and a zero. The bytes outgrown are not touched:
 * someone may still read them. */
static void reserve(struct string *to, size_t more)
{
    if (to->length + more < to->capacity)
        return;
    to->capacity = (to->length + more) * 2 + 16;
    char *old = to->bytes;
    to->bytes = must(gc_malloc_atomic(to->capacity));
    if (old)
        memcpy(to->bytes, old, to->length);
}

void append_bytes(struct string *to, const char *bytes, size_t length)
{
    reserve(to, length);
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
    to->bytes[to->length] = '\0';
}

void append_char(struct string *to, int c)
{
    append_bytes(to, &(char){(char)c}, 1);
}

void append(struct string *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    reserve(to, (size_t)length);
    va_start(arguments, format);
    to->length += (size_t)vsprintf(to->bytes + to->length, format, arguments);
    va_end(arguments);
}

struct string *make_string(const char *bytes, size_t length)
{
    struct string *made = allocate(STRING, sizeof *made);
    append_bytes(made, bytes, length);
    return made;
}

/* ---- Lists ---------------------------------------------------------------- */

value cons(value first, value rest)
{
    struct pair *made = allocate(PAIR, sizeof *made);
    made->car = first;
    made->cdr = rest;
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

/* ---- Symbols -------------------------------------------------------------- */

static struct symbol *table[1021]; /* lists of the symbols with the same hash */

value make_symbol(const char *name)
{
    struct symbol *made = allocate(SYMBOL, sizeof *made);
    made->name = must(gc_strdup(name));
    return &made->head;
}

value intern(const char *name)
{
    size_t hash = 5381;
    for (const char *c = name; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    struct symbol **bucket = &table[hash % 1021];
    for (struct symbol *known = *bucket; known; known = known->next)
        if (strcmp(known->name, name) == 0)
            return &known->head;
    struct symbol *made = symbol(make_symbol(name));
    made->next = *bucket;
    *bucket = made;
    return &made->head;
}

/* ---- Checking ------------------------------------------------------------- */

static const char *const type_names[] = {
    "an integer", "a real",   "a character", "a string",  "a symbol",       "a constant",
    "a pair",     "a vector", "a procedure", "a builtin", "a continuation", "a keyword",
};

void expected(const char *what, value got)
{
    fail("%s: expected %s, got %s", doing, what, show(got));
}

value expect(enum type type, value v)
{
    if (type_of(v) != type)
        expected(type_names[type], v);
    return v;
}

/* ---- Reading -------------------------------------------------------------- */

static const char *file_names[4096];

struct source make_source(const char *name, FILE *file)
{
    static uint32_t count;
    if (count == sizeof file_names / sizeof *file_names)
        fail("too many files");
    file_names[count] = name;
    return (struct source){file, count++ << 20 | 1};
}

void print_place(const char *before, uint32_t place, const char *after)
{
    fprintf(stderr, "%s%s:%u%s", before, file_names[place >> 20], place & 0xfffff, after);
}

static int next(struct source *in)
{
    int c = getc(in->file);
    in->place += c == '\n';
    return c;
}

static int peek(struct source *in)
{
    return ungetc(getc(in->file), in->file);
}

void skip_line(struct source *in)
{
    for (int c = 0; c != '\n' && c != EOF;)
        c = next(in);
}

/* The first character of a datum; EOF at the end. */
static int next_token(struct source *in)
{
    int c = next(in);
    for (; c == ';' || isspace(c); c = next(in))
        if (c == ';')
            skip_line(in);
    here = in->place;
    return c;
}

static _Noreturn void not_closed(const char *what, uint32_t start)
{
    here = start;
    fail("this %s is not closed", what);
}

static value read_list(struct source *in, uint32_t start)
{
    value first = nil, *last = &first;
    for (int c; (c = next_token(in)) != ')';) {
        if (c == EOF)
            not_closed("list", start);
        if (!last)
            fail("more than one datum after a dot");
        if (c == '.' && isspace(peek(in))) {
            *last = read_datum(in);
            last = NULL;
            continue;
        }
        ungetc(c, in->file);
        *last = cons(nothing, nil);
        (*last)->place = here;
        pair(*last)->car = read_datum(in);
        last = &pair(*last)->cdr;
    }
    return first;
}

static value read_quoted(struct source *in, const char *keyword)
{
    value form = list(intern(keyword), nothing);
    form->place = here;
    pair(cdr(form))->car = read_datum(in);
    return form;
}

static value read_string(struct source *in, uint32_t start)
{
    struct string *text = make_string("", 0);
    for (int c; (c = next(in)) != '"';) {
        if (c == '\\' && (c = next(in)) == 'n')
            c = '\n';
        if (c == EOF)
            not_closed("string", start);
        append_char(text, c);
    }
    return &text->head;
}

static const char *read_word(struct source *in, int c)
{
    struct string *word = make_string("", 0);
    append_char(word, c);
    while ((c = peek(in)) != EOF && !isspace(c) && !strchr("()\";'", c))
        append_char(word, next(in));
    return word->bytes;
}

/* #t  #f  #\a  #\space  #\newline  #(a b) */
static value read_hash(struct source *in)
{
    int c = next(in);
    if (c == '(')
        return &list_to_vector(read_list(in, here))->head;
    const char *word = read_word(in, c == '\\' ? next(in) : c);
    if (c == '\\')
        return make_character(strcmp(word, "space") == 0 ? ' ' : strcmp(word, "newline") == 0 ? '\n' : *word);
    if (c != 't' && c != 'f')
        fail("what is #%s?", word);
    return boolean(c == 't');
}

value parse_number(const char *text)
{
    const char *digits = text + (*text == '-' || *text == '+');
    char *rest;
    if (!isdigit((unsigned char)digits[*digits == '.']))
        return NULL;
    errno = 0;
    int64_t n = strtoll(text, &rest, 10);
    if (*rest == '\0' && errno == 0)
        return make_integer(n);
    double x = strtod(text, &rest);
    return *rest == '\0' ? make_real(x) : NULL;
}

value read_datum(struct source *in)
{
    int c = next_token(in);
    const char *word;
    guard_stack();
    switch (c) {
    case EOF: return end_of_file;
    case '(': return read_list(in, here);
    case ')': fail("this ) closes nothing");
    case '"': return read_string(in, here);
    case '#': return read_hash(in);
    case '\'': return read_quoted(in, "quote");
    case '`': return read_quoted(in, "quasiquote");
    case ',': return peek(in) != '@' ? read_quoted(in, "unquote") : (next(in), read_quoted(in, "unquote-splicing"));
    default: word = read_word(in, c); return parse_number(word) ?: intern(word);
    }
}

/* ---- Printing ------------------------------------------------------------- */

static void print_real(struct string *out, double number)
{
    char text[32];
    snprintf(text, sizeof text, "%.15g", number);
    if (strtod(text, NULL) != number)
        snprintf(text, sizeof text, "%.17g", number);
    append(out, "%s%s", text, text[strspn(text, "-0123456789")] == '\0' ? ".0" : "");
}

static void print_character(struct string *out, int code, bool quoted)
{
    append(out, quoted ? "#\\" : "");
    if (quoted && (code == ' ' || code == '\n'))
        append(out, code == ' ' ? "space" : "newline");
    else
        append_char(out, code);
}

static void print_string(struct string *out, const struct string *text, bool quoted)
{
    append(out, quoted ? "\"" : "");
    for (size_t i = 0; i < text->length && quoted; i++)
        switch (text->bytes[i]) {
        case '\n': append(out, "\\n"); break;
        case '\\':
        case '"': append(out, "\\"); /* fall through */
        default: append_char(out, text->bytes[i]);
        }
    append_bytes(out, quoted ? "\"" : text->bytes, quoted ? 1 : text->length);
}

/* `slow` goes at half the speed: in a list that bites its tail they meet. */
static void print_list(struct string *out, value v, bool quoted)
{
    value slow = v;
    size_t count = 0;
    for (; is(PAIR, v) && (v != slow || count == 0); v = cdr(v), count++) {
        append(out, count == 0 ? "(" : " ");
        print(out, car(v), quoted);
        slow = count % 2 ? cdr(slow) : slow;
    }
    append(out, is(PAIR, v) ? " ..." : v != nil ? " . " : "");
    if (!is(PAIR, v) && v != nil)
        print(out, v, quoted);
    append(out, ")");
}

void print(struct string *out, value v, bool quoted)
{
    guard_stack();
    switch (type_of(v)) {
    case INTEGER: append(out, "%lld", (long long)integer(v)); break;
    case REAL: print_real(out, ((struct real *)v)->number); break;
    case CHARACTER: print_character(out, ((struct character *)v)->code, quoted); break;
    case STRING: print_string(out, string(v), quoted); break;
    case SYMBOL: append(out, "%s", symbol(v)->name); break;
    case CONSTANT: append(out, "%s", ((struct named *)v)->name); break;
    case PAIR: print_list(out, v, quoted); break;
    case VECTOR:
        append(out, "#");
        print(out, list_of(vector(v)->item, vector(v)->length), quoted);
        break;
    case CLOSURE: append(out, "#<procedure %s>", name_of((struct closure *)v)); break;
    case CONTINUATION: append(out, "#<continuation>"); break;
    case BUILTIN:
    case KEYWORD: append(out, "#<%s>", ((struct named *)v)->name); break;
    }
}

const char *show(value v)
{
    struct string *text = make_string("", 0);
    print(text, v, true);
    if (text->length > 200)
        memcpy(text->bytes + 200, "...", 4);
    return text->bytes;
}
