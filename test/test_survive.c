/* test_survive.c - what must survive a collection: objects that are held from
 * every place where a program may keep its only pointer, and of every shape.
 * Other stacks than the usual one are in test_survive_stacks.c. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/place.h"
#include "test/plugin.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

_Static_assert((int)WORDS == (int)SURVIVE_PLUGIN_WORDS, "the library has places of this size");

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

static __attribute__((noinline)) void set_values(const pthread_key_t *key, struct place *place)
{
    for (size_t i = 0; i < WORDS; i++) {
        struct node *node = new_node(i);
        place->object[i] = hide(node);
        cr_assert(pthread_setspecific(key[i], node) == 0);
    }
}

Test(survive, values_of_pthread_setspecific)
{
    struct place place = {.count = WORDS};
    pthread_key_t key[WORDS];

    if (dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific") == NULL)
        cr_skip_test("the C library does not say where they are");
    for (size_t i = 0; i < WORDS; i++)
        cr_assert(pthread_key_create(&key[i], NULL) == 0);
    set_values(key, &place);
    collect_and_check_intact(&place);
    for (size_t i = 0; i < WORDS; i++)
        cr_assert(pthread_setspecific(key[i], NULL) == 0);
    collect_and_check_gone(&place);
}

/* ---- Data of a library ----------------------------------------------------------------- */

static void check_plugin(void *plugin)
{
    plugin_words *words = words_in(plugin);

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

/* Sizes whose cells have no byte to spare. */
static size_t full_bytes(size_t i)
{
    static const size_t bytes[] = {16, 32, 48, 64, 80, 96, 112, 128};

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

/* Of a large object that is hardly used only what was touched is read. In between
 * pages are touched for the first time. */
Test(survive, scattered_pages_of_a_sparse_object)
{
    enum { PAGES = 16384, HELD = 400 };
    static void **sparse; /* a root */
    static struct hidden held[HELD];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    sparse = gc_malloc(PAGES * page);
    for (size_t i = 0; i < HELD; i++) {
        size_t word = (i * 7919 % (PAGES - 1) * page + i * sizeof(void *)) / sizeof(void *);

        sparse[word] = new_node(i);
        held[i] = hide(sparse[word]);
        for (unsigned k = 0; k < 200; k++)
            new_node(k);
    }
    gc_collect();
    for (size_t i = 0; i < HELD; i++)
        cr_assert(is_alive(held[i]) && ((struct node *)reveal(held[i]))->id == i, "%zu", i);
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
