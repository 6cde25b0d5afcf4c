/* growing_arrays.c - 64 arrays that grow at the end, by bench_realloc, to
 * anything from half a kilobyte to 8 MiB; full ones are read through, dropped
 * and started again. Half of them hold pointers, to words that stay; half
 * bytes. Half grow to twice their capacity when they are full, half by half of
 * it.
 */
#include "program.h"

enum {
    ARRAYS = 64,
    WORDS = 4096,
    STEPS = 300000,
    FIRST_CAPACITY = 8,     /* elements */
    LONGEST_RUN = 4096,     /* bytes put in at once */
    SMALLEST_LIMIT = 1 << 9 /* bytes; the largest is 2^DOUBLINGS as much */
};
#define DOUBLINGS 14

struct word {
    uint64_t number;
};

struct array {
    void *elements; /* struct word pointers, or bytes */
    size_t count, capacity;
    size_t limit; /* in bytes: it is dropped when it has so much in it */
    size_t first; /* element i stands for the number first + i */
};

static struct word **words;
static struct array arrays[ARRAYS];

static bool has_pointers(size_t index)
{
    return index % 2 == 0;
}

static size_t element_bytes(size_t index)
{
    return has_pointers(index) ? sizeof(struct word *) : 1;
}

static void start(size_t index)
{
    struct array *array = &arrays[index];
    size_t bytes = FIRST_CAPACITY * element_bytes(index);
    array->elements = has_pointers(index) ? bench_alloc(bytes) : bench_alloc_atomic(bytes);
    array->count = 0;
    array->capacity = FIRST_CAPACITY;
    array->limit = (size_t)SMALLEST_LIMIT << bench_random_below(DOUBLINGS);
    array->limit += bench_random_below(array->limit);
    array->first = bench_random_below(WORDS);
}

static void grow(size_t index)
{
    struct array *array = &arrays[index];
    array->capacity += index % 4 < 2 ? array->capacity : array->capacity / 2;
    array->elements = bench_realloc(array->elements, array->capacity * element_bytes(index));
}

static void append(size_t index)
{
    struct array *array = &arrays[index];
    if (array->count == array->capacity)
        grow(index);
    size_t number = array->first + array->count;
    if (has_pointers(index))
        ((struct word **)array->elements)[array->count] = words[number % WORDS];
    else
        ((unsigned char *)array->elements)[array->count] = (unsigned char)number;
    array->count++;
}

/* Returns whether the elements are what was put in. */
static bool intact(size_t index)
{
    const struct array *array = &arrays[index];
    struct word *const *pointers = array->elements;
    const unsigned char *bytes = array->elements;
    for (size_t i = 0; i < array->count; i++) {
        size_t number = array->first + i;
        if (has_pointers(index) ? pointers[i]->number != number % WORDS : bytes[i] != (unsigned char)number)
            return false;
    }
    return true;
}

static bool drop(size_t index, uint64_t *checksum)
{
    struct array *array = &arrays[index];
    bool correct = intact(index);
    *checksum = *checksum * 31 + array->count + array->first;
    bench_free(array->elements);
    array->elements = NULL;
    return correct;
}

static bool step(uint64_t *checksum)
{
    size_t index = bench_random_below(ARRAYS);
    struct array *array = &arrays[index];
    size_t run = 1 + bench_random_below(LONGEST_RUN / element_bytes(index));
    for (size_t i = 0; i < run; i++)
        append(index);
    if (array->count * element_bytes(index) < array->limit)
        return true;
    bool correct = drop(index, checksum);
    start(index);
    return correct;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t steps = bench_scaled(STEPS);

    words = bench_alloc(WORDS * sizeof *words);
    for (size_t i = 0; i < WORDS; i++) {
        words[i] = bench_alloc(sizeof *words[i]);
        words[i]->number = i;
    }
    for (size_t index = 0; index < ARRAYS; index++)
        start(index);

    bool correct = true;
    uint64_t checksum = 0;
    for (size_t i = 0; i < steps; i++)
        correct &= step(&checksum);

    for (size_t index = 0; index < ARRAYS; index++)
        correct &= drop(index, &checksum);
    for (size_t i = 0; BENCH_FREES && i < WORDS; i++)
        bench_free(words[i]);
    bench_free(words);
    return bench_finish(correct, checksum);
}
