/* place.h - a place where a program may keep its only pointers to objects, and
 * whether the collector looks there.
 *
 * Each place is tried twice: with pointers in it the objects must be intact
 * after a collection; then the same words are complemented, and nearly all the
 * objects must be gone. So it was this place that held them. */
#ifndef TEST_PLACE_H
#define TEST_PLACE_H

#include "test/hidden.h"
#include "test/registers.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { WORDS = 64 }; /* pointers in a place */

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
static inline size_t node_bytes(size_t id)
{
    static const size_t bytes[] = {sizeof(struct node), 24, 40, 128, 640, 5000, 32768, 81920};

    return bytes[id % (sizeof bytes / sizeof bytes[0])];
}

static inline struct node *new_node(size_t id)
{
    struct node *node = gc_malloc(node_bytes(id));
    struct node *child = gc_malloc(node_bytes(id / 2));

    child->id = ~id;
    node->id = id;
    node->child = (struct node *)((char *)child + sizeof *child / 2);
    return node;
}

static inline bool node_is_intact(struct hidden hidden, size_t id)
{
    const struct node *node = reveal(hidden), *child;

    if (!is_alive(hidden) || node->id != id)
        return false;
    child = gc_base(node->child);
    return child != NULL && child->id == ~id;
}

/* Memory that was reclaimed by mistake is not what it was after this. */
static inline void overwrite_free_memory(void)
{
    for (size_t i = 0; i < 2000; i++) {
        size_t bytes = node_bytes(i);
        memset(gc_malloc(bytes), 0x5a, bytes);
    }
}

/* ---- Places --------------------------------------------------------------------- */

static __attribute__((noinline, unused)) void fill(struct place *place)
{
    uintptr_t *word = reveal(place->words);

    for (size_t i = 0; i < place->count; i++) {
        struct node *node = new_node(i);
        place->object[i] = hide(node);
        word[i] = (uintptr_t)node + place->offset[i];
    }
}

static __attribute__((noinline, unused)) void complement(const struct place *place)
{
    uintptr_t *word = reveal(place->words);

    for (size_t i = 0; i < place->count; i++)
        word[i] = ~word[i];
}

static inline void check_intact(const struct place *place)
{
    for (size_t i = 0; i < place->count; i++)
        cr_assert(node_is_intact(place->object[i], i), "object %zu of %zu bytes is lost", i, node_bytes(i));
}

static inline void collect_and_check_intact(const struct place *place)
{
    collect_with_clear_stack();
    overwrite_free_memory();
    check_intact(place);
}

static inline void collect_and_check_gone(const struct place *place)
{
    size_t alive;

    collect_with_clear_stack();
    alive = count_alive(place->object, place->count);
    cr_assert(alive <= place->count / 2, "%zu of %zu objects were held from elsewhere", alive, place->count);
}

/* The words are roots: with pointers in them the objects are held, else not. */
static __attribute__((noinline, unused)) void check_roots(struct hidden words, size_t count)
{
    struct place place = {.words = words, .count = count};

    fill(&place);
    collect_and_check_intact(&place);
    complement(&place);
    collect_and_check_gone(&place);
}

/* As above, with pointers into the objects and not at them. */
static __attribute__((noinline, unused)) void check_interior_roots(struct hidden words)
{
    struct place place = {.words = words, .count = WORDS};

    for (size_t i = 0; i < WORDS; i++)
        place.offset[i] = (i * 97 + 1) % node_bytes(i);
    fill(&place);
    collect_and_check_intact(&place);
    complement(&place);
    collect_and_check_gone(&place);
}

static inline void check_array(uintptr_t *words)
{
    check_roots(hide(words), WORDS);
    check_interior_roots(hide(words));
}

/* ---- Registers ------------------------------------------------------------ */

static inline void collect_and_overwrite(void)
{
    gc_collect();
    overwrite_free_memory();
}

/* Objects of which only the registers know. */
static __attribute__((noinline, unused)) void make_held(struct hidden pointer[HELD_REGISTERS], struct place *place,
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

static inline void check_registers(void (*function)(void), size_t offset_of_pointer)
{
    struct place place = {.count = HELD_REGISTERS};
    struct hidden pointer[HELD_REGISTERS];

    make_held(pointer, &place, offset_of_pointer);
    clear_stack();
    hold_in_registers(pointer, function);
    check_intact(&place);
}

#endif
