/* eval.c - from a datum to code, and the machine that runs code.
 *
 * A datum is compiled once, to a tree of nodes: macros are expanded, and
 * variables found.
 *
 * The machine keeps its stack on the heap, a list of frames. So a tail call
 * costs no memory, recursion goes as deep as memory lasts, and call/cc is
 * little more than an assignment.
 *
 * A call (f a b) is evaluated to a vector of three items. When f turns out to
 * be a closure, that very vector becomes the environment of its body: items 1
 * and 2 are its variables, and item 0, the closure, leads to the environment
 * around it.
 */
#include "scheme.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../alloc.h"

/* clang-format off */
enum kind {
    /* These have a value at once: */
    QUOTE,      /* datum: the value */
    LOCAL,      /* datum: the name; depth, index */
    GLOBAL,     /* datum: the symbol */
    LAMBDA,     /* datum: its name; part: the body; required, rest, size */
    /* These wait for their parts: */
    SET_LOCAL,  /* as LOCAL; part: the new value */
    SET_GLOBAL, /* as GLOBAL; part: the new value */
    DEFINE,     /* as GLOBAL; part: the value */
    IF,         /* parts: test, then, else */
    SEQUENCE,   /* parts: one or more */
    OR,         /* parts: one or more */
    CALL,       /* parts: the procedure, the arguments */
    START       /* in the lowest frame: the machine stops */
};
/* clang-format on */

struct node {
    enum kind kind;
    uint32_t place;
    value datum;
    size_t depth, index;   /* environments to leave; item of the one reached */
    size_t required, size; /* arguments; items of the environment */
    bool rest;             /* one more variable takes the other arguments */
    size_t count;
    struct node *part[];
};

/* What waits for the value of part `at` of `code`. */
struct frame {
    struct frame *next;
    const struct node *code;
    struct vector *env;
    struct vector *call; /* of a CALL: the values of the parts before */
    uint32_t at;
    bool shared; /* with a continuation; then so are all frames below */
};

struct continuation {
    struct object head;
    struct frame *frames;
};

/* The variables of a lambda: the n-th name is that of item n. */
struct scope {
    value names;
    struct scope *outer;
};

struct keyword {
    struct named named;
    size_t min, max; /* parts after the keyword */
    struct node *(*compile)(value form, struct scope *scope);
    value expander; /* of a macro, which has no `compile` */
};

uint32_t here;
const char *doing;
jmp_buf *recovery;
char *stack_bottom;
static struct frame *frames;  /* the stack of the machine */
static const char *expanding; /* the macro at work; NULL: none */

static struct node *compile(value x, struct scope *scope);
static value run(const struct node *code);

/* ---- Failing -------------------------------------------------------------- */

/* An error in the prelude, file 0, is blamed on the program that called it. */
static void set_place(uint32_t place)
{
    if (place >> 20 > 0)
        here = place;
}

static void print_callers(void)
{
    uint32_t start = here;
    int left = 8;
    for (struct frame *f = frames; f && left > 0; f = f->next) {
        uint32_t last = here;
        if (f->code->kind == CALL || f->code->kind == START)
            set_place(f->code->place);
        if (here == last || here == start)
            continue;
        print_place("    called from ", here, "\n");
        left--;
    }
}

void fail(const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    if (here)
        print_place("", here, ": ");
    if (expanding)
        fprintf(stderr, "%s: ", expanding);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    print_callers();
    frames = NULL;
    expanding = NULL;
    if (recovery)
        longjmp(*recovery, 1);
    exit(EXIT_FAILURE);
}

void guard_stack(void)
{
    char *top = __builtin_frame_address(0);
    if (stack_bottom - top > 4 << 20)
        fail("this is nested too deeply");
}

void check_count(const char *name, size_t count, size_t min, size_t max)
{
    if (count < min || count > max)
        fail("%s: too %s arguments: %zu", name, count < min ? "few" : "many", count);
}

/* ---- Compiling ------------------------------------------------------------ */

static struct node *make_node(enum kind kind, value datum, size_t count)
{
    struct node *made = must(gc_malloc(sizeof *made + count * sizeof(struct node *)));
    made->kind = kind;
    made->place = here;
    made->datum = datum;
    made->count = count;
    return made;
}

static struct node *compile_parts(enum kind kind, value forms, struct scope *scope)
{
    struct node *made = make_node(kind, nil, list_length(forms));
    for (size_t i = 0; i < made->count; i++, forms = cdr(forms))
        made->part[i] = compile(car(forms), scope);
    return made;
}

static size_t index_of(value name, const struct scope *scope)
{
    size_t index = 1;
    for (value names = scope->names; names != nil; names = cdr(names), index++)
        if (car(names) == name)
            return index;
    return 0;
}

static struct node *compile_variable(enum kind local, enum kind global, value name, struct scope *scope)
{
    size_t depth = 0;
    while (scope && !index_of(name, scope)) {
        scope = scope->outer;
        depth++;
    }
    struct node *made = make_node(scope ? local : global, &symbol(name)->head, 1);
    made->depth = depth;
    made->index = scope ? index_of(name, scope) : 0;
    return made;
}

static struct node *compile_name(value name, struct scope *scope)
{
    struct node *made = compile_variable(LOCAL, GLOBAL, name, scope);
    bool in_prelude = here >> 20 == 0;
    if (in_prelude && made->kind == GLOBAL && symbol(name)->global)
        return make_node(QUOTE, symbol(name)->global, 0);
    return made;
}

/* The keyword that `head` names where no variable hides it, or NULL. */
static struct keyword *keyword_of(value head, struct scope *scope)
{
    if (!is(SYMBOL, head) || compile_variable(LOCAL, GLOBAL, head, scope)->kind == LOCAL)
        return NULL;
    value global = symbol(head)->global;
    return global && is(KEYWORD, global) ? (struct keyword *)global : NULL;
}

static struct node *compile_quote(value form, struct scope *scope)
{
    (void)scope;
    return make_node(QUOTE, second(form), 0);
}

static struct node *compile_if(value form, struct scope *scope)
{
    bool one_armed = cdr(cdr(cdr(form))) == nil;
    return compile_parts(IF, append_lists(cdr(form), one_armed ? list(nothing) : nil), scope);
}

static struct node *compile_begin(value form, struct scope *scope)
{
    return cdr(form) == nil ? compile(nothing, scope) : compile_parts(SEQUENCE, cdr(form), scope);
}

static struct node *compile_or(value form, struct scope *scope)
{
    return cdr(form) == nil ? compile(no, scope) : compile_parts(OR, cdr(form), scope);
}

static struct node *compile_set(value form, struct scope *scope)
{
    struct node *made = compile_variable(SET_LOCAL, SET_GLOBAL, second(form), scope);
    made->part[0] = compile(third(form), scope);
    return made;
}

/* (define (name . parameters) . body)  =  (define name (lambda parameters . body)) */
static value plain_definition(value form)
{
    value name = second(form);
    if (!is(PAIR, name))
        return form;
    return list(car(form), car(name), cons(intern("lambda"), cons(cdr(name), cdr(cdr(form)))));
}

static struct node *compile_define(value form, struct scope *scope)
{
    value plain = plain_definition(form), name = second(plain);
    struct node *made = compile_variable(SET_LOCAL, DEFINE, name, scope);
    if (scope && (made->kind == DEFINE || made->depth > 0))
        fail("define: %s is not defined at the top of a body", show(name));
    made->part[0] = compile(third(plain), scope);
    if (made->part[0]->kind == LAMBDA)
        made->part[0]->datum = name;
    return made;
}

static void declare(value name, struct scope *scope)
{
    scope->names = append_lists(scope->names, list(&symbol(name)->head));
}

/* What a body defines are variables of its lambda. */
static void declare_definitions(value body, struct scope *scope)
{
    for (; is(PAIR, body); body = cdr(body)) {
        value form = car(body);
        struct keyword *keyword = is(PAIR, form) ? keyword_of(car(form), scope) : NULL;
        if (keyword && keyword->compile == compile_begin)
            declare_definitions(cdr(form), scope);
        if (keyword && keyword->compile == compile_define && !index_of(second(plain_definition(form)), scope))
            declare(second(plain_definition(form)), scope);
    }
}

static struct node *compile_lambda(value form, struct scope *outer)
{
    struct node *made = make_node(LAMBDA, nil, 1);
    struct scope scope = {nil, outer};
    value parameters = second(form), body = cdr(cdr(form));
    for (; is(PAIR, parameters); parameters = cdr(parameters), made->required++)
        declare(car(parameters), &scope);
    made->rest = parameters != nil;
    if (made->rest)
        declare(parameters, &scope);
    declare_definitions(body, &scope);
    made->size = 1 + list_length(scope.names);
    made->part[0] = compile_begin(cons(nil, body), &scope);
    return made;
}

static struct node *compile_define_macro(value form, struct scope *scope)
{
    value plain = plain_definition(form), name = second(plain);
    struct keyword *made = allocate(KEYWORD, sizeof *made);
    *made = (struct keyword){{made->named.head, symbol(name)->name}, 0, ANY, NULL, run(compile(third(plain), scope))};
    symbol(name)->global = &made->named.head;
    return compile(nothing, scope);
}

/* What a macro makes of its arguments, which are not evaluated. */
static value expand(const struct keyword *macro, value arguments)
{
    const char *outer = expanding;
    struct node *call = make_node(CALL, nil, 1 + list_length(arguments));
    call->part[0] = make_node(QUOTE, macro->expander, 0);
    for (size_t i = 1; i < call->count; i++, arguments = cdr(arguments))
        call->part[i] = make_node(QUOTE, car(arguments), 0);
    expanding = macro->named.name;
    value made = run(call);
    expanding = outer;
    return made;
}

static struct node *compile_form(value form, struct scope *scope)
{
    struct keyword *keyword = keyword_of(car(form), scope);
    doing = keyword ? keyword->named.name : "call";
    if (!keyword)
        return compile_parts(CALL, form, scope);
    check_count(doing, list_length(cdr(form)), keyword->min, keyword->max);
    return keyword->compile ? keyword->compile(form, scope) : compile(expand(keyword, cdr(form)), scope);
}

static struct node *compile(value x, struct scope *scope)
{
    guard_stack();
    if (is(SYMBOL, x))
        return compile_name(x, scope);
    if (!is(PAIR, x))
        return make_node(QUOTE, x, 0);
    uint32_t outer = here;
    set_place(x->place);
    struct node *made = compile_form(x, scope);
    here = outer;
    return made;
}

/* clang-format off */
static struct keyword keywords[] = {
    {{{KEYWORD, 0}, "quote"},        1, 1,   compile_quote,        NULL},
    {{{KEYWORD, 0}, "if"},           2, 3,   compile_if,           NULL},
    {{{KEYWORD, 0}, "begin"},        0, ANY, compile_begin,        NULL},
    {{{KEYWORD, 0}, "or"},           0, ANY, compile_or,           NULL},
    {{{KEYWORD, 0}, "set!"},         2, 2,   compile_set,          NULL},
    {{{KEYWORD, 0}, "lambda"},       2, ANY, compile_lambda,       NULL},
    {{{KEYWORD, 0}, "define"},       2, ANY, compile_define,       NULL},
    {{{KEYWORD, 0}, "define-macro"}, 2, ANY, compile_define_macro, NULL},
};
/* clang-format on */

void define_keywords(void)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        symbol(intern(keywords[i].named.name))->global = &keywords[i].named.head;
}

/* ---- The machine ---------------------------------------------------------- */

static value make_closure(const struct node *code, struct vector *env)
{
    struct closure *made = allocate(CLOSURE, sizeof *made);
    made->lambda = code;
    made->env = env;
    return &made->head;
}

const char *name_of(const struct closure *closure)
{
    return closure->lambda->datum == nil ? "lambda" : symbol(closure->lambda->datum)->name;
}

static struct vector *copy_items(const struct vector *from, size_t count, size_t length)
{
    struct vector *made = make_vector(length);
    memcpy(made->item, from->item, count * sizeof(value));
    return made;
}

static value *variable(const struct node *code, struct vector *env)
{
    if (code->kind != LOCAL && code->kind != SET_LOCAL)
        return &((struct symbol *)code->datum)->global;
    for (size_t left = code->depth; left > 0; left--)
        env = ((struct closure *)env->item[0])->env;
    return &env->item[code->index];
}

static value defined(const struct node *code, value v)
{
    if (!v) {
        set_place(code->place);
        fail("%s is not defined", show(code->datum));
    }
    return v;
}

/* The value of `code`, or NULL when it has to wait for its parts. */
static value value_at_once(const struct node *code, struct vector *env)
{
    if (code->kind > LAMBDA)
        return NULL;
    if (code->kind == QUOTE)
        return code->datum;
    if (code->kind == LAMBDA)
        return make_closure(code, env);
    return defined(code, *variable(code, env));
}

static void assign(const struct node *code, struct vector *env, value result)
{
    value *to = variable(code, env);
    if (code->kind == SET_GLOBAL)
        defined(code, *to);
    *to = result;
}

static void push(const struct node *code, struct vector *env, struct vector *call, uint32_t at)
{
    struct frame *made = must(gc_malloc(sizeof *made));
    *made = (struct frame){frames, code, env, call, at, false};
    frames = made;
}

/* The environment for the body of the closure that is called. */
static struct vector *bind(struct vector *call)
{
    struct closure *closure = (struct closure *)call->item[0];
    const struct node *lambda = closure->lambda;
    size_t fixed = 1 + lambda->required;
    check_count(name_of(closure), call->length - 1, lambda->required, lambda->rest ? ANY : lambda->required);
    if (call->length == lambda->size && !lambda->rest)
        return call;
    struct vector *env = copy_items(call, fixed, lambda->size);
    if (lambda->rest)
        env->item[fixed] = list_of(call->item + fixed, call->length - fixed);
    return env;
}

static struct vector *next_call; /* where a builtin leaves the call it begins */

/* The machine's registers are its variables, and `frames`. Each label says
 * what they hold there. */
static value run(const struct node *code)
{
    struct vector *env = NULL, *call = NULL;
    uint32_t at = 0;
    value result;
    push(make_node(START, nil, 0), NULL, NULL, 0);

enter: /* `code` is to be run in `env` */
    result = value_at_once(code, env);
    if (result)
        goto deliver;
    at = 0;
    call = code->kind == CALL ? make_vector(code->count) : NULL;

part: /* part `at` of `code` is next */
    if (at + 1 == code->count && (code->kind == SEQUENCE || code->kind == OR)) {
        code = code->part[at];
        goto enter;
    }
    result = value_at_once(code->part[at], env);
    if (!result) {
        push(code, env, call, at);
        code = code->part[at];
        goto enter;
    }

receive: /* `result` is the value of part `at` of `code` */
    switch (code->kind) {
    case IF: code = code->part[result != no ? 1 : 2]; goto enter;
    case OR:
        if (result != no)
            goto deliver;
        at++;
        goto part;
    case SEQUENCE: at++; goto part;
    case CALL:
        call->item[at++] = result;
        if (at < code->count)
            goto part;
        break;
    case START: return result;
    default:
        assign(code, env, result);
        result = nothing;
        goto deliver;
    }

apply: /* `call` is complete */
    set_place(code->place);
    switch (type_of(call->item[0])) {
    case CLOSURE:
        code = ((struct closure *)call->item[0])->lambda->part[0];
        env = bind(call);
        goto enter;
    case BUILTIN:
        result = run_builtin(call);
        if (result)
            goto deliver;
        call = next_call;
        goto apply;
    case CONTINUATION:
        result = call->length > 1 ? call->item[1] : nothing;
        frames = ((struct continuation *)call->item[0])->frames;
        goto deliver;
    default: fail("%s is not a procedure", show(call->item[0]));
    }

deliver: /* `result` is what the top frame waits for */
    code = frames->code;
    env = frames->env;
    call = frames->call;
    at = frames->at;
    if (frames->shared && call)
        call = copy_items(call, at, call->length);
    frames = frames->next;
    goto receive;
}

value evaluate(value datum)
{
    return run(compile(datum, NULL));
}

/* ---- The builtins that begin a call ---------------------------------------- */

static value begin(struct vector *call)
{
    next_call = call;
    return NULL;
}

value begin_apply(struct vector *call)
{
    size_t given = call->length - 2;
    value all = append_lists(list_of(call->item + 1, given), call->item[given + 1]);
    return begin(list_to_vector(all));
}

/* From now on these frames may be returned to twice: so deliver copies the
 * calls they hold, rather than put different values into one. */
value begin_call_cc(value procedure)
{
    for (struct frame *f = frames; f && !f->shared; f = f->next)
        f->shared = true;
    struct continuation *made = allocate(CONTINUATION, sizeof *made);
    made->frames = frames;
    return begin(list_to_vector(list(procedure, &made->head)));
}

value begin_eval(value datum)
{
    struct node *code = compile_lambda(list(nil, nil, datum), NULL);
    return begin(list_to_vector(list(make_closure(code, NULL))));
}
