/* string_table.c - a hash table from words to growing texts: words are looked
 * up, put in, appended to and taken out, common words more often. The table
 * doubles as it fills. Keys and texts are pointer-free, entries are not.
 */
#include "program.h"

enum {
    WORDS = 500000,
    STEPS = 6000000,
    REMOVE_EVERY = 8, /* of so many steps, one takes its word out */
    FIRST_BUCKETS = 1024,
    FIRST_TEXT = 16,    /* bytes */
    LONGEST_TEXT = 256, /* bytes; then the text starts afresh */
    WORD_MAX = 24
};

struct entry {
    struct entry *next;
    char *word;
    char *text;
    uint64_t hash;
    uint32_t text_bytes, text_capacity;
};

static struct table {
    struct entry **buckets;
    size_t bucket_count; /* a power of two */
    size_t entries;
    size_t text_bytes; /* of all entries */
} table;

/* FNV-1a, and its high bits folded into the low ones that choose the bucket. */
static uint64_t hash_of(const char *word)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *word; word++)
        hash = (hash ^ (unsigned char)*word) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

/* The letters that stand for `number`, a different word for each. */
static void spell(char word[static WORD_MAX], size_t number)
{
    size_t length = 0;
    word[length++] = 'w';
    do {
        word[length++] = (char)('a' + number % 26);
        number /= 26;
    } while (number > 0);
    word[length] = '\0';
}

static char *copy(const char *word)
{
    size_t bytes = strlen(word) + 1;
    return memcpy(bench_alloc_atomic(bytes), word, bytes);
}

/* The link that points at the entry, or at the end of its chain. */
static struct entry **find(const char *word, uint64_t hash)
{
    struct entry **link = &table.buckets[hash & (table.bucket_count - 1)];
    while (*link && ((*link)->hash != hash || strcmp((*link)->word, word) != 0))
        link = &(*link)->next;
    return link;
}

static void set_buckets(size_t count)
{
    table.buckets = bench_alloc(count * sizeof *table.buckets);
    table.bucket_count = count;
}

static void double_buckets(void)
{
    struct entry **old = table.buckets;
    size_t old_count = table.bucket_count;
    set_buckets(2 * old_count);
    for (size_t i = 0; i < old_count; i++)
        while (old[i]) {
            struct entry *entry = old[i];
            old[i] = entry->next;
            struct entry **bucket = &table.buckets[entry->hash & (table.bucket_count - 1)];
            entry->next = *bucket;
            *bucket = entry;
        }
    bench_free(old);
}

static struct entry *put(const char *word, uint64_t hash)
{
    if (table.entries == table.bucket_count)
        double_buckets();
    struct entry *entry = bench_alloc(sizeof *entry);
    entry->word = copy(word);
    entry->text = bench_alloc_atomic(FIRST_TEXT);
    entry->text_capacity = FIRST_TEXT;
    entry->hash = hash;
    struct entry **link = find(word, hash);
    *link = entry;
    table.entries++;
    return entry;
}

static void take(struct entry **link)
{
    struct entry *entry = *link;
    *link = entry->next;
    table.entries--;
    table.text_bytes -= entry->text_bytes;
    bench_free(entry->word);
    bench_free(entry->text);
    bench_free(entry);
}

static void start_afresh(struct entry *entry)
{
    table.text_bytes -= entry->text_bytes;
    bench_free(entry->text);
    entry->text = bench_alloc_atomic(FIRST_TEXT);
    entry->text_capacity = FIRST_TEXT;
    entry->text_bytes = 0;
}

/* Appends the last letter of the word, four times. */
static void append(struct entry *entry)
{
    if (entry->text_bytes == LONGEST_TEXT)
        start_afresh(entry);
    if (entry->text_bytes == entry->text_capacity) {
        entry->text_capacity *= 2;
        entry->text = bench_realloc(entry->text, entry->text_capacity);
    }
    memset(entry->text + entry->text_bytes, entry->word[strlen(entry->word) - 1], 4);
    entry->text_bytes += 4;
    table.text_bytes += 4;
}

static void step(size_t number, bool remove)
{
    char word[WORD_MAX];
    spell(word, number);
    uint64_t hash = hash_of(word);
    struct entry **link = find(word, hash);
    if (!remove)
        append(*link ? *link : put(word, hash));
    else if (*link)
        take(link);
}

static bool entry_intact(const struct entry *entry)
{
    char letter = entry->word[strlen(entry->word) - 1];
    for (size_t i = 0; i < entry->text_bytes; i++)
        if (entry->text[i] != letter)
            return false;
    return hash_of(entry->word) == entry->hash;
}

static bool table_intact(void)
{
    size_t entries = 0;
    size_t text_bytes = 0;
    for (size_t i = 0; i < table.bucket_count; i++)
        for (const struct entry *entry = table.buckets[i]; entry; entry = entry->next) {
            if (!entry_intact(entry))
                return false;
            entries++;
            text_bytes += entry->text_bytes;
        }
    return entries == table.entries && text_bytes == table.text_bytes;
}

static void free_table(void)
{
    for (size_t i = 0; i < table.bucket_count; i++)
        while (table.buckets[i])
            take(&table.buckets[i]);
    bench_free(table.buckets);
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t words = bench_scaled(WORDS);
    size_t steps = bench_scaled(STEPS);

    set_buckets(FIRST_BUCKETS);
    for (size_t i = 0; i < steps; i++) {
        size_t limit = 1 + bench_random_below(words); /* makes low numbers common */
        step(bench_random_below(limit), i % REMOVE_EVERY == REMOVE_EVERY - 1);
    }

    bool correct = table_intact();
    uint64_t checksum = table.entries * 1000003 + table.text_bytes;
    if (BENCH_FREES)
        free_table();
    return bench_finish(correct, checksum);
}
