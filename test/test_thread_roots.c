/* test_thread_roots.c - what must survive a collection by another thread:
 * objects that only a stopped thread knows, on any stack that it may have, in
 * its registers, or in data of its own. */
#define _GNU_SOURCE
#include "test/effort.h"
#include "test/keeper.h"
#include "test/plugin.h"
#include "test/spin.h"

#include "gc/cycle/heap.h"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

enum { STACK_BYTES = 256 << 10 };

TestSuite(thread_roots, .timeout = 2 * KEEPER_SECONDS);

/* ---- Ways to wait ---------------------------------------------------------------------- */

static void wait_in_nanosleep(struct keeper *keeper)
{
    struct timespec time = {.tv_nsec = 20000000};

    while (!keeper->released)
        nanosleep(&time, NULL);
}

static void wait_for_condition(struct keeper *keeper)
{
    pthread_mutex_lock(&keeper->mutex);
    while (!keeper->released)
        pthread_cond_wait(&keeper->condition, &keeper->mutex);
    pthread_mutex_unlock(&keeper->mutex);
}

static void *block(void *keeper)
{
    wait_in_read(keeper);
    return NULL;
}

static void wait_in_gc_thread_blocking(struct keeper *keeper)
{
    gc_thread_blocking(block, keeper);
}

/* For its turn, as the collecting thread has the lock. */
static void wait_for_the_lock(struct keeper *keeper)
{
    gc_collect();
    wait_in_read(keeper);
}

static void wait_allocating(struct keeper *keeper)
{
    while (!keeper->released)
        memset(gc_malloc(64), 0x5a, 64);
}

Test(thread_roots, waiting_in_read)
{
    check_thread(keep_on_stack, NULL, wait_in_read);
}

Test(thread_roots, waiting_in_nanosleep)
{
    check_thread(keep_on_stack, NULL, wait_in_nanosleep);
}

Test(thread_roots, waiting_for_a_condition)
{
    check_thread(keep_on_stack, NULL, wait_for_condition);
}

Test(thread_roots, computing)
{
    check_thread(keep_on_stack, NULL, wait_in_loop);
}

Test(thread_roots, allocating)
{
    check_thread(keep_on_stack, NULL, wait_allocating);
}

Test(thread_roots, in_gc_thread_blocking)
{
    check_thread(keep_on_stack, NULL, wait_in_gc_thread_blocking);
}

Test(thread_roots, waiting_for_the_lock)
{
    struct keeper *keeper = new_keeper(wait_for_the_lock);
    pthread_t thread;

    gc_init();
    cr_assert(pthread_create(&thread, NULL, keep_on_stack, keeper) == 0);
    while (!keeper->filled) {
        usleep(100);
        gc__world_lock(&gc__heap.world);
        if (keeper->filled)
            break;
        gc__world_unlock(&gc__heap.world);
    }
    usleep(10000);
    check_kept_then_gone(&keeper->place);
    gc__world_unlock(&gc__heap.world);
    release(keeper);
    cr_assert(pthread_join(thread, NULL) == 0);
    delete_keeper(keeper);
}

/* ---- Stacks ------------------------------------------------------------------------------ */

static void check_with_stack(void *stack, size_t bytes)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    cr_assert(pthread_attr_setstack(&attributes, stack, bytes) == 0);
    check_thread(keep_on_stack, &attributes, NULL);
    pthread_attr_destroy(&attributes);
}

Test(thread_roots, sizes_of_stacks)
{
    static const size_t bytes[] = {128 << 10, STACK_BYTES, 64 << 20};
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        cr_assert(pthread_attr_setstacksize(&attributes, bytes[i]) == 0);
        check_thread(keep_on_stack, &attributes, NULL);
    }
    pthread_attr_destroy(&attributes);
}

static void *new_stack(void)
{
    void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert(stack != MAP_FAILED);
    return stack;
}

Test(thread_roots, stack_that_was_mapped)
{
    check_with_stack(new_stack(), STACK_BYTES);
}

Test(thread_roots, stack_of_malloc)
{
    check_with_stack(malloc(STACK_BYTES), STACK_BYTES);
}

Test(thread_roots, stack_on_a_stack)
{
    static char in_bss[STACK_BYTES];
    char stack[STACK_BYTES];

    check_with_stack(stack, sizeof stack);
    check_with_stack(in_bss, sizeof in_bss);
}

/* Nothing in it is found as the object's contents. */
Test(thread_roots, stack_in_the_heap)
{
    void *volatile stack = gc_malloc_atomic(STACK_BYTES);

    check_with_stack(stack, STACK_BYTES);
}

static __attribute__((noinline)) void wait_deeper(unsigned levels, struct keeper *keeper)
{
    char frame[1 << 10];

    if (levels == 0)
        wait_in_read(keeper);
    else
        wait_deeper(levels - 1, keeper);
    __asm__ volatile("" : : "r"(frame) : "memory");
}

static void wait_far_down(struct keeper *keeper)
{
    wait_deeper(4 << 10, keeper);
}

Test(thread_roots, far_up_the_stack)
{
    check_thread(keep_on_stack, NULL, wait_far_down);
}

/* ---- Alternate stacks ------------------------------------------------------------------------ */

static struct keeper *in_handler;

static void handle(int signal)
{
    (void)signal;
    keep_on_stack(in_handler);
}

static void have_alternate_stack(void *stack, int flags)
{
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK};
    stack_t alternate = {.ss_sp = stack, .ss_size = STACK_BYTES, .ss_flags = flags};

    sigaltstack(&alternate, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

static void wait_in_handler(struct keeper *keeper)
{
    (void)keeper;
    raise(SIGUSR1);
}

static void *keep_with_alternate_stack(void *keeper)
{
    have_alternate_stack(malloc(STACK_BYTES), 0);
    return keep_on_stack(keeper);
}

#ifndef SS_AUTODISARM /* Linux 4.7 */
#define SS_AUTODISARM (1U << 31)
#endif

static void *keep_with_alternate_stack_disarmed(void *keeper)
{
    have_alternate_stack(malloc(STACK_BYTES), (int)SS_AUTODISARM);
    return keep_on_stack(keeper);
}

static void *keep_with_alternate_stack_within(void *keeper)
{
    char stack[STACK_BYTES];

    have_alternate_stack(stack, 0);
    return keep_on_stack(keeper);
}

/* The handler's objects, and those of what it interrupted. */
static void check_both_stacks(void *(*function)(void *keeper))
{
    struct keeper *keeper = new_keeper(wait_in_handler);
    pthread_t thread;

    in_handler = new_keeper(wait_in_read);
    cr_assert(pthread_create(&thread, NULL, function, keeper) == 0);
    await(&in_handler->filled);
    check_kept(&keeper->place);
    check_kept_then_gone(&in_handler->place);
    check_kept_then_gone(&keeper->place);
    release(in_handler);
    cr_assert(pthread_join(thread, NULL) == 0);
    delete_keeper(in_handler);
    delete_keeper(keeper);
}

Test(thread_roots, on_alternate_stack)
{
    check_both_stacks(keep_with_alternate_stack);
}

Test(thread_roots, on_alternate_stack_disarmed)
{
    check_both_stacks(keep_with_alternate_stack_disarmed);
}

Test(thread_roots, on_alternate_stack_within_the_usual_one)
{
    check_both_stacks(keep_with_alternate_stack_within);
}

Test(thread_roots, with_alternate_stack)
{
    check_thread(keep_with_alternate_stack, NULL, wait_in_read);
    check_thread(keep_with_alternate_stack_disarmed, NULL, wait_in_loop);
    check_thread(keep_with_alternate_stack_within, NULL, wait_in_loop);
}

/* ---- Coroutines --------------------------------------------------------------------------------- */

static void coroutine_main(void)
{
    keep_on_stack(in_handler);
}

static void wait_in_coroutine(struct keeper *keeper)
{
    ucontext_t caller, own;

    (void)keeper;
    getcontext(&own);
    own.uc_stack.ss_sp = malloc(STACK_BYTES);
    own.uc_stack.ss_size = STACK_BYTES;
    own.uc_link = &caller;
    makecontext(&own, coroutine_main, 0);
    swapcontext(&caller, &own);
}

static void *keep_above_coroutine(void *keeper)
{
    ((struct keeper *)keeper)->wait = wait_in_coroutine;
    return keep_on_stack(keeper);
}

Test(thread_roots, in_coroutine)
{
    check_both_stacks(keep_above_coroutine);
}

static struct keeper *_Atomic on_mapping;

static void keep_for_other(void)
{
    keep_on_stack(on_mapping);
}

static void *keep_on_mapping(void *keeper)
{
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    on_mapping = keeper;
    run_on_stack(hide(stack + STACK_BYTES), keep_for_other);
    munmap(stack, STACK_BYTES);
    return NULL;
}

/* It is stopped there, on a stack of which nobody told. */
Test(thread_roots, on_a_mapping_of_the_program)
{
    check_thread(keep_on_mapping, NULL, wait_in_loop);
    check_thread(keep_on_mapping, NULL, wait_in_read);
}

/* ---- Registers ------------------------------------------------------------------------------------- */

#if defined __x86_64__

struct spinner {
    spin_function *function;
    void *alternate_stack; /* NULL: none */
    struct place place;
    struct hidden held[SPIN_HELD], before[SPIN_HELD];
    struct spin spin;
};

static void *spin(void *argument)
{
    struct spinner *spinner = argument;

    if (spinner->alternate_stack != NULL)
        have_alternate_stack(spinner->alternate_stack, 0);
    clear_stack();
    spinner->function(spinner->held, &spinner->spin);
    return NULL;
}

/* The spinner is in memory where the collector does not look. */
static void make_spinner_wait(struct spinner *spinner, pthread_t *thread)
{
    spinner->spin = (struct spin){0, 0};
    memcpy(spinner->before, spinner->held, sizeof spinner->held);
    cr_assert(pthread_create(thread, NULL, spin, spinner) == 0);
    for (unsigned i = 0; spinner->spin.ready == 0; i++) {
        cr_assert(i < KEEPER_SECONDS * 10000);
        usleep(100);
    }
    memset(spinner->held, 0, sizeof spinner->held);
}

static void release_spinner(struct spinner *spinner, pthread_t thread)
{
    spinner->spin.released = 1;
    cr_assert(pthread_join(thread, NULL) == 0);
    cr_assert(memcmp(spinner->held, spinner->before, sizeof spinner->held) == 0, "registers have changed");
}

static void check_spinning(spin_function *function, void *alternate_stack)
{
    struct spinner *spinner = calloc(1, sizeof *spinner);
    pthread_t thread;

    spinner->function = function;
    spinner->alternate_stack = alternate_stack;
    spinner->place.count = SPIN_HELD;
    gc_disable(); /* nobody knows the objects until the thread spins */
    make_held(spinner->held, &spinner->place, 0);
    make_spinner_wait(spinner, &thread);
    gc_enable();
    check_kept(&spinner->place);
    release_spinner(spinner, thread);

    memset(spinner->held, 0xff, sizeof spinner->held); /* nothing */
    make_spinner_wait(spinner, &thread);
    collect_and_check_gone(&spinner->place);
    release_spinner(spinner, thread);
    free(spinner);
}

static void check_spinning_with_both_stacks(spin_function *function)
{
    check_spinning(function, NULL);
    check_spinning(function, malloc(STACK_BYTES));
}

Test(thread_roots, callee_saved_registers)
{
    check_spinning_with_both_stacks(spin_callee_saved);
}

Test(thread_roots, caller_saved_registers)
{
    check_spinning_with_both_stacks(spin_caller_saved);
}

Test(thread_roots, vector_registers)
{
    check_spinning_with_both_stacks(spin_vector);
}

Test(thread_roots, wide_vector_registers)
{
    if (!__builtin_cpu_supports("avx"))
        cr_skip_test("no AVX");
    check_spinning_with_both_stacks(spin_wide_vector);
}

Test(thread_roots, below_the_stack_pointer)
{
    check_spinning_with_both_stacks(spin_red_zone);
}

#endif

/* ---- Copies ------------------------------------------------------------------------------------------ */

static void *ring[WORDS];
static atomic_bool ring_stops;

/* memmove has in registers what it is about to write over. */
static void *turn_ring(void *unused)
{
    while (!ring_stops) {
        void *last = ring[WORDS - 1];

        memmove(ring + 1, ring, sizeof ring - sizeof ring[0]);
        ring[0] = last;
    }
    return unused;
}

Test(thread_roots, words_that_are_being_copied)
{
    struct hidden hidden[WORDS];
    pthread_t thread;

    for (size_t i = 0; i < WORDS; i++)
        hidden[i] = hide(ring[i] = gc_malloc(64));
    cr_assert(pthread_create(&thread, NULL, turn_ring, NULL) == 0);
    for (size_t i = 0; i < effort(300); i++)
        collect_with_clear_stack();
    ring_stops = true;
    cr_assert(pthread_join(thread, NULL) == 0);
    cr_assert(count_alive(hidden, WORDS) == WORDS);
}

/* ---- Data of the thread -------------------------------------------------------------------------------- */

static _Thread_local uintptr_t tls_data[WORDS] = {1};
static _Thread_local uintptr_t tls_bss[WORDS];

static void *keep_in_tls_data(void *keeper)
{
    keep(keeper, tls_data);
    return NULL;
}

static void *keep_in_tls_bss(void *keeper)
{
    keep(keeper, tls_bss);
    return NULL;
}

Test(thread_roots, thread_local_data)
{
    check_thread(keep_in_tls_data, NULL, wait_in_loop);
    check_thread(keep_in_tls_bss, NULL, wait_in_read);
}

static plugin_words *words_of_plugin;
static enum survive_plugin_place plugin_place;
static atomic_bool plugin_is_open;

static void *keep_in_plugin(void *keeper)
{
    await(&plugin_is_open);
    keep(keeper, words_of_plugin(plugin_place));
    return NULL;
}

static void open_and_take_words(void)
{
    words_of_plugin = words_in(open_plugin());
    plugin_is_open = true;
}

Test(thread_roots, library_opened_before)
{
    open_and_take_words();
    for (plugin_place = PLUGIN_TLS_DATA; plugin_place <= PLUGIN_TLS_BSS; plugin_place++)
        check_thread(keep_in_plugin, NULL, wait_in_read);
}

static void check_library_opened_later(enum survive_plugin_place place)
{
    struct keeper *keeper = new_keeper(wait_in_loop);
    pthread_t thread;

    plugin_place = place;
    cr_assert(pthread_create(&thread, NULL, keep_in_plugin, keeper) == 0);
    gc_collect();
    open_and_take_words();
    check_keeper(keeper, thread);
}

Test(thread_roots, library_opened_later)
{
    check_library_opened_later(PLUGIN_TLS_DATA);
}

Test(thread_roots, library_opened_later_bss)
{
    check_library_opened_later(PLUGIN_TLS_BSS);
}

/* More than the first block of 32. */
static pthread_key_t keys[WORDS];

static __attribute__((noinline)) void set_values(struct place *place)
{
    place->count = WORDS;
    for (size_t i = 0; i < WORDS; i++) {
        struct node *node = new_node(i);
        place->object[i] = hide(node);
        pthread_setspecific(keys[i], node);
    }
}

static atomic_bool are_to_go;

static void *keep_in_values(void *argument)
{
    struct keeper *keeper = argument;

    set_values(&keeper->place);
    clear_stack();
    keeper->filled = true;
    await(&are_to_go);
    for (size_t i = 0; i < WORDS; i++)
        pthread_setspecific(keys[i], NULL);
    keeper->filled = true;
    wait_in_read(keeper);
    return NULL;
}

Test(thread_roots, values_of_pthread_setspecific)
{
    struct keeper *keeper = new_keeper(NULL);
    pthread_t thread;

    if (dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific") == NULL)
        cr_skip_test("the C library does not say where they are");
    for (size_t i = 0; i < WORDS; i++)
        cr_assert(pthread_key_create(&keys[i], NULL) == 0);
    cr_assert(pthread_create(&thread, NULL, keep_in_values, keeper) == 0);
    await(&keeper->filled);
    check_kept(&keeper->place);
    keeper->filled = false;
    are_to_go = true;
    await(&keeper->filled);
    collect_and_check_gone(&keeper->place);
    release(keeper);
    cr_assert(pthread_join(thread, NULL) == 0);
}
