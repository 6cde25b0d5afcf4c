#include "gc/mark/pool.h"

#include "gc/base/align.h"
#include "gc/base/check.h"
#include "gc/platform/platform.h"

#include <stdatomic.h>
#include <string.h>

/* ---- Stacks of packets ------------------------------------------------------------ */

#define TAG_ONE ((uint64_t)1 << 32)

static uint64_t head_of(const struct packet_stack *stack)
{
    return __atomic_load_n(&stack->head, __ATOMIC_SEQ_CST);
}

static bool is_empty(uint64_t head)
{
    return (uint32_t)head == 0;
}

static uint64_t next_head(uint64_t head, uint32_t first)
{
    return ((head & ~(TAG_ONE - 1)) + TAG_ONE) | first;
}

static bool change_head(struct packet_stack *stack, uint64_t *head, uint32_t first)
{
    return __atomic_compare_exchange_n(&stack->head, head, next_head(*head, first), true, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static void push(struct pool *pool, struct packet_stack *stack, struct packet *packet)
{
    uint64_t head = head_of(stack);

    do
        __atomic_store_n(&packet->below, (uint32_t)head, __ATOMIC_RELAXED);
    while (!change_head(stack, &head, (uint32_t)(packet - pool->packets) + 1));
}

/* What is read as `below` may be out of date when another marker was faster:
 * then the tag is, too. */
static struct packet *pop(struct pool *pool, struct packet_stack *stack)
{
    uint64_t head = head_of(stack);
    struct packet *packet;

    do {
        if (is_empty(head))
            return NULL;
        packet = &pool->packets[(uint32_t)head - 1];
    } while (!change_head(stack, &head, __atomic_load_n(&packet->below, __ATOMIC_RELAXED)));
    return packet;
}

/* ---- Sleep ------------------------------------------------------------------------- */

static void wake(struct pool *pool, uint32_t count)
{
    if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST) == 0)
        return;
    atomic_fetch_add(&pool->news, 1);
    gc__os_wake(&pool->news, count);
}

static uint32_t working(const struct pool *pool)
{
    return __atomic_load_n(&pool->working, __ATOMIC_SEQ_CST);
}

bool gc__pool_is_left_to_one(const struct pool *pool)
{
    return is_empty(head_of(&pool->full)) && working(pool) == 1;
}

void gc__pool_sleep(struct pool *pool)
{
    uint32_t news = atomic_load(&pool->news);

    __atomic_fetch_add(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    if (is_empty(head_of(&pool->full)) && working(pool) != 0)
        gc__os_wait(&pool->news, news, UINT64_MAX);
    __atomic_fetch_sub(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
}

bool gc__pool_is_done(const struct pool *pool)
{
    return working(pool) == 0;
}

/* ---- The steps ---------------------------------------------------------------------- */

bool gc__pool_wants(const struct pool *pool)
{
    return __atomic_load_n(&pool->working, __ATOMIC_RELAXED) < pool->markers &&
           is_empty(__atomic_load_n(&pool->full.head, __ATOMIC_RELAXED));
}

bool gc__pool_give(struct pool *pool, const uintptr_t *entries, size_t count)
{
    struct packet *packet = pop(pool, &pool->free);

    GC_ASSERT(count <= GC_PACKET_ENTRIES);
    if (packet == NULL)
        return false;
    memcpy(packet->entry, entries, count * sizeof *entries);
    packet->count = (uint32_t)count;
    push(pool, &pool->full, packet);
    wake(pool, 1);
    return true;
}

void gc__pool_put_back(struct pool *pool, struct packet *packet)
{
    push(pool, &pool->free, packet);
}

static void rest(struct pool *pool)
{
    __atomic_fetch_sub(&pool->working, 1, __ATOMIC_SEQ_CST);
}

static struct packet *rise_and_take(struct pool *pool)
{
    struct packet *packet;

    __atomic_fetch_add(&pool->working, 1, __ATOMIC_SEQ_CST);
    packet = pop(pool, &pool->full);
    if (packet == NULL)
        rest(pool);
    return packet;
}

/* Who loses patience has just seen that somebody works, and so somebody is left
 * who sees the end, and wakes the others. */
struct packet *gc__pool_wait(struct pool *pool)
{
    unsigned round = 0;

    for (;;) {
        if (!is_empty(head_of(&pool->full))) {
            struct packet *packet = rise_and_take(pool);
            if (packet != NULL)
                return packet;
        } else if (working(pool) == 0) {
            wake(pool, UINT32_MAX);
            return NULL;
        } else if (round < GC_WAIT_RELAXED_ROUNDS) {
            round++;
            gc__os_relax();
        } else if (round < GC_WAIT_RELAXED_ROUNDS + GC_WAIT_YIELDING_ROUNDS) {
            round++;
            gc__os_yield();
        } else {
            return NULL;
        }
    }
}

struct packet *gc__pool_next(struct pool *pool)
{
    struct packet *packet;

    GC_STAGGER();
    packet = pop(pool, &pool->full);
    if (packet != NULL)
        return packet;
    rest(pool);
    return gc__pool_wait(pool);
}

/* ---- A cycle ------------------------------------------------------------------------- */

static size_t packets_bytes(void)
{
    return gc__align_up(GC_POOL_PACKETS * sizeof(struct packet), gc__os_page_bytes());
}

bool gc__pool_provide(struct pool *pool)
{
    if (pool->packets == NULL)
        pool->packets = gc__os_map(packets_bytes());
    return pool->packets != NULL;
}

size_t gc__pool_metadata_bytes(const struct pool *pool)
{
    return pool->packets != NULL ? packets_bytes() : 0;
}

void gc__pool_open(struct pool *pool, unsigned markers)
{
    pool->markers = markers;
    pool->free.head = 0;
    __atomic_store_n(&pool->full.head, 0, __ATOMIC_SEQ_CST); /* sleepers of the cycle before may look */
    __atomic_store_n(&pool->working, 1, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < GC_POOL_PACKETS; i++)
        push(pool, &pool->free, &pool->packets[i]);
}
