/* exhaustion.h - what tests of exhaustion share: a list of objects that are
 * checked, and children that must succeed in silence. */
#ifndef TEST_EXHAUSTION_H
#define TEST_EXHAUSTION_H

#include "test/child.h"
#include "test/hidden.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* In children, and in processes without Criterion. */
#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* A list, its nodes filled with their number. */
struct node {
    struct node *next;
    size_t bytes;
    unsigned char fill;
};

static struct node **node_list; /* in malloc memory, a root */

static inline void start_list(void)
{
    node_list = calloc(1, sizeof(struct node *));
    REQUIRE(gc_add_roots(node_list, node_list + 1) == 0);
}

/* The first and last KiB, or all. */
static inline void fill_node(struct node *node)
{
    unsigned char *byte = (unsigned char *)node;
    size_t first = node->bytes < 2 * KIB ? node->bytes : KIB;

    memset(byte + sizeof *node, node->fill, first - sizeof *node);
    if (first < node->bytes)
        memset(byte + node->bytes - KIB, node->fill, KIB);
}

static inline bool node_is_intact(const struct node *node)
{
    const unsigned char *byte = (const unsigned char *)node;
    size_t first = node->bytes < 2 * KIB ? node->bytes : KIB;

    if (gc_base(node) != node || gc_usable_size(node) < node->bytes)
        return false;
    for (size_t i = sizeof *node; i < first; i++)
        if (byte[i] != node->fill)
            return false;
    for (size_t i = node->bytes - KIB; first < node->bytes && i < node->bytes; i++)
        if (byte[i] != node->fill)
            return false;
    return true;
}

/* False, with ENOMEM, when there is no memory. */
static inline bool add_node(size_t bytes)
{
    struct node *node;

    if (bytes < sizeof *node)
        bytes = sizeof *node;
    errno = 0;
    node = gc_malloc(bytes);
    if (node == NULL) {
        REQUIRE(errno == ENOMEM);
        return false;
    }
    for (size_t i = 0; i < bytes; i += 61)
        REQUIRE(((const char *)node)[i] == 0);
    node->bytes = bytes;
    node->fill = (unsigned char)(*node_list == NULL ? 1 : (*node_list)->fill + 1);
    node->next = *node_list;
    fill_node(node);
    *node_list = node;
    return true;
}

static inline size_t count_nodes(void)
{
    size_t count = 0;

    for (const struct node *node = *node_list; node != NULL; node = node->next, count++)
        REQUIRE(node_is_intact(node));
    return count;
}

/* Allocates until there is no more. Returns the bytes of memory that took. */
static __attribute__((noinline, unused)) size_t fill_heap(size_t bytes)
{
    size_t before = count_nodes(), nodes = 0;

    while (add_node(bytes))
        nodes++;
    REQUIRE(count_nodes() == before + nodes);
    return nodes == 0 ? 0 : nodes * ((gc_usable_size(*node_list) + 15) / 16 * 16);
}

/* Node by node, so that no stack word by chance holds them all. */
static __attribute__((noinline, unused)) void drop_list(void)
{
    while (*node_list != NULL) {
        struct node *next = (*node_list)->next;
        (*node_list)->next = NULL;
        *node_list = next;
    }
    clear_stack();
}

/* That a machine is far too busy may be said at any time. */
static inline void forget_starvation(struct child *child)
{
    char *found, *line, *end;

    while ((found = strstr(child->text, "it gets no CPU")) != NULL && (end = strchr(found, '\n')) != NULL) {
        for (line = found; line > child->text && line[-1] != '\n'; line--)
            ;
        memmove(line, end + 1, strlen(end + 1) + 1);
        child->length = strlen(child->text);
    }
}

/* Runs a function in a child: it must succeed, and say nothing. */
static inline void check_child(void (*function)(void))
{
    struct child child = child_run(function);

    forget_starvation(&child);
    cr_assert(child_returned(&child), "status %d: %s", child.status, child.text);
    cr_assert(child.length == 0, "%s", child.text);
}

#endif
