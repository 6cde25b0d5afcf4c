/* scheme.c - the interpreter of doc/examples/scheme at work: frames,
 * environments, closures and texts are all on the heap and die soon, while the
 * code stays. For collectors only: nothing in that interpreter knows what could
 * be freed.
 *
 * The sources of the example are compiled as they are, in one with this file.
 * Their calls go to Broom, or to bdwgc by the alloc.h of the examples.
 */
#include "program.h"

_Static_assert(!BENCH_FREES, "the interpreter frees nothing");

#ifdef BENCH_BDWGC
#define USE_BDWGC
#endif
int scheme_main(int argc, char **argv); /* of the example; not called */
#define main scheme_main
#include "../doc/examples/scheme/builtins.c"
#include "../doc/examples/scheme/coroutine.c"
#include "../doc/examples/scheme/data.c"
#include "../doc/examples/scheme/eval.c"
#undef main

enum { ROUNDS = 5 };

/* clang-format off */
#define SCHEME(...) #__VA_ARGS__

/* Each begins with its definitions and ends with the value to be checked. */
static const struct {
    const char *name, *text, *expected;
} programs[] = {
    /* Nothing but calls. (Gabriel's benchmarks) */
    {"tak", SCHEME(
        (define (tak x y z)
          (if (not (< y x))
              z
              (tak (tak (- x 1) y z) (tak (- y 1) z x) (tak (- z 1) x y))))
        (map tak (list 18 20) (list 12 13) (list 6 6))),
     "(7 13)"},

    /* The same, with every value handed back through a continuation. */
    {"ctak", SCHEME(
        (define (ctak x y z)
          (call/cc (lambda (k) (ctak-aux k x y z))))
        (define (ctak-aux k x y z)
          (if (not (< y x))
              (k z)
              (ctak-aux k
                        (call/cc (lambda (k) (ctak-aux k (- x 1) y z)))
                        (call/cc (lambda (k) (ctak-aux k (- y 1) z x)))
                        (call/cc (lambda (k) (ctak-aux k (- z 1) x y))))))
        (map ctak (list 18 20) (list 12 13) (list 6 6))),
     "(7 13)"},

    /* Recursion 100 000 calls deep: the stack is made of frames in the heap. */
    {"deep", SCHEME(
        (define (build n)
          (if (= n 0) (list) (cons n (build (- n 1)))))
        (define (repeat times sum)
          (if (= times 0) sum (repeat (- times 1) (+ sum (length (build 100000))))))
        (repeat 2 0)),
     "200000"},

    {"queens", SCHEME(
        (define (safe? column row queens)
          (or (null? queens)
              (let ((other (car queens)))
                (and (not (= other column))
                     (not (= (abs (- other column)) row))
                     (safe? column (+ row 1) (cdr queens))))))
        (define (count-from column row size queens)
          (if (< size column) 0
              (+ (count-from (+ column 1) row size queens)
                 (if (safe? column 1 queens) (count row size (cons column queens)) 0))))
        (define (count row size queens)
          (if (= row size) 1 (count-from 1 (+ row 1) size queens)))
        (count 0 8 (list))),
     "92"},

    /* A text is made of new strings, and the words are counted. */
    {"text", SCHEME(
        (define (word n)
          (let loop ((left (+ 1 (remainder n 5))) (made ""))
            (if (= left 0) made (loop (- left 1) (string-append made "la")))))
        (define (build n text)
          (if (= n 0) text
              (begin (string-append! text (word n) " ") (build (- n 1) text))))
        (define (count-spaces text at sum)
          (if (= at (string-length text)) sum
              (count-spaces text (+ at 1) (if (char=? (string-ref text at) (string-ref " " 0)) (+ sum 1) sum))))
        (count-spaces (build 20000 (string-copy "")) 0 0)),
     "20000"},
};
/* clang-format on */

static void start_scheme(void)
{
    define_types();
    define_keywords();
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        keep(intern(builtins[i].name))->global = &builtins[i].head;
    run_program("prelude", prelude, 0);
}

/* The last value. */
static value evaluate(const char *name, const char *text)
{
    value result = nothing;
    file_name = name;
    for (value left = read_all(text, 1); left != nil; left = cdr(left))
        result = run(make_call(make_thunk(car(left)), nil));
    return result;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t rounds = bench_scaled(ROUNDS);
    start_scheme();

    bool correct = true;
    uint64_t checksum = 0;
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
            const char *result = text_of(evaluate(programs[i].name, programs[i].text), true);
            correct &= strcmp(result, programs[i].expected) == 0;
            for (; *result; result++)
                checksum = checksum * 31 + (unsigned char)*result;
        }
    return bench_finish(correct, checksum);
}
