/* test_survive.c - what must survive a collection: objects that are held from
 * every place where a program may keep its only pointer.
 *
 * Each place is tried twice: with pointers in it the objects must be intact
 * after a collection; then the same words are complemented, and nearly all the
 * objects must be gone. So it was this place that held them. */
#include "test/effort.h"
#include "test/hidden.h"
#include "test/registers.h"
#include "test/survive_plugin.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    WORDS = SURVIVE_PLUGIN_WORDS, /* pointers in a place */
    STACK_BYTES = 256 << 10
};

/* A place, and what its words point at. */
struct place {
    struct hidden words;
    size_t count;
    struct hidden object[WORDS];
    size_t offset[WORDS]; /* of the pointer into the object */
};

/* An object begins like this; what is behind `child` is up to its size. */
struct node {
    uint64_t id;
    struct node *child; /* points into it, not at it */
};

/* ---- Objects -------------------------------------------------------------------- */

/* Small, larger, and in pages of its own. */
static size_t node_bytes(size_t id)
{
    static const size_t bytes[] = {sizeof(struct node), 24, 40, 128, 640, 5000, 32768, 81920};

    return bytes[id % (sizeof bytes / sizeof bytes[0])];
}

static struct node *new_node(size_t id)
{
    struct node *node = gc_malloc(node_bytes(id));
    struct node *child = gc_malloc(node_bytes(id / 2));

    child->id = ~id;
    node->id = id;
    node->child = (struct node *)((char *)child + sizeof *child / 2);
    return node;
}

static bool node_is_intact(struct hidden hidden, size_t id)
{
    const struct node *node = reveal(hidden), *child;

    if (!is_alive(hidden) || node->id != id)
        return false;
    child = gc_base(node->child);
    return child != NULL && child->id == ~id;
}

/* Memory that was reclaimed by mistake is not what it was after this. */
static void overwrite_free_memory(void)
{
    for (size_t i = 0; i < 2000; i++) {
        size_t bytes = node_bytes(i);
        memset(gc_malloc(bytes), 0x5a, bytes);
    }
}

/* ---- Places --------------------------------------------------------------------- */

static __attribute__((noinline)) void fill(struct place *place)
{
    uintptr_t *word = reveal(place->words);

    for (size_t i = 0; i < place->count; i++) {
        struct node *node = new_node(i);
        place->object[i] = hide(node);
        word[i] = (uintptr_t)node + place->offset[i];
    }
}

static __attribute__((noinline)) void complement(const struct place *place)
{
    uintptr_t *word = reveal(place->words);

    for (size_t i = 0; i < place->count; i++)
        word[i] = ~word[i];
}

static void check_intact(const struct place *place)
{
    for (size_t i = 0; i < place->count; i++)
        cr_assert(node_is_intact(place->object[i], i), "object %zu of %zu bytes is lost", i, node_bytes(i));
}

static void collect_and_check_intact(const struct place *place)
{
    collect_with_clear_stack();
    overwrite_free_memory();
    check_intact(place);
}

static void collect_and_check_gone(const struct place *place)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(place->object, place->count);
    cr_assert(alive <= place->count / 4, "%zu of %zu objects were held from elsewhere", alive, place->count);
}

/* The words are roots: with pointers in them the objects are held, else not. */
static __attribute__((noinline)) void check_roots(struct hidden words, size_t count)
{
    struct place place = {.words = words, .count = count};

    fill(&place);
    collect_and_check_intact(&place);
    complement(&place);
    collect_and_check_gone(&place);
}

/* As above, with pointers into the objects and not at them. */
static __attribute__((noinline)) void check_interior_roots(struct hidden words)
{
    struct place place = {.words = words, .count = WORDS};

    for (size_t i = 0; i < WORDS; i++)
        place.offset[i] = (i * 97 + 1) % node_bytes(i);
    fill(&place);
    collect_and_check_intact(&place);
    complement(&place);
    collect_and_check_gone(&place);
}

static void check_array(uintptr_t *words)
{
    check_roots(hide(words), WORDS);
    check_interior_roots(hide(words));
}

/* ---- Data of the program ------------------------------------------------------------ */

static uintptr_t data[WORDS] = {1};
static uintptr_t bss[WORDS];
uintptr_t global[WORDS];
static _Thread_local uintptr_t tls_data[WORDS] = {1};
static _Thread_local uintptr_t tls_bss[WORDS];

Test(survive, data)
{
    check_array(data);
}

Test(survive, bss)
{
    check_array(bss);
}

Test(survive, global)
{
    check_array(global);
}

Test(survive, static_local)
{
    static uintptr_t local[WORDS];

    check_array(local);
}

Test(survive, thread_local_data)
{
    check_array(tls_data);
}

Test(survive, thread_local_bss)
{
    check_array(tls_bss);
}

/* ---- Data of a library ----------------------------------------------------------------- */

/* Opens the library, which lies beside the program or where libtool puts it. */
static void *open_plugin(void)
{
    static const char *const names[] = {"survive_plugin.so", ".libs/survive_plugin.so"};
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 64);
    char *name;
    void *plugin = NULL;

    cr_assert(length > 0);
    path[length] = '\0';
    name = strrchr(path, '/') + 1;
    for (size_t i = 0; plugin == NULL && i < sizeof names / sizeof names[0]; i++) {
        strcpy(name, names[i]);
        plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    }
    cr_assert(plugin != NULL, "%s", dlerror());
    return plugin;
}

static void check_plugin(void *plugin)
{
    uintptr_t *(*words)(enum survive_plugin_place place);

    *(void **)&words = dlsym(plugin, "survive_plugin_words");
    cr_assert(words != NULL);
    for (enum survive_plugin_place place = 0; place < SURVIVE_PLUGIN_PLACES; place++)
        check_array(words(place));
}

Test(survive, library_opened_before_the_heap_started)
{
    check_plugin(open_plugin());
}

/* Also closed, and opened again, perhaps at another address. */
Test(survive, library_opened_later)
{
    for (unsigned i = 0; i < 3; i++) {
        gc_collect();
        void *plugin = open_plugin();
        check_plugin(plugin);
        cr_assert(dlclose(plugin) == 0);
        gc_collect();
    }
}

/* ---- Stack and registers ----------------------------------------------------------------- */

Test(survive, stack)
{
    uintptr_t words[WORDS];

    check_array(words);
}

/* A frame of `check`, some MiB further down. */
static __attribute__((noinline)) void descend(unsigned levels, uintptr_t *words)
{
    char frame[1 << 10];

    if (levels == 0)
        check_array(words);
    else
        descend(levels - 1, words);
    __asm__ volatile("" : : "r"(frame) : "memory");
}

Test(survive, far_up_the_stack)
{
    uintptr_t words[WORDS];

    descend(4 << 10, words);
}

/* Two frames with pointers have the collection between them. */
Test(survive, many_frames)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    fill(&place);
    descend(100, bss);
    collect_and_check_intact(&place);
}

/* The arguments of the program and its environment lie at the stack's end. */
static struct {
    char **arguments;
    char **environment;
    size_t argument_count;
} program;

static __attribute__((constructor)) void note_arguments(int count, char **arguments, char **environment)
{
    program.arguments = arguments;
    program.environment = environment;
    program.argument_count = (size_t)count;
}

static size_t count_environment(void)
{
    size_t count = 0;

    while (count < WORDS && program.environment[count] != NULL)
        count++;
    return count;
}

Test(survive, environment)
{
    size_t count = count_environment();
    char *saved[WORDS];

    memcpy(saved, program.environment, count * sizeof saved[0]);
    gc_init(); /* reads the environment */
    check_roots(hide(program.environment), count);
    memcpy(program.environment, saved, count * sizeof saved[0]);
}

Test(survive, arguments)
{
    struct place place = {.words = hide(program.arguments), .count = program.argument_count};
    char *saved = program.arguments[0];

    cr_assert(place.count > 0 && place.count <= WORDS);
    fill(&place);
    collect_and_check_intact(&place);
    program.arguments[0] = saved;
}

static void collect_and_overwrite(void)
{
    gc_collect();
    overwrite_free_memory();
}

/* Objects of which only the registers know. */
static __attribute__((noinline)) void make_held(struct hidden pointer[HELD_REGISTERS], struct place *place,
                                                size_t offset_of_pointer)
{
    uintptr_t words[WORDS] = {0};

    place->words = hide(words);
    fill(place);
    for (size_t i = 0; i < HELD_REGISTERS; i++)
        pointer[i] = hide((char *)words[i] + offset_of_pointer);
    memset(words, 0, sizeof words);
    __asm__ volatile("" : : "r"(words) : "memory");
}

static void check_registers(void (*function)(void), size_t offset_of_pointer)
{
    struct place place = {.count = HELD_REGISTERS};
    struct hidden pointer[HELD_REGISTERS];

    make_held(pointer, &place, offset_of_pointer);
    clear_stack();
    hold_in_registers(pointer, function);
    check_intact(&place);
}

Test(survive, registers)
{
    check_registers(collect_and_overwrite, 0);
    check_registers(collect_and_overwrite, sizeof(struct node) - 1);
}

/* That the registers are what holds them. */
Test(survive, no_registers)
{
    struct place place = {.count = WORDS};
    struct hidden pointer[HELD_REGISTERS], nothing[HELD_REGISTERS];

    memset(nothing, 0xff, sizeof nothing);
    make_held(pointer, &place, 0);
    clear_stack();
    hold_in_registers(nothing, collect_and_overwrite);
    collect_and_check_gone(&place);
}

/* ---- One past the end ---------------------------------------------------------------------- */

/* Sizes whose cells have no byte to spare, and large ones. */
static size_t full_bytes(size_t i)
{
    static const size_t bytes[] = {16, 32, 112, 128, 640, 4096, 32768, 65536, 1 << 20};

    return bytes[i % (sizeof bytes / sizeof bytes[0])];
}

/* The words become the ends of objects. */
static __attribute__((noinline)) void fill_with_ends(struct hidden words, struct hidden object[WORDS])
{
    uintptr_t *word = reveal(words);

    for (size_t i = 0; i < WORDS; i++) {
        char *start = gc_malloc(full_bytes(i));
        char *next = gc_malloc(full_bytes(i)); /* else the end were the next object's start */
        memset(start, (int)i, full_bytes(i));
        memset(next, 0xff, full_bytes(i));
        object[i] = hide(start);
        word[i] = (uintptr_t)start + full_bytes(i);
    }
}

/* Whether the ends of objects that stand in the words hold the objects. */
static __attribute__((noinline)) void check_ends(struct hidden words, bool are_roots)
{
    struct hidden object[WORDS];
    size_t alive;

    fill_with_ends(words, object);
    collect_with_clear_stack();
    if (!are_roots) {
        alive = count_alive(object, WORDS);
        cr_assert(alive <= WORDS / 4, "%zu objects are held by their ends", alive);
        return;
    }
    overwrite_free_memory();
    for (size_t i = 0; i < WORDS; i++) {
        const unsigned char *start = reveal(object[i]);
        cr_assert(is_alive(object[i]), "an object of %zu bytes is lost", full_bytes(i));
        cr_assert(start[0] == i && start[full_bytes(i) - 1] == i, "an object of %zu bytes is damaged", full_bytes(i));
    }
}

static void start_with_past_end(enum gc_past_end past_end)
{
    struct gc_options options = {.past_end = past_end};

    unsetenv("BROOM_PAST_END");
    cr_assert(gc_init_options(&options, sizeof options) == 0);
}

Test(survive, past_end_on_the_stack)
{
    uintptr_t words[WORDS];

    start_with_past_end(GC_PAST_END_DEFAULT);
    check_ends(hide(words), true);
}

Test(survive, past_end_in_registers)
{
    start_with_past_end(GC_PAST_END_DEFAULT);
    check_registers(collect_and_overwrite, sizeof(struct node));
}

Test(survive, past_end_everywhere)
{
    uintptr_t words[WORDS], *in_heap;

    start_with_past_end(GC_PAST_END_ALWAYS);
    in_heap = gc_malloc_uncollectable(sizeof words);
    check_ends(hide(words), true);
    check_ends(hide(data), true);
    check_ends(hide(tls_bss), true);
    check_ends(hide(in_heap), true);
}

Test(survive, past_end_never)
{
    uintptr_t words[WORDS];

    start_with_past_end(GC_PAST_END_NEVER);
    check_ends(hide(words), false);
    check_ends(hide(data), false);
}

/* ---- Objects that hold objects --------------------------------------------------------------- */

Test(survive, user_range)
{
    uintptr_t *words = calloc(WORDS + 2, sizeof *words);

    cr_assert(gc_add_roots((char *)words + 1, words + WORDS + 2) == 0); /* begins with the next aligned word */
    check_array(words + 1);
    free(words);
}

static __attribute__((noinline)) struct hidden new_uncollectable(size_t words)
{
    return hide(gc_malloc_uncollectable(words * sizeof(uintptr_t)));
}

Test(survive, uncollectable)
{
    struct hidden small = new_uncollectable(WORDS), large = new_uncollectable(16 << 10);

    check_roots(small, WORDS);
    check_interior_roots(small);
    check_roots(large, WORDS);
    check_interior_roots(large);
    cr_assert(is_alive(small) && is_alive(large));
}

/* Also when it was moved, and is of another size. */
Test(survive, uncollectable_resized)
{
    struct hidden words = new_uncollectable(WORDS);

    words = hide(gc_realloc(reveal(words), 100000));
    check_roots(words, WORDS);
    words = hide(gc_realloc(reveal(words), 3000000));
    check_roots(words, WORDS);
    words = hide(gc_realloc(reveal(words), sizeof(uintptr_t) * WORDS));
    check_roots(words, WORDS);
}

/* A word in the last piece of a large object. */
Test(survive, last_words_of_large_objects)
{
    static const size_t bytes[] = {32769, 40960, 69632, 1 << 20, (4 << 20) + 8};

    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        struct hidden object = new_uncollectable(bytes[i] / sizeof(uintptr_t));
        uintptr_t *word = reveal(object);
        check_array(word + bytes[i] / sizeof *word - WORDS);
        for (size_t at = 448; (at + WORDS) * sizeof *word <= bytes[i]; at += 512 * 97) /* across pieces */
            check_roots(hide(word + at), WORDS);
    }
}

static bool no_memory(size_t bytes, void *handler_data)
{
    (void)bytes;
    return handler_data == NULL;
}

static __attribute__((noinline)) struct hidden set_handler(void)
{
    struct node *node = new_node(5);

    gc_set_oom_handler(no_memory, (char *)node + 1);
    return hide(node);
}

Test(survive, data_of_the_handler)
{
    struct hidden node = set_handler();

    collect_with_clear_stack();
    overwrite_free_memory();
    cr_assert(node_is_intact(node, 5));
}

/* ---- Shapes ------------------------------------------------------------------------------------ */

struct link {
    struct link *next;
    uint64_t number;
};

/* Deep enough to overflow any stack if marking recursed. */
Test(survive, long_list)
{
    size_t length = is_sanitized() ? 2000000 : 20000000;
    struct link *list = NULL, *link;
    size_t number = 0;

    without_stress(); /* minutes */
    while (number < length) {
        link = gc_malloc(sizeof *link);
        link->next = list;
        link->number = number++;
        list = link;
    }
    gc_collect();
    for (link = list; link != NULL; link = link->next)
        if (link->number != --number)
            break;
    cr_assert(link == NULL && number == 0, "broken at %zu", number);
}

/* Each object is grey before any of them is scanned. */
Test(survive, wide_object)
{
    size_t count = 1000000;
    struct link **array;
    size_t i;

    without_stress();
    array = gc_malloc(count * sizeof(struct link *));
    for (i = 0; i < count; i++) {
        array[i] = gc_malloc(sizeof *array[i]);
        array[i]->next = gc_malloc(sizeof(struct link));
        array[i]->next->number = i;
    }
    gc_collect();
    for (i = 0; i < count && array[i]->next->number == i; i++)
        continue;
    cr_assert(i == count, "broken at %zu", i);
}

struct tree {
    struct tree *left, *right;
    uint64_t depth;
};

static struct tree *new_tree(uint64_t depth)
{
    struct tree *tree = gc_malloc(sizeof *tree);

    tree->depth = depth;
    if (depth > 0) {
        tree->left = new_tree(depth - 1);
        tree->right = new_tree(depth - 1);
    }
    return tree;
}

static size_t count_tree(const struct tree *tree, uint64_t depth)
{
    if (tree == NULL || tree->depth != depth)
        return 0;
    return depth == 0 ? 1 : 1 + count_tree(tree->left, depth - 1) + count_tree(tree->right, depth - 1);
}

/* Built while collections go on, held by the stack alone. */
Test(survive, trees)
{
    enum { TREES = 8 };
    uint64_t depth = is_stressed() ? 11 : 14;
    struct tree *tree[TREES];

    for (unsigned round = 0; round < 4; round++)
        for (unsigned i = 0; i < TREES; i++)
            tree[i] = new_tree(depth);
    for (unsigned i = 0; i < TREES; i++)
        cr_assert(count_tree(tree[i], depth) == ((size_t)2 << depth) - 1);
}

/* ---- Other stacks --------------------------------------------------------------------------------- */

static struct place *waiting; /* a place on the stack that does not run */

static void check_both_stacks(void)
{
    uintptr_t words[WORDS];

    check_array(words);
    check_intact(waiting);
}

static void on_signal(int number)
{
    (void)number;
    check_both_stacks();
}

/* Handles SIGUSR1 on an alternate stack. */
static void catch_signal(void (*handler)(int), void *stack, int stack_flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack, .ss_size = STACK_BYTES, .ss_flags = stack_flags};

    cr_assert(sigaltstack(&alternate, NULL) == 0);
    cr_assert(sigaction(SIGUSR1, &action, NULL) == 0);
}

static void check_signal(void *stack, int stack_flags)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    catch_signal(on_signal, stack, stack_flags);
    fill(&place);
    waiting = &place;
    raise(SIGUSR1);
    collect_and_check_intact(&place);
}

static void *new_stack(void)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

    cr_assert(stack != MAP_FAILED);
    return stack;
}

#ifndef SS_AUTODISARM /* Linux 4.7 */
#define SS_AUTODISARM (1U << 31)
#endif

Test(survive, signal_stack)
{
    check_signal(malloc(STACK_BYTES), 0);
    check_signal(new_stack(), 0);
}

/* The kernel then says of the stack that it is in use that there is none. */
Test(survive, signal_stack_disarmed)
{
    check_signal(new_stack(), (int)SS_AUTODISARM);
}

static void on_signal_collect(int number)
{
    (void)number;
    collect_and_overwrite();
}

static void raise_signal(void)
{
    raise(SIGUSR1);
}

/* What the interrupted code had in registers. */
Test(survive, registers_below_a_signal)
{
    catch_signal(on_signal_collect, new_stack(), 0);
    check_registers(raise_signal, 0);
}

static struct {
    ucontext_t caller;
    ucontext_t own;
} * coroutine; /* in malloc memory: no root */

static void coroutine_main(void)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    check_both_stacks();
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->own, &coroutine->caller);
    collect_and_check_intact(&place);
    check_both_stacks();
}

/* Runs a coroutine to the point where it waits with pointers on its stack. */
static __attribute__((noinline)) void start_coroutine(void *stack)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};

    coroutine = malloc(sizeof *coroutine);
    getcontext(&coroutine->own);
    coroutine->own.uc_stack.ss_sp = stack;
    coroutine->own.uc_stack.ss_size = STACK_BYTES;
    coroutine->own.uc_link = &coroutine->caller;
    makecontext(&coroutine->own, coroutine_main, 0);
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->caller, &coroutine->own);
    check_intact(&place);
}

/* Lets it go on, to its end. */
static void finish_coroutine(void)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS}, *theirs = waiting;

    collect_and_check_intact(theirs);
    fill(&place);
    waiting = &place;
    swapcontext(&coroutine->caller, &coroutine->own);
    check_intact(&place);
}

/* A stack that waits is a root if it is said to be one. */
Test(survive, coroutine)
{
    char *stack = new_stack();

    cr_assert(gc_add_roots(stack, stack + STACK_BYTES) == 0);
    start_coroutine(stack);
    finish_coroutine();
}

static void *stack_object;

static __attribute__((noinline)) void start_coroutine_on_object(void)
{
    stack_object = gc_malloc(STACK_BYTES);
    start_coroutine(stack_object);
}

/* Held by a global while it waits, an object like others. */
Test(survive, coroutine_on_an_object)
{
    start_coroutine_on_object();
    finish_coroutine();
}

static __attribute__((noinline)) struct hidden new_stack_object(void)
{
    return hide(gc_malloc(STACK_BYTES));
}

/* The stack that runs is held by the stack pointer, if by nothing else. */
Test(survive, stack_that_runs)
{
    struct hidden stack = new_stack_object();

    clear_stack();
    run_on_stack((struct hidden){stack.bits - STACK_BYTES}, gc_collect);
    cr_assert(is_alive(stack), "the stack was reclaimed");
}

/* ---- Threads and processes ------------------------------------------------------------------------- */

static void *be_the_thread(void *argument)
{
    uintptr_t words[WORDS];

    (void)argument;
    check_array(words);
    check_array(data);
    check_array(tls_data);
    check_array(tls_bss);
    check_registers(collect_and_overwrite, 0);
    return NULL;
}

/* The one thread that is served need not be the first of the process. */
Test(survive, another_thread_calls_first)
{
    pthread_t thread;

    cr_assert(pthread_create(&thread, NULL, be_the_thread, NULL) == 0);
    cr_assert(pthread_join(thread, NULL) == 0);
}

/* Both processes have the heap after a fork. */
Test(survive, fork)
{
    uintptr_t words[WORDS];
    struct place place = {.words = hide(words), .count = WORDS};
    int status = -1;
    pid_t child;

    fill(&place);
    child = fork();
    collect_with_clear_stack();
    overwrite_free_memory();
    if (child == 0) {
        bool intact = true;
        for (size_t i = 0; i < WORDS; i++)
            intact &= node_is_intact(place.object[i], i);
        _exit(intact ? 0 : 1);
    }
    check_intact(&place);
    cr_assert(waitpid(child, &status, 0) == child && status == 0, "status %d", status);
}
