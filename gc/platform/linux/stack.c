#define _GNU_SOURCE
#include "gc/platform/platform.h"

#include "gc/base/align.h"
#include "gc/base/tunables.h"
#include "gc/platform/linux/probe.h"
#include "gc/platform/linux/stack.h"

#include <pthread.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

/* glibc: the stack pointer at the program's entry. */
extern void *__libc_stack_end;

/* The kernel puts the program's file name at the very end of the initial
 * stack, behind it only one zero word. Needs no /proc. */
static uintptr_t initial_stack_end(void)
{
    const char *file_name = (const char *)getauxval(AT_EXECFN);
    uintptr_t end = (uintptr_t)__libc_stack_end;

    if (file_name != NULL && (uintptr_t)file_name > end)
        end = (uintptr_t)file_name + strlen(file_name) + 1;
    return gc__align_up(end, gc__os_page_bytes());
}

struct gc__range gc__os_initial_stack(void)
{
    struct gc__range stack = {0, initial_stack_end()};
    struct rlimit limit;
    uintptr_t bytes = (uintptr_t)1 << 30; /* a stack without limit */

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < bytes)
        bytes = limit.rlim_cur;
    stack.start = stack.end - gc__align_up(bytes, gc__os_page_bytes());
    return stack;
}

bool gc__os_is_initial_stack(struct gc__range stack)
{
    return stack.end == initial_stack_end();
}

bool gc__os_has_guard(struct gc__range stack)
{
    uintptr_t page = stack.start - gc__os_page_bytes();

    return gc__page_is_mapped(page) && !gc__page_is_readable(page);
}

/* ---- Whose it is ---------------------------------------------------------------- */

GC_OWN_STATE static struct {
    _Atomic uintptr_t handle; /* of the thread of the initial stack, if it was the last to fork */
    _Atomic bool left;        /* that thread forked no child that we are, or a child of */
} initial;

static bool is_initial_thread(void)
{
    return !initial.left && gettid() == getpid();
}

void gc__stack_note_fork(void)
{
    initial.handle = is_initial_thread() ? gc__os_thread_handle() : 0;
}

void gc__stack_note_child(void)
{
    initial.left = initial.left || initial.handle != gc__os_thread_handle();
}

/* How far down `stack` may reach. The limit of the initial one may have been
 * raised since, or be none: there only what is mapped decides. */
static uintptr_t lowest(struct gc__range stack)
{
    return gc__os_is_initial_stack(stack) ? gc__os_page_bytes() : stack.start;
}

/* Pages that are mapped are not touched if they are not readable either. */
struct gc__range gc__os_whole_stack(struct gc__range stack)
{
    size_t page = gc__os_page_bytes();
    uintptr_t start = stack.end;

    while (start > lowest(stack) && gc__page_is_mapped(start - page) && gc__page_is_readable(start - page))
        start -= page;
    return (struct gc__range){start, stack.end};
}

/* The limit of the initial stack says how far it may grow, not that nothing else
 * lies there: another stack does not hang together with it. */
static bool is_on_stack(uintptr_t sp, struct gc__range stack)
{
    return sp >= lowest(stack) && sp < stack.end &&
           (!gc__os_is_initial_stack(stack) || gc__all_is_mapped(sp, stack.end));
}

struct gc__range gc__alternate_stack(const stack_t *alternate)
{
    uintptr_t start = (uintptr_t)alternate->ss_sp;

    if ((alternate->ss_flags & SS_DISABLE) != 0)
        return (struct gc__range){0, 0};
    return (struct gc__range){start, start + alternate->ss_size};
}

static bool range_holds(struct gc__range range, uintptr_t address)
{
    return address >= range.start && address < range.end;
}

_Thread_local struct gc__range gc__disarming_stack;
_Thread_local bool gc__has_stacks_within;

struct gc__range gc__alternate_stack_at(const stack_t *alternate, uintptr_t sp)
{
    return range_holds(gc__disarming_stack, sp) ? gc__disarming_stack : gc__alternate_stack(alternate);
}

struct gc__context gc__os_context_of(uintptr_t sp)
{
    struct gc__context context = {.sp = sp, .interrupted_sp = sp, .has_stacks_within = gc__has_stacks_within};
    stack_t alternate;

    if (sigaltstack(NULL, &alternate) == 0)
        context.alternate = gc__alternate_stack_at(&alternate, sp);
    return context;
}

bool gc__os_is_on_alternate_stack(uintptr_t sp)
{
    return range_holds(gc__os_context_of(sp).alternate, sp);
}

/* The stack that `sp` stands in from there on, and all of the thread's normal
 * one if that is another: a coroutine's, say. One within the normal one has frames below it. */
static unsigned stack_from(uintptr_t sp, bool has_stacks_within, struct gc__range normal, struct gc__range *in_use)
{
    if (is_on_stack(sp, normal)) {
        in_use[0] = has_stacks_within ? gc__os_whole_stack(normal) : (struct gc__range){sp, normal.end};
        return 1;
    }
    in_use[0] = (struct gc__range){sp, gc__readable_end(sp, sp + GC_FOREIGN_STACK_BYTES)};
    in_use[1] = gc__os_whole_stack(normal);
    return 2;
}

/* The alternate stack comes first: it may itself lie in another. */
unsigned gc__os_stacks_in_use(const struct gc__context *context, struct gc__range normal, struct gc__range in_use[3])
{
    if (!range_holds(context->alternate, context->sp))
        return stack_from(context->sp, context->has_stacks_within, normal, in_use);
    in_use[0] = (struct gc__range){context->sp, context->alternate.end};
    if (!range_holds(context->alternate, context->interrupted_sp))
        return 1 + stack_from(context->interrupted_sp, context->has_stacks_within, normal, &in_use[1]);
    in_use[1] = gc__os_whole_stack(normal); /* how far it was used when a handler came, nobody knows */
    return 2;
}

/* ---- The calling thread's stack ------------------------------------------------- */

/* Of the process's first thread nothing is asked of the C library, which would
 * read /proc. */
struct gc__range gc__os_own_stack(void)
{
    struct gc__range stack = {0, 0};
    pthread_attr_t attributes;
    void *start;
    size_t bytes;

    if (is_initial_thread() || pthread_getattr_np(pthread_self(), &attributes) != 0)
        return gc__os_initial_stack();
    if (pthread_attr_getstack(&attributes, &start, &bytes) == 0)
        stack = (struct gc__range){(uintptr_t)start, (uintptr_t)start + bytes};
    pthread_attr_destroy(&attributes);
    return stack;
}

static struct gc__range stack_below(uintptr_t end)
{
    return gc__os_whole_stack((struct gc__range){end - gc__min(end, GC_FOREIGN_STACK_BYTES), end});
}

static bool hangs_together(uintptr_t start, uintptr_t end)
{
    return start < end && end - start <= GC_FOREIGN_STACK_BYTES && gc__readable_end(start, end) >= end;
}

/* The C library puts a thread's descriptor, which the thread pointer shows, at
 * the upper end of its stack. The lower one is a guard, or no memory; to look for it
 * takes milliseconds and touches every page, so that is done only where the thread is
 * found on another stack. */
struct gc__range gc__os_interrupted_stack(const struct gc__context *context, struct gc__range known)
{
    uintptr_t sp = range_holds(context->alternate, context->sp) ? context->interrupted_sp : context->sp;
    uintptr_t end = gc__align_up(gc__os_thread_pointer(), gc__os_page_bytes());

    if (is_initial_thread())
        return gc__os_initial_stack();
    if (!gc__os_thread_pointer_is_own())
        return known.end != 0 ? known : gc__os_stack_around(sp);
    if (known.end != end)
        known = (struct gc__range){end, end};
    if (range_holds(known, sp))
        return known;
    if (hangs_together(sp, known.start))
        return (struct gc__range){gc__align_down(sp, gc__os_page_bytes()), end};
    return (struct gc__range){stack_below(known.start).start, end};
}

struct gc__range gc__os_stack_around(uintptr_t sp)
{
    return stack_below(gc__readable_end(sp, sp + GC_FOREIGN_STACK_BYTES));
}
