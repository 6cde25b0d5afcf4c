/* builtins.c - what the builtins need, what is defined in Scheme, and main. */
#include "scheme.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../alloc.h"

/* ---- Numbers -------------------------------------------------------------- */

static double real(value v)
{
    if (is(INTEGER, v))
        return (double)integer(v);
    if (!is(REAL, v))
        expected("a number", v);
    return ((struct real *)v)->number;
}

static int64_t truncated(value v)
{
    if (!(fabs(real(v)) < 0x1p62))
        expected("a smaller number", v);
    return (int64_t)real(v);
}

static int64_t divisor(value v)
{
    if (integer(v) == 0)
        fail("%s: division by zero", doing);
    return integer(v);
}

static size_t index_below(value v, size_t end)
{
    if (integer(v) < 0 || (size_t)integer(v) >= end)
        fail("%s: %s is out of range", doing, show(v));
    return (size_t)integer(v);
}

static value combine_reals(int operation, double a, double b)
{
    switch (operation) {
    case '+': return make_real(a + b);
    case '-': return make_real(a - b);
    case '*': return make_real(a * b);
    default: return make_real(a / b);
    }
}

static bool combine_integers(int operation, int64_t a, int64_t b, int64_t *result)
{
    switch (operation) {
    case '+': return !__builtin_add_overflow(a, b, result);
    case '-': return !__builtin_sub_overflow(a, b, result);
    case '*': return !__builtin_mul_overflow(a, b, result);
    default: return b != 0 && a % b == 0 && (*result = a / b, true);
    }
}

static value arithmetic(int operation, const struct vector *call)
{
    size_t i = call->length > 2 ? 2 : 1;
    value total = call->length > 2 ? call->item[1] : make_integer(operation == '*' || operation == '/');
    for (; i < call->length; i++) {
        value next = call->item[i];
        int64_t result;
        bool integers = is(INTEGER, total) && is(INTEGER, next);
        if (integers && combine_integers(operation, integer(total), integer(next), &result))
            total = make_integer(result);
        else
            total = combine_reals(operation, real(total), real(next));
    }
    return total;
}

/* ---- Comparing ------------------------------------------------------------ */

enum { LESS = 1, EQUAL = 2, GREATER = 4 }; /* an order; relations are sums of orders */

static int order_of_numbers(value left, value right)
{
    if (is(INTEGER, left) && is(INTEGER, right))
        return integer(left) < integer(right) ? LESS : integer(left) > integer(right) ? GREATER : EQUAL;
    double a = real(left), b = real(right);
    return a < b ? LESS : a > b ? GREATER : a == b ? EQUAL : 0;
}

static unsigned char character(value v)
{
    return ((struct character *)expect(CHARACTER, v))->code;
}

static int order_of_characters(value left, value right)
{
    int difference = character(left) - character(right);
    return difference < 0 ? LESS : difference > 0 ? GREATER : EQUAL;
}

static int order_of_strings(value left, value right)
{
    const struct string *a = string(left), *b = string(right);
    int difference = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    if (difference == 0)
        difference = (a->length > b->length) - (a->length < b->length);
    return difference < 0 ? LESS : difference > 0 ? GREATER : EQUAL;
}

static value compare(int relation, int (*order)(value, value), const struct vector *call)
{
    bool holds = true;
    for (size_t i = 2; i < call->length; i++)
        holds = (order(call->item[i - 1], call->item[i]) & relation) && holds;
    return boolean(holds);
}

static bool same(value a, value b)
{
    return a == b;
}

static bool equivalent(value a, value b)
{
    return a == b || (is(REAL, a) && is(REAL, b) && real(a) == real(b));
}

static bool equal(value a, value b)
{
    guard_stack();
    for (; is(PAIR, a) && is(PAIR, b); a = cdr(a), b = cdr(b))
        if (!equal(car(a), car(b)))
            return false;
    if (is(STRING, a) && is(STRING, b))
        return order_of_strings(a, b) == EQUAL;
    if (!is(VECTOR, a) || !is(VECTOR, b) || vector(a)->length != vector(b)->length)
        return equivalent(a, b);
    for (size_t i = 0; i < vector(a)->length; i++)
        if (!equal(vector(a)->item[i], vector(b)->item[i]))
            return false;
    return true;
}

/* ---- Lists and vectors ---------------------------------------------------- */

static value store(value *to, value v)
{
    *to = v;
    return nothing;
}

static value append_all(const struct vector *call)
{
    size_t last = call->length - 1;
    value made = last > 0 ? call->item[last] : nil;
    while (last > 1)
        made = append_lists(call->item[--last], made);
    return made;
}

static value member(bool (*equality)(value, value), value wanted, value items)
{
    while (items != nil && !equality(wanted, car(items)))
        items = cdr(items);
    return items == nil ? no : items;
}

static value association(bool (*equality)(value, value), value wanted, value items)
{
    while (items != nil && !equality(wanted, car(car(items))))
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

/* ---- Strings -------------------------------------------------------------- */

/* The arguments from the n-th on, as display shows them. */
static value append_text(struct string *to, const struct vector *call, size_t n)
{
    for (; n < call->length; n++)
        print(to, call->item[n], false);
    return &to->head;
}

static value as_text(const struct vector *call, size_t n)
{
    return append_text(make_string("", 0), call, n);
}

static value string_append(const struct vector *call)
{
    for (size_t i = 1; i < call->length; i++)
        string(call->item[i]);
    return as_text(call, 1);
}

static value substring(const struct string *from, value start, value end)
{
    size_t stop = end ? index_below(end, from->length + 1) : from->length;
    size_t first = index_below(start, stop + 1);
    return &make_string(from->bytes + first, stop - first)->head;
}

/* ---- Output and errors ---------------------------------------------------- */

static value output(value v, bool quoted)
{
    struct string *text = make_string("", 0);
    print(text, v, quoted);
    fwrite(text->bytes, 1, text->length, stdout);
    return nothing;
}

static _Noreturn value signal_error(const struct vector *call)
{
    struct string *text = make_string("", 0);
    for (size_t i = 1; i < call->length; i++) {
        append(text, i > 1 ? " " : "");
        print(text, call->item[i], i > 1);
    }
    fail("%s", text->bytes);
}

/* ---- The table ------------------------------------------------------------ */

/* builtins.def is read twice, for what is known of the builtins and for what
 * they do; its line numbers connect the two. */
static struct builtin builtins[] = {
#define BUILTIN(name, min, max, value) {{{BUILTIN, 0}, name}, min, max, __LINE__},
#include "builtins.def"
#undef BUILTIN
};

value run_builtin(struct vector *call)
{
    const struct builtin *builtin = (struct builtin *)call->item[0];
    value a = call->length > 1 ? call->item[1] : NULL;
    value b = call->length > 2 ? call->item[2] : NULL;
    value c = call->length > 3 ? call->item[3] : NULL;
    doing = builtin->named.name;
    check_count(doing, call->length - 1, builtin->min, builtin->max);
    switch (builtin->line) {
#define BUILTIN(name, min, max, value)                                                                                 \
    case __LINE__:                                                                                                     \
        return value;
#include "builtins.def"
#undef BUILTIN
    default: return nothing;
    }
}

static void define_builtins(void)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        symbol(intern(builtins[i].named.name))->global = &builtins[i].named.head;
}

/* What is said better in Scheme. Here a name that has a value means that value,
 * whatever a program defines later: see compile. */
/* clang-format off */
static const char prelude[] =
    "(define (map1 f l)"
    "  (define (go l) (if (null? l) '() ((lambda (x) (cons x (go (cdr l)))) (f (car l)))))"
    "  (go l))"

    "(define-macro (and . l)"
    "  (if (null? l) #t"
    "      (if (null? (cdr l)) (car l)"
    "          (list 'if (car l) (cons 'and (cdr l)) #f))))"

    "(define-macro (quasiquote x)"
    "  (define (quasi x depth)"
    "    (if (vector? x) (list list->vector (quasi (vector->list x) depth))"
    "    (if (not (pair? x)) (list 'quote x)"
    "    (if (and (eq? (car x) 'unquote) (= depth 0)) (cadr x)"
    "    (if (and (pair? (car x)) (eq? (caar x) 'unquote-splicing) (= depth 0))"
    "        (list append (cadar x) (quasi (cdr x) depth))"
    "        (list cons (quasi (car x) depth) (quasi (cdr x) (inner (car x) depth))))))))"
    "  (define (inner name depth)"
    "    (if (eq? name 'quasiquote) (+ depth 1) (if (eq? name 'unquote) (- depth 1) depth)))"
    "  (quasi x 0))"

    "(define-macro (let names . body)"
    "  (if (symbol? names)"
    "      `((letrec ((,names (lambda ,(map1 car (car body)) ,@(cdr body)))) ,names)"
    "        ,@(map1 cadr (car body)))"
    "      `((lambda ,(map1 car names) ,@body) ,@(map1 cadr names))))"

    "(define-macro (let* bindings . body)"
    "  (if (or (null? bindings) (null? (cdr bindings)))"
    "      `(let ,bindings ,@body)"
    "      `(let (,(car bindings)) (let* ,(cdr bindings) ,@body))))"

    "(define-macro (letrec bindings . body)"
    "  `((lambda () ,@(map1 (lambda (b) (cons 'define b)) bindings) ,@body)))"

    "(define-macro (when test . body) `(if ,test (begin ,@body)))"
    "(define-macro (unless test . body) `(if ,test (begin) (begin ,@body)))"

    "(define-macro (cond . clauses)"
    "  (if (null? clauses) `(begin)"
    "      (let ((test (caar clauses)) (body (cdar clauses)) (more `(cond ,@(cdr clauses))))"
    "        (if (eq? test 'else) `(begin ,@body)"
    "        (if (null? body) `(or ,test ,more)"
    "        (if (eq? (car body) '=>)"
    "            (let ((t (gensym))) `(let ((,t ,test)) (if ,t (,(cadr body) ,t) ,more)))"
    "            `(if ,test (begin ,@body) ,more)))))))"

    "(define-macro (case key . clauses)"
    "  (let ((k (gensym)))"
    "    (define (clause c) (if (eq? (car c) 'else) c `((,memv ,k ',(car c)) ,@(cdr c))))"
    "    `(let ((,k ,key)) (cond ,@(map1 clause clauses)))))"

    "(define-macro (do bindings end . body)"
    "  (let ((loop (gensym)))"
    "    (define (start b) (list (car b) (cadr b)))"
    "    (define (step b) (if (null? (cddr b)) (car b) (caddr b)))"
    "    `(let ,loop ,(map1 start bindings)"
    "       (if ,(car end)"
    "           (begin ,@(cdr end))"
    "           (begin ,@body (,loop ,@(map1 step bindings)))))))"

    "(define (map f l . more)"
    "  (define (go ls)"
    "    (if (memq '() ls) '()"
    "        (let ((x (apply f (map1 car ls)))) (cons x (go (map1 cdr ls))))))"
    "  (if (null? more) (map1 f l) (go (cons l more))))"

    "(define (for-each f l . more)"
    "  (define (go l) (when (pair? l) (f (car l)) (go (cdr l))))"
    "  (if (null? more) (go l) (begin (apply map f l more) (begin))))"

    "(define (fold-left f x l)"
    "  (define (go x l) (if (null? l) x (go (f x (car l)) (cdr l))))"
    "  (go x l))"

    "(define (fold-right f x l)"
    "  (define (go l) (if (null? l) x (f (car l) (go (cdr l)))))"
    "  (go l))"

    "(define (reverse l) (fold-left (lambda (made x) (cons x made)) '() l))"
    "(define (filter keep? l)"
    "  (fold-right (lambda (x rest) (if (keep? x) (cons x rest) rest)) '() l))"

    "(define (list? l) (let go ((l l)) (or (null? l) (and (pair? l) (go (cdr l))))))"
    "(define (list-tail l n) (let go ((l l) (n n)) (if (= n 0) l (go (cdr l) (- n 1)))))"
    "(define (list-ref l n) (car (list-tail l n)))"
    "(define (vector-map f v) (list->vector (map f (vector->list v))))"
    "(define (string->list s)"
    "  (do ((i (- (string-length s) 1) (- i 1)) (l '() (cons (string-ref s i) l))) ((< i 0) l)))"
    "(define (list->string l) (apply string l))"
    "(define (make-string n c) (do ((s (string) (string-append! s c)) (n n (- n 1))) ((= n 0) s)))"
    "(define (string-copy s) (substring s 0))"
    "(define (zero? n) (= n 0))"
    "(define (positive? n) (> n 0))"
    "(define (negative? n) (< n 0))"
    "(define (even? n) (= (remainder n 2) 0))"
    "(define (odd? n) (not (even? n)))"
    "(define (abs n) (if (< n 0) (- n) n))"
    "(define (min n . l) (fold-left (lambda (a b) (if (< b a) b a)) n l))"
    "(define (max n . l) (fold-left (lambda (a b) (if (> b a) b a)) n l))";
/* clang-format on */

/* ---- Main ----------------------------------------------------------------- */

static void run_source(struct source in)
{
    for (value datum; (datum = read_datum(&in)) != end_of_file;)
        evaluate(datum);
    fclose(in.file);
}

static void run_file(const char *name)
{
    FILE *file = fopen(name, "r");
    here = 0;
    if (!file)
        fail("%s: %s", name, strerror(errno));
    run_source(make_source(name, file));
}

/* Reads, evaluates, prints; after an error, goes on with the next line. */
static void run_dialogue(void)
{
    static jmp_buf again;
    static struct source in;
    in = make_source("stdin", stdin);
    if (setjmp(again) != 0)
        skip_line(&in);
    recovery = &again;
    for (;;) {
        fputs(isatty(STDIN_FILENO) ? "> " : "", stdout);
        fflush(stdout);
        value datum = read_datum(&in);
        if (datum == end_of_file)
            break;
        value result = evaluate(datum);
        if (result != nothing)
            printf("%s\n", show(result));
    }
}

int main(int argc, char **argv)
{
    gc_init();
    stack_bottom = __builtin_frame_address(0);
    define_keywords();
    define_builtins();
    run_source(make_source("prelude", fmemopen((char *)prelude, strlen(prelude), "r")));
    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    if (argc == 1)
        run_dialogue();
    return EXIT_SUCCESS;
}
