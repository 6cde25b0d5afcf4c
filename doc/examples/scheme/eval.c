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

#include <string.h>

#include "../alloc.h"

/* clang-format off */
enum kind {
    /* These have a value at once: */
    QUOTE,  /* datum: the value */
    LOCAL,  /* datum: the name; depth, index */
    GLOBAL, /* datum: the symbol */
    LAMBDA, /* datum: its name; part: the body; min, max, size */
    /* These wait for the value of a part: */
    IF,     /* parts: test, then, else; where one is NULL: the value of the test */
    SET,    /* parts: the new value, the variable */
    CALL,   /* parts: the procedure, the arguments */
    START   /* in the lowest frame: the machine stops */
};
/* clang-format on */

struct node {
    enum kind kind;
    uint32_t line;
    value datum;
    size_t depth, index;   /* environments to leave; item of the one reached */
    size_t min, max, size; /* fewest and most arguments; items of the environment */
    size_t count;
    struct node *part[];
};

/* The variables of a lambda: the n-th name is that of item n. */
struct scope {
    value names;
    struct scope *outer;
};

static struct node *compile(value x, struct scope *scope);

/* ---- Compiling ----------------------------------------------------------- */

static struct node *make_node(enum kind kind, value datum, size_t count)
{
    struct node *made = must(gc_malloc(sizeof *made + count * sizeof(struct node *)));
    made->kind = kind;
    made->line = here;
    made->datum = datum;
    made->count = count;
    return made;
}

static struct node *make_parent(enum kind kind, struct node *a, struct node *b, struct node *c)
{
    struct node *made = make_node(kind, nil, 3);
    made->part[0] = a;
    made->part[1] = b;
    made->part[2] = c;
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

static void declare(value name, struct scope *scope)
{
    if (!index_of(name, scope))
        scope->names = append_lists(scope->names, list(&symbol(name)->head));
}

/* In the prelude, a name that has a value means that value, whatever a program
 * defines later. */
static struct node *compile_name(value name, struct scope *scope)
{
    size_t depth = 0, index = 0;
    for (; scope && !(index = index_of(name, scope)); scope = scope->outer)
        depth++;
    if (!scope && here == 0 && symbol(name)->global && !symbol(name)->compile)
        return make_node(QUOTE, symbol(name)->global, 0);
    struct node *made = make_node(scope ? LOCAL : GLOBAL, &symbol(name)->head, 0);
    made->depth = depth;
    made->index = index;
    return made;
}

static struct node *compile_quote(value form, struct scope *scope)
{
    (void)scope;
    return make_node(QUOTE, second(form), 0);
}

static struct node *compile_if(value form, struct scope *scope)
{
    value rest = cdr(cdr(cdr(form)));
    struct node *test = compile(second(form), scope), *then = compile(third(form), scope);
    return make_parent(IF, test, then, compile(rest == nil ? nothing : car(rest), scope));
}

/* (and a b), (or a b) and (begin a b) go on to b when a is true, when it is
 * false, and always. */
static struct node *compile_chain(value form, struct scope *scope)
{
    bool is_and = car(form) == intern("and"), is_or = car(form) == intern("or");
    if (cdr(form) == nil)
        return make_node(QUOTE, is_and ? yes : is_or ? no : nothing, 0);
    struct node *first = compile(second(form), scope);
    if (cdr(cdr(form)) == nil)
        return first;
    struct node *rest = compile_chain(cons(car(form), cdr(cdr(form))), scope);
    return make_parent(IF, first, is_or ? NULL : rest, is_and ? NULL : rest);
}

/* Of (define name value) or (define (name . parameters) . body). */
static value name_defined(value form)
{
    return is(PAIR, second(form)) ? car(second(form)) : second(form);
}

static struct node *compile_procedure(value name, value parameters, value body, struct scope *outer)
{
    struct node *made = make_node(LAMBDA, name, 1);
    struct scope scope = {nil, outer};
    for (; is(PAIR, parameters); parameters = cdr(parameters), made->min++)
        declare(car(parameters), &scope);
    made->max = parameters == nil ? made->min : ANY;
    if (parameters != nil)
        declare(parameters, &scope);
    for (value left = body; left != nil; left = cdr(left))
        if (is(PAIR, car(left)) && car(car(left)) == intern("define"))
            declare(name_defined(car(left)), &scope);
    made->part[0] = compile_chain(cons(intern("begin"), body), &scope);
    made->size = 1 + list_length(scope.names);
    return made;
}

static struct node *compile_lambda(value form, struct scope *scope)
{
    return compile_procedure(intern("lambda"), second(form), cdr(cdr(form)), scope);
}

static struct node *compile_set(value form, struct scope *scope)
{
    value target = second(form), name = name_defined(form);
    struct node *variable = compile_name(name, scope);
    if (variable->kind == GLOBAL)
        keep(name);
    if (!is(PAIR, target))
        return make_parent(SET, compile(third(form), scope), variable, NULL);
    return make_parent(SET, compile_procedure(name, cdr(target), cdr(cdr(form)), scope), variable, NULL);
}

/* In a body, it sets a variable of the lambda. */
static struct node *compile_define(value form, struct scope *scope)
{
    if (scope)
        declare(name_defined(form), scope);
    else
        symbol(name_defined(form))->compile = NULL;
    return compile_set(form, scope);
}

static value make_closure(const struct node *code, struct vector *env)
{
    struct closure *made = make(CLOSURE, sizeof *made);
    made->lambda = code;
    made->env = env;
    return &made->head;
}

/* A macro is called with its arguments as they are written; what it returns is
 * compiled in place of the call. */
static struct node *compile_macro_call(value form, struct scope *scope)
{
    return compile(run(make_call(symbol(car(form))->global, cdr(form))), scope);
}

static struct node *compile_define_macro(value form, struct scope *scope)
{
    run(make_call(make_thunk(cons(intern("define"), cdr(form))), nil));
    keep(name_defined(form))->compile = compile_macro_call;
    return compile(nothing, scope);
}

static struct node *compile(value x, struct scope *scope)
{
    if (is(SYMBOL, x))
        return compile_name(x, scope);
    if (!is(PAIR, x))
        return make_node(QUOTE, x, 0);
    here = x->line ?: here;
    struct node *head = compile(car(x), scope);
    compiler *keyword = head->kind == GLOBAL ? symbol(head->datum)->compile : NULL;
    doing = keyword ? symbol(head->datum)->name : "call";
    if (keyword)
        return keyword(x, scope);
    struct node *made = make_node(CALL, nil, list_length(x));
    made->part[0] = head;
    for (size_t i = 1; i < made->count; i++) {
        x = cdr(x);
        made->part[i] = compile(car(x), scope);
    }
    return made;
}

void define_keywords(void)
{
    keep(intern("quote"))->compile = compile_quote;
    keep(intern("if"))->compile = compile_if;
    keep(intern("and"))->compile = compile_chain;
    keep(intern("or"))->compile = compile_chain;
    keep(intern("begin"))->compile = compile_chain;
    keep(intern("lambda"))->compile = compile_lambda;
    keep(intern("set!"))->compile = compile_set;
    keep(intern("define"))->compile = compile_define;
    keep(intern("define-macro"))->compile = compile_define_macro;
}

value make_thunk(value datum)
{
    struct node *made = compile_procedure(intern("thunk"), nil, nil, NULL);
    made->part[0] = compile(datum, NULL);
    return make_closure(made, NULL);
}

/* ---- The machine --------------------------------------------------------- */

/* What waits for the value of part `at` of `code`. */
struct frame {
    struct frame *next;
    const struct node *code;
    struct vector *env;
    struct vector *call; /* of a CALL: the values of the parts before */
    uint32_t at;
    bool shared; /* with a continuation; then so are all frames below */
};

static const struct node start = {.kind = START};
struct frame *frames;

static void push(const struct node *code, struct vector *env, struct vector *call, uint32_t at)
{
    struct frame *made = must(gc_malloc(sizeof *made));
    *made = (struct frame){frames, code, env, call, at, false};
    frames = made;
}

static struct vector *copy_items(const struct vector *from, size_t count, size_t length)
{
    struct vector *made = make_vector(length);
    memcpy(made->item, from->item, count * sizeof(value));
    return made;
}

/* Drops the top frame; returns its call. */
static struct vector *pop_call(void)
{
    struct frame *top = frames;
    frames = top->next;
    return top->shared && top->call ? copy_items(top->call, top->at, top->call->length) : top->call;
}

/* From now on these frames may be returned to twice: so pop_call copies the
 * calls they hold, lest different values are put into one. */
value make_continuation(void)
{
    for (struct frame *f = frames; f && !f->shared; f = f->next)
        f->shared = true;
    struct continuation *made = make(CONTINUATION, sizeof *made);
    made->frames = frames;
    return &made->head;
}

struct vector *make_call(value procedure, value arguments)
{
    return list_to_vector(cons(procedure, arguments));
}

const char *name_of(value procedure)
{
    if (is(CLOSURE, procedure))
        return symbol(((struct closure *)procedure)->lambda->datum)->name;
    if (is(BUILTIN, procedure))
        return ((struct builtin *)procedure)->name;
    return is(GUARDIAN, procedure) ? "guardian" : "continuation";
}

void check_count(const struct vector *call, size_t min, size_t max)
{
    size_t count = call->length - 1;
    if (count < min || count > max)
        fail(name_of(call->item[0]), "wrong number of arguments:", list_of(call->item + 1, count));
}

/* The environment for the body of the closure that is called. */
static struct vector *bind(struct vector *call)
{
    const struct node *lambda = ((struct closure *)call->item[0])->lambda;
    size_t fixed = 1 + lambda->min;
    check_count(call, lambda->min, lambda->max);
    if (call->length == lambda->size && lambda->max != ANY)
        return call;
    struct vector *env = copy_items(call, fixed, lambda->size);
    if (lambda->max == ANY)
        env->item[fixed] = list_of(call->item + fixed, call->length - fixed);
    return env;
}

static value *variable(const struct node *code, struct vector *env)
{
    if (code->kind == GLOBAL)
        return &((struct symbol *)code->datum)->global;
    for (size_t left = code->depth; left > 0; left--)
        env = ((struct closure *)env->item[0])->env;
    return &env->item[code->index];
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
    value found = *variable(code, env);
    if (!found) {
        here = code->line ?: here;
        fail(symbol(code->datum)->name, "not defined", NULL);
    }
    return found;
}

/* Calls what is not a closure. Returns NULL when another call has to follow,
 * and puts it into `call`. */
static value call_other(struct vector **call)
{
    value procedure = (*call)->item[0];
    if (is(BUILTIN, procedure))
        return run_builtin(*call, call);
    if (is(GUARDIAN, procedure))
        return call_guardian((struct guardian *)procedure, *call);
    if (!is(CONTINUATION, procedure))
        fail("call", "not a procedure:", procedure);
    frames = ((struct continuation *)procedure)->frames;
    return (*call)->length > 1 ? (*call)->item[1] : nothing;
}

/* Its registers are its variables, and `frames`. Each label says what they hold there. */
value run(struct vector *call)
{
    const struct node *code;
    struct vector *env;
    uint32_t at;
    value result;
    push(&start, NULL, NULL, 0);
    goto apply;

enter: /* `code` is to be run in `env` */
    result = value_at_once(code, env);
    if (result)
        goto deliver;
    at = 0;
    call = code->kind == CALL ? make_vector(code->count) : NULL;

part: /* part `at` of `code` is next */
    result = value_at_once(code->part[at], env);
    if (!result) {
        push(code, env, call, at);
        code = code->part[at];
        goto enter;
    }

receive: /* `result` is the value of part `at` of `code` */
    switch (code->kind) {
    case IF:
        code = code->part[result != no ? 1 : 2];
        if (code)
            goto enter;
        goto deliver;
    case SET:
        *variable(code->part[1], env) = result;
        result = nothing;
        goto deliver;
    case CALL:
        call->item[at++] = result;
        if (at < code->count)
            goto part;
        here = code->line ?: here; /* errors in the prelude are blamed on its caller */
        goto apply;
    default: return result;
    }

apply: /* `call` is complete */
    if (is(CLOSURE, call->item[0])) {
        code = ((struct closure *)call->item[0])->lambda->part[0];
        env = bind(call);
        goto enter;
    }
    result = call_other(&call);
    if (!result)
        goto apply;

deliver: /* `result` is what the top frame waits for */
    code = frames->code;
    env = frames->env;
    at = frames->at;
    call = pop_call();
    goto receive;
}
