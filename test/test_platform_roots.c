/* test_platform_roots.c - where the roots of a process are: stacks, registers,
 * data segments, what a thread has of its own. */
#define _GNU_SOURCE
#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/cycle/heap.h"
#include "test/child.h"
#include "test/mappings.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* ---- Stacks -------------------------------------------------------------------------------- */

static bool range_holds(struct gc__range range, const void *address)
{
    return (uintptr_t)address >= range.start && (uintptr_t)address < range.end;
}

TestSuite(stacks, .init = learn_page_size);

Test(stacks, the_initial_stack_reaches_from_below_this_frame_to_the_end_of_its_mapping)
{
    struct gc__range stack = gc__os_initial_stack(), mapping = {0, 0};
    char local = 0;

    cr_assert(range_holds(stack, &local));
    cr_assert(range_holds(stack, (const void *)getauxval(AT_EXECFN)));
    cr_assert_eq(stack.end % page, 0);
    cr_assert_eq(stack.start % page, 0);
    cr_assert_eq(find_mappings(&local, &local + 1, &mapping), 1);
    cr_assert_eq(stack.end, mapping.end);
    cr_assert_leq(stack.start, mapping.start);
}

/* Run by this program when it is started with BROOM_TEST_LARGE_ENVIRONMENT set,
 * before Criterion begins: the end status says whether the whole environment is
 * in the stack. */
static __attribute__((constructor)) void look_for_environment(void)
{
    const char *text = getenv("BROOM_TEST_LARGE_ENVIRONMENT");

    if (text != NULL)
        _exit(range_holds(gc__os_initial_stack(), text + strlen(text)) ? 0 : 1);
}

static void start_with_large_environment(void)
{
    static char variable[100 << 10] = "BROOM_TEST_LARGE_ENVIRONMENT=";
    char *arguments[] = {variable, NULL}, *environment[] = {variable, NULL};

    memset(variable + strlen(variable), 'x', sizeof variable - 1 - strlen(variable));
    execve("/proc/self/exe", arguments, environment);
}

Test(stacks, the_initial_stack_has_a_large_environment_too)
{
    struct child child = child_run(start_with_large_environment);

    cr_assert(child_returned(&child), "%s", child.text);
}

static unsigned stacks_in_use(uintptr_t sp, struct gc__range normal, struct gc__range in_use[3])
{
    struct gc__context context = gc__os_context_of(sp);

    return gc__os_stacks_in_use(&context, normal, in_use);
}

Test(stacks, on_the_normal_stack_that_is_in_use_from_the_stack_pointer_on)
{
    struct gc__range normal = gc__os_initial_stack(), in_use[3];
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);

    cr_assert_eq(stacks_in_use(sp, normal, in_use), 1);
    cr_assert_eq(in_use[0].start, sp);
    cr_assert_eq(in_use[0].end, normal.end);
}

Test(stacks, the_stack_pointer_may_stand_at_the_lowest_address)
{
    struct gc__range used = gc__os_whole_stack(gc__os_initial_stack()), in_use[3];

    cr_assert_eq(stacks_in_use(used.start, used, in_use), 1);
    cr_assert_eq(in_use[0].start, used.start);
}

/* The limit of the stack may have been raised over what was there already. */
Test(stacks, another_mapping_within_the_limit_of_the_stack_is_not_the_stack)
{
    char *foreign = committed(2 * page);
    struct gc__range normal = gc__os_initial_stack(), in_use[3];

    normal.start = (uintptr_t)foreign;
    cr_assert_eq(stacks_in_use((uintptr_t)foreign + 64, normal, in_use), 2);
    cr_assert_eq(in_use[0].start, (uintptr_t)foreign + 64);
    cr_assert_eq(in_use[1].end, normal.end);
}

static __attribute__((noinline)) uintptr_t use_stack(size_t bytes)
{
    volatile char local[4096];

    for (size_t i = 0; i < sizeof local; i++)
        local[i] = 1;
    if (bytes > sizeof local)
        return use_stack(bytes - sizeof local);
    return (uintptr_t)__builtin_frame_address(0);
}

Test(stacks, the_whole_stack_is_all_that_was_ever_used)
{
    uintptr_t deepest = use_stack(MIB);
    struct gc__range stack = gc__os_initial_stack();
    struct gc__range whole = gc__os_whole_stack(stack);

    cr_assert_leq(whole.start, deepest);
    cr_assert_geq(whole.start, stack.start);
    cr_assert_eq(whole.end, stack.end);
    for (uintptr_t at = whole.start; at < whole.end; at += page)
        cr_assert(is_readable((char *)at));
}

Test(stacks, asking_for_the_whole_stack_does_not_make_it_grow)
{
    struct gc__range stack = gc__os_initial_stack();

    cr_assert_eq(gc__os_whole_stack(stack).start, gc__os_whole_stack(stack).start);
    cr_assert_gt(gc__os_whole_stack(stack).start, stack.start);
}

/* What another stack found out about itself. */
static struct {
    unsigned count;
    struct gc__range in_use[3];
    const char *local;
} seen;

/* Some pages below the stack's end. */
static void look_around(void)
{
    char local[64 << 10];

    memset(local, 0, sizeof local);
    seen.local = local;
    seen.count = stacks_in_use((uintptr_t)local, gc__os_initial_stack(), seen.in_use);
}

static void look_around_in_handler(int signal_number)
{
    (void)signal_number;
    look_around();
}

static void assert_seen(const char *other_stack_end, const char *normal_local)
{
    cr_assert_eq(seen.count, 2);
    cr_assert_eq(seen.in_use[0].start, (uintptr_t)seen.local);
    cr_assert_eq(seen.in_use[0].end, (uintptr_t)other_stack_end);
    cr_assert(range_holds(seen.in_use[1], normal_local));
    cr_assert_eq(seen.in_use[1].end, gc__os_initial_stack().end);
}

Test(stacks, on_an_alternate_stack_both_are_in_use)
{
    static char memory[256 << 10]; /* what lies behind is readable, but no stack */
    stack_t alternate = {.ss_sp = memory, .ss_size = sizeof memory};
    struct sigaction action = {.sa_handler = look_around_in_handler, .sa_flags = SA_ONSTACK};
    char local = 0;

    cr_assert_eq(sigaltstack(&alternate, NULL), 0);
    cr_assert_eq(sigaction(SIGUSR1, &action, NULL), 0);
    raise(SIGUSR1);
    assert_seen(memory + sizeof memory, &local);
}

static ucontext_t here, there;

/* Makes `look_around` run on [stack, stack + bytes). */
static void look_around_on(char *stack, size_t bytes)
{
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = bytes;
    there.uc_link = &here;
    makecontext(&there, look_around, 0);
    swapcontext(&here, &there);
}

Test(stacks, on_a_mapped_stack_that_is_in_use_to_the_end_of_what_is_readable)
{
    char *memory = gc__os_reserve(MIB + page, page, 0);
    char local = 0;

    cr_assert(gc__os_commit(memory, MIB)); /* the last page is a fence */
    look_around_on(memory, MIB);
    assert_seen(memory + MIB, &local);
}

Test(stacks, an_alternate_stack_that_is_not_used_does_not_matter)
{
    static char unused[64 << 10];
    stack_t alternate = {.ss_sp = unused, .ss_size = sizeof unused};
    char *memory = gc__os_reserve(MIB + page, page, 0);
    char local = 0;

    cr_assert_eq(sigaltstack(&alternate, NULL), 0);
    cr_assert(gc__os_commit(memory, MIB));
    look_around_on(memory, MIB);
    assert_seen(memory + MIB, &local);
}

Test(stacks, looking_keeps_errno)
{
    struct gc__range in_use[3];
    char *memory = gc__os_reserve(2 * page, page, 0);

    cr_assert(gc__os_commit(memory, page));
    errno = 4321;
    stacks_in_use((uintptr_t)memory, gc__os_initial_stack(), in_use);
    cr_assert_eq(errno, 4321);
}

/* ---- Registers --------------------------------------------------------------------------------- */

/* What a register holds here stands nowhere else in memory. */
static uint64_t hidden(unsigned number)
{
    return UINT64_C(0x9e3779b97f4a7c15) * (number + 101);
}

struct spilled {
    uintptr_t frame; /* of the caller: what was spilled lies below */
    unsigned calls;
    bool arguments_came;
    unsigned found[8]; /* how often hidden(i) was */
};

static __attribute__((noinline, no_sanitize("address"))) void *search(uintptr_t sp, const char *call, uintptr_t a,
                                                                      uintptr_t b)
{
    struct spilled *spilled = (struct spilled *)a;

    spilled->calls++;
    spilled->arguments_came = call != NULL && strcmp(call, "call") == 0 && b == 5;
    for (const uint64_t *word = (const uint64_t *)sp; (uintptr_t)word < spilled->frame; word++)
        for (unsigned i = 0; i < 8; i++)
            if (*word == hidden(i))
                spilled->found[i]++;
    return spilled->found;
}

Test(registers, the_function_is_called_once_with_its_arguments_on_this_stack)
{
    struct spilled spilled = {.frame = (uintptr_t)__builtin_frame_address(0)};

    cr_assert_eq(gc__os_spill_registers(search, "call", (uintptr_t)&spilled, 5), spilled.found);
    cr_assert_eq(spilled.calls, 1);
    cr_assert(spilled.arguments_came);
}

static void *return_stack_pointer(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b)
{
    (void)call, (void)a, (void)b;
    return (void *)sp;
}

Test(registers, the_stack_pointer_is_below_the_caller_and_aligned)
{
    char *frame = __builtin_frame_address(0);
    void *sp = gc__os_spill_registers(return_stack_pointer, NULL, 0, 0);

    cr_assert_lt((char *)sp, frame);
    cr_assert_gt((char *)sp, frame - 64 * 1024);
    cr_assert_eq((uintptr_t)sp % 16, 0);
}

#ifdef __x86_64__
/* Calls with hidden(0) ... hidden(5) in rbx, rbp, r12 ... r15, and stores what
 * these hold afterwards to after[0 ... 5]. The stack the compiler may use below
 * its stack pointer, and its frame pointer, are kept. */
static __attribute__((noinline)) void call_with_hidden(struct spilled *spilled, uint64_t after[6])
{
    gc__os_spilled *function = search;
    const char *call = NULL;
    uint64_t values[6];
    register const uint64_t *from __asm__("r8") = values;

    for (unsigned i = 0; i < 6; i++)
        values[i] = ~hidden(i);
    __asm__ volatile("movq %%rsp, %%rax\n\t"
                     "subq $128, %%rsp\n\t"
                     "andq $-16, %%rsp\n\t"
                     "pushq %%rax\n\t"
                     "pushq %%rbp\n\t"
                     "pushq %[after]\n\t"
                     "pushq %%rax\n\t"
                     "movq 0(%[values]), %%rbx\n\t"
                     "movq 16(%[values]), %%r12\n\t"
                     "movq 24(%[values]), %%r13\n\t"
                     "movq 32(%[values]), %%r14\n\t"
                     "movq 40(%[values]), %%r15\n\t"
                     "movq 8(%[values]), %%rbp\n\t"
                     "notq %%rbx\n\t"
                     "notq %%rbp\n\t"
                     "notq %%r12\n\t"
                     "notq %%r13\n\t"
                     "notq %%r14\n\t"
                     "notq %%r15\n\t"
                     "call gc__os_spill_registers\n\t"
                     "popq %%rax\n\t"
                     "popq %%rcx\n\t"
                     "movq %%rbx, 0(%%rcx)\n\t"
                     "movq %%rbp, 8(%%rcx)\n\t"
                     "movq %%r12, 16(%%rcx)\n\t"
                     "movq %%r13, 24(%%rcx)\n\t"
                     "movq %%r14, 32(%%rcx)\n\t"
                     "movq %%r15, 40(%%rcx)\n\t"
                     "popq %%rbp\n\t"
                     "popq %%rsp"
                     : "+D"(function), "+S"(call), "+d"(spilled), [values] "+r"(from)
                     : [after] "c"(after)
                     : "rax", "rbx", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "cc", "memory", "xmm0", "xmm1",
                       "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}

Test(registers, every_callee_saved_one_is_found_and_restored)
{
    struct spilled spilled = {.frame = (uintptr_t)__builtin_frame_address(0)};
    uint64_t after[6] = {0};

    call_with_hidden(&spilled, after);
    for (unsigned i = 0; i < 6; i++) {
        cr_assert_geq(spilled.found[i], 1, "register %u was not found", i);
        cr_assert_eq(after[i], hidden(i), "register %u was changed", i);
    }
    cr_assert_eq(spilled.found[6] + spilled.found[7], 0, "else the search finds anything");
}
#endif

/* ---- Data segments --------------------------------------------------------------------------------- */

static uintptr_t in_data = 1;
static uintptr_t in_bss;
static _Thread_local uintptr_t in_thread_data = 1;
static _Thread_local uintptr_t in_thread_bss;
static void *const relocated __attribute__((used)) = &in_data;

struct search_in_segments {
    const void *address;
    unsigned found;
};

/* All that is found without looking at stacks. */
static void each_range(void (*visit)(struct gc__range range, void *argument), void *argument)
{
    gc__os_look_up_names();
    gc__os_prepare_thread_areas();
    gc__os_each_data_segment(visit, argument);
    gc__os_each_thread_area(gc__os_thread_pointer(), visit, argument);
}

static void search_segment(struct gc__range range, void *argument)
{
    struct search_in_segments *search_for = argument;

    if (range_holds(range, search_for->address))
        search_for->found++;
}

static unsigned segments_with(const void *address)
{
    struct search_in_segments search_for = {address, 0};

    each_range(search_segment, &search_for);
    return search_for.found;
}

Test(segments, have_the_program_s_data)
{
    in_bss++;
    cr_assert_eq(segments_with(&in_data), 1);
    cr_assert_eq(segments_with(&in_bss), 1);
    cr_assert_eq(segments_with(&relocated), 1, "constants that the loader relocates");
}

Test(segments, have_this_thread_s_variables)
{
    in_thread_bss++;
    cr_assert_eq(segments_with(&in_thread_data), 1);
    cr_assert_eq(segments_with(&in_thread_bss), 1);
    cr_assert_eq(segments_with(&errno), 1, "a library's");
}

Test(segments, have_the_data_of_libraries)
{
    cr_assert_eq(segments_with(stdout), 1);
}

Test(segments, do_not_have_the_collector_s_own_state)
{
    cr_assert_eq(segments_with(&gc__heap), 0);
    cr_assert_eq(segments_with((char *)&gc__heap + sizeof gc__heap - 1), 0);
    cr_assert_eq(segments_with(&gc__sizeclasses), 0);
}

Test(segments, do_not_have_stacks_and_code)
{
    int local = 0;

    cr_assert_eq(segments_with(&local), 0);
    cr_assert_eq(segments_with((const void *)(uintptr_t)&gc__os_clock_ns), 0);
    cr_assert_eq(segments_with("a text"), 0);
}

/* More than glibc keeps in the thread's descriptor itself. */
#define KEYS 100

struct search_for_values {
    uintptr_t first; /* of KEYS values in a row */
    bool found[KEYS];
};

static __attribute__((no_sanitize("address"))) void search_for_values(struct gc__range range, void *argument)
{
    struct search_for_values *search_for = argument;

    for (const uintptr_t *word = (const uintptr_t *)range.start; word < (const uintptr_t *)range.end; word++)
        if (*word - search_for->first < KEYS)
            search_for->found[*word - search_for->first] = true;
}

/* The number of this thread's values, of those it sets, that are found. */
static void *count_values(void *argument)
{
    struct search_for_values search_for = {.first = (uintptr_t)argument};
    pthread_key_t keys[KEYS];
    uintptr_t count = 0;

    for (uintptr_t i = 0; i < KEYS; i++)
        if (pthread_key_create(&keys[i], NULL) != 0 || pthread_setspecific(keys[i], (char *)argument + i) != 0)
            return NULL;
    each_range(search_for_values, &search_for);
    for (unsigned i = 0; i < KEYS; i++)
        count += search_for.found[i];
    for (unsigned i = 0; i < KEYS; i++)
        pthread_key_delete(keys[i]);
    return (void *)count;
}

Test(segments, have_this_thread_s_values_of_pthread_setspecific)
{
    void *count = NULL;
    pthread_t thread;

    if (dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific") == NULL)
        cr_skip_test("the C library does not say where they are");
    cr_assert_eq((uintptr_t)count_values((void *)(uintptr_t)hidden(20)), KEYS);
    cr_assert_eq(pthread_create(&thread, NULL, count_values, (void *)(uintptr_t)hidden(21)), 0);
    pthread_join(thread, &count);
    cr_assert_eq((uintptr_t)count, KEYS);
}

static void read_segment(struct gc__range range, void *argument)
{
    unsigned *count = argument;

    ++*count;
    cr_assert_lt(range.start, range.end);
    cr_assert_eq(range.start % sizeof(void *), 0);
    cr_assert_eq(range.end % sizeof(void *), 0);
    for (uintptr_t at = range.start; at < range.end; at += gc__os_page_bytes())
        cr_assert(is_readable((void *)at));
    cr_assert(is_readable((char *)range.end - 1));
}

Test(segments, are_aligned_and_readable)
{
    unsigned count = 0;

    each_range(read_segment, &count);
    cr_assert_gt(count, 3);
}
