/* platform.h - the contract with the operating system and the processor.
 *
 * The only folder with OS and CPU conditionals and OS headers; configure
 * chooses the files behind this header. Everything above assumes what is said
 * here and no more.
 *
 * Threads: every function may be called by any thread, except where said.
 * Nothing here allocates from the heap or aborts. bool true means success. */
#ifndef GC_PLATFORM_PLATFORM_H
#define GC_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* [start, end) */
struct gc__range {
    uintptr_t start;
    uintptr_t end;
};

/* ---- Memory ------------------------------------------------------------- *
 * Addresses and sizes are multiples of gc__os_page_bytes(). */

size_t gc__os_page_bytes(void);

/* Address space without memory, not accessible, at a multiple of `alignment`
 * and at `hint` if it is free there (0: anywhere). NULL when refused. */
void *gc__os_reserve(size_t bytes, size_t alignment, uintptr_t hint);
void gc__os_release(void *start, size_t bytes);

/* Makes reserved memory readable and writable; it reads as zero until written.
 * Committing what is committed does nothing. */
bool gc__os_commit(void *start, size_t bytes);

/* Gives the memory of a committed range back; it stays accessible and reads
 * as zero. On failure the contents are as they were. */
bool gc__os_decommit(void *start, size_t bytes);

/* Moves the contents of committed [from, from + bytes) to committed
 * [to, to + bytes) without copying. `from` then reads as zero; what stood at
 * `to` is lost. The ranges do not overlap. On failure `from` is as it was, and
 * what stood at `to` may be lost all the same. */
bool gc__os_move(void *to, void *from, size_t bytes);

/* After a move to [start, start + bytes): joins the range with the mapping
 * around it again. Contents are lost, also on failure. */
bool gc__os_renew(void *start, size_t bytes);

/* Bytes of address space this process may still map; SIZE_MAX without limit. */
size_t gc__os_address_space_left(void);

/* ---- Roots -------------------------------------------------------------- */

/* The stack of the initial thread, as far as it may ever be used: its end is
 * the end of its mapping. */
struct gc__range gc__os_initial_stack(void);

/* The stack of the calling thread, likewise. */
struct gc__range gc__os_own_stack(void);

/* All of `stack` that was ever used. */
struct gc__range gc__os_whole_stack(struct gc__range stack);

/* What of the stacks of the calling thread is in use when its stack pointer
 * is `sp`: at most two ranges (an alternate stack, and then all of `normal`
 * that is mapped). Returns their number. */
unsigned gc__os_stacks_in_use(uintptr_t sp, struct gc__range normal, struct gc__range in_use[2]);

/* Returns `function(sp, call, a, b)`, called with the contents of all
 * callee-saved registers stored at or above `sp`. Its own frame has no word
 * that is not written: what lies at or above `sp` is the caller's, no more. */
typedef void *gc__os_spilled(uintptr_t sp, const char *call, uintptr_t a, uintptr_t b);
void *gc__os_spill_registers(gc__os_spilled *function, const char *call, uintptr_t a, uintptr_t b);

/* Calls `visit` for the writable data (data, bss, RELRO) of the program and of
 * every loaded library, less what is GC_OWN_STATE, and for what the calling thread has of its
 * own: thread-local blocks, and the values of pthread_setspecific. Takes the
 * loader's lock. */
void gc__os_each_data_segment(void (*visit)(struct gc__range range, void *argument), void *argument);

/* Places a variable among this library's own state, which is never a root. */
#define GC_OWN_STATE __attribute__((section("broom_state")))

/* ---- Waiting ------------------------------------------------------------- *
 * Neither is a point of cancellation; errno is unharmed. */

/* Sleeps while `*word` is `value`, at most for `timeout_ns` (UINT64_MAX: for
 * ever). May return early. Async-signal-safe. */
void gc__os_wait(_Atomic uint32_t *word, uint32_t value, uint64_t timeout_ns);

/* Wakes up to `count` of those who sleep. Async-signal-safe. */
void gc__os_wake(_Atomic uint32_t *word, uint32_t count);

/* ---- The rest ------------------------------------------------------------ */

uint64_t gc__os_clock_ns(void); /* monotonic */
long gc__os_thread_id(void);

/* Whether a tool (a sanitizer) wants the address space for itself, so that no
 * address should be asked for. */
bool gc__os_address_is_free(void);

#endif
