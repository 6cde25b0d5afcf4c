/* concordance - every word of the texts given, and where it stands.
 *
 *   concordance [-l] [-w WORD] [-p PASSES] FILE...
 *
 *   -l         list all words, with counts and line numbers
 *   -w WORD    show WORD in its contexts, key word in the middle
 *   -p PASSES  do the work that many times, from reading to listing
 *
 * An example of programming with a garbage collector: nothing is ever freed.
 * Every word is copied before it is looked up, and most copies are dropped at
 * once; the table of words grows into a new one; the listing is put together
 * from strings; each pass forgets the index of the pass before. Built with
 * USE_MALLOC, the program grows by all of this in every pass.
 */
#include "../alloc.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct text { /* a string that grows */
    char *bytes;
    size_t length, capacity;
};

struct line {
    const char *file;
    unsigned number;
    const char *text;
};

struct occurrence {
    const struct line *line;
    const char *at; /* points into line->text */
    struct occurrence *next;
};

struct word {
    const char *spelling; /* in lower case */
    size_t count;
    struct occurrence *first;
    struct occurrence **end; /* where the next occurrence goes: points into the last one */
    struct word *next;       /* in the same bucket */
};

struct index {
    struct word **buckets;
    size_t bucket_count; /* a power of two */
    size_t word_count;   /* different words: at most bucket_count */
    size_t occurrence_count;
    size_t line_count;
};

static __attribute__((noreturn)) void fail(const char *what, const char *why)
{
    fprintf(stderr, "concordance: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void *must(void *object)
{
    if (object == NULL)
        fail("allocation", strerror(ENOMEM));
    return object;
}

/* ---- Strings: they hold no pointers, so they are atomic ------------------- */

/* Makes room for `more` bytes. gc_realloc keeps an atomic object atomic. */
static void reserve(struct text *text, size_t more)
{
    if (text->capacity - text->length >= more)
        return;
    text->capacity = 2 * text->capacity + more;
    text->bytes =
        must(text->bytes == NULL ? gc_malloc_atomic(text->capacity) : gc_realloc(text->bytes, text->capacity));
}

static __attribute__((format(printf, 2, 3))) void append(struct text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int bytes = vsnprintf(NULL, 0, format, arguments);
    if (bytes < 0)
        fail("listing", strerror(errno));
    reserve(text, (size_t)bytes + 1);
    text->length += (size_t)vsnprintf(text->bytes + text->length, (size_t)bytes + 1, format, again);
    va_end(again);
    va_end(arguments);
}

/* A copy with `change` made to every byte. */
static char *copy(const char *from, size_t bytes, int (*change)(int))
{
    char *string = must(gc_malloc_atomic(bytes + 1));
    for (size_t i = 0; i < bytes; i++)
        string[i] = (char)change((unsigned char)from[i]);
    string[bytes] = '\0';
    return string;
}

static int control_to_space(int byte)
{
    return iscntrl(byte) ? ' ' : byte;
}

static uint64_t hash_of(const char *string) /* FNV-1a */
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *string != '\0'; string++)
        hash = (hash ^ (unsigned char)*string) * UINT64_C(0x100000001b3);
    return hash;
}

/* ---- The index ------------------------------------------------------------ */

static struct word **bucket_of(const struct index *index, const char *spelling)
{
    return &index->buckets[hash_of(spelling) & (index->bucket_count - 1)];
}

static struct word *find_word(const struct index *index, const char *spelling)
{
    struct word *word = *bucket_of(index, spelling);
    while (word != NULL && strcmp(word->spelling, spelling) != 0)
        word = word->next;
    return word;
}

static void put_word(struct index *index, struct word *word)
{
    struct word **bucket = bucket_of(index, word->spelling);
    word->next = *bucket;
    *bucket = word;
}

/* Moves all words into a table of `bucket_count` buckets. */
static void rehash(struct index *index, size_t bucket_count)
{
    struct index old = *index;
    index->buckets = must(gc_malloc(bucket_count * sizeof *index->buckets));
    index->bucket_count = bucket_count;
    for (size_t i = 0; i < old.bucket_count; i++)
        for (struct word *word = old.buckets[i], *next; word != NULL; word = next) {
            next = word->next;
            put_word(index, word);
        }
}

static struct word *add_word(struct index *index, const char *spelling)
{
    if (index->word_count == index->bucket_count)
        rehash(index, 2 * index->bucket_count);
    struct word *word = must(gc_malloc(sizeof *word));
    word->spelling = spelling;
    word->end = &word->first;
    put_word(index, word);
    index->word_count++;
    return word;
}

static void add_occurrence(struct index *index, const struct line *line, const char *at, size_t bytes)
{
    const char *spelling = copy(at, bytes, tolower);
    struct word *word = find_word(index, spelling);
    if (word == NULL)
        word = add_word(index, spelling);
    struct occurrence *occurrence = must(gc_malloc(sizeof *occurrence));
    occurrence->line = line;
    occurrence->at = at;
    *word->end = occurrence;
    word->end = &occurrence->next;
    word->count++;
    index->occurrence_count++;
}

/* ---- Reading -------------------------------------------------------------- */

/* Outside ASCII, all of UTF-8 passes for letters. */
static bool is_letter(char byte)
{
    return isalpha((unsigned char)byte) || (unsigned char)byte >= 0x80;
}

/* The bytes of the word at `start`, or 0: letters, with an apostrophe or a
 * hyphen between two of them. */
static size_t word_bytes(const char *start)
{
    const char *at = start;
    while (is_letter(*at) || (at > start && (*at == '\'' || *at == '-') && is_letter(at[1])))
        at++;
    return (size_t)(at - start);
}

static void index_line(struct index *index, const struct line *line)
{
    const char *at = line->text;
    while (*at != '\0') {
        size_t bytes = word_bytes(at);
        if (bytes > 0)
            add_occurrence(index, line, at, bytes);
        at += bytes > 0 ? bytes : 1;
    }
    index->line_count++;
}

static struct text read_file(const char *name)
{
    struct text content = {0};
    FILE *file = fopen(name, "r");
    if (file == NULL)
        fail(name, strerror(errno));
    for (size_t got = 1; got > 0; content.length += got) {
        reserve(&content, 16384);
        got = fread(content.bytes + content.length, 1, content.capacity - content.length, file);
    }
    if (ferror(file))
        fail(name, strerror(errno));
    fclose(file);
    return content;
}

static void index_file(struct index *index, const char *name)
{
    struct text content = read_file(name);
    const char *end = content.bytes + content.length, *newline;
    unsigned number = 0;
    for (const char *at = content.bytes; at < end; at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            newline = end;
        struct line *line = must(gc_malloc(sizeof *line));
        line->file = name;
        line->number = ++number;
        line->text = copy(at, (size_t)(newline - at), control_to_space);
        index_line(index, line);
    }
}

static struct index *index_files(char **names)
{
    struct index *index = must(gc_malloc(sizeof *index));
    rehash(index, 64);
    for (; *names != NULL; names++)
        index_file(index, *names);
    return index;
}

/* ---- Showing -------------------------------------------------------------- */

static int by_spelling(const void *left, const void *right)
{
    return strcmp((*(struct word *const *)left)->spelling, (*(struct word *const *)right)->spelling);
}

static struct word **sorted_words(const struct index *index)
{
    struct word **words = must(gc_malloc((index->word_count + 1) * sizeof *words)), **end = words;
    for (size_t i = 0; i < index->bucket_count; i++)
        for (struct word *word = index->buckets[i]; word != NULL; word = word->next)
            *end++ = word;
    qsort(words, index->word_count, sizeof *words, by_spelling);
    return words;
}

/* The word and its count, then the line numbers, a row for each file. */
static const char *describe(const struct word *word)
{
    struct text entry = {0};
    const char *file = NULL;
    append(&entry, "%s %zu", word->spelling, word->count);
    for (const struct occurrence *occurrence = word->first; occurrence != NULL; occurrence = occurrence->next) {
        if (occurrence->line->file != file)
            append(&entry, "\n    %s:", occurrence->line->file);
        file = occurrence->line->file;
        append(&entry, " %u", occurrence->line->number);
    }
    return entry.bytes;
}

static const char *list_words(const struct index *index)
{
    struct text listing = {0};
    append(&listing, "%s", ""); /* there may be no words */
    for (struct word **word = sorted_words(index); *word != NULL; word++)
        append(&listing, "%s\n", describe(*word));
    return listing.bytes;
}

/* One byte is taken for one column. */
static void print_contexts(const struct index *index, const char *key)
{
    const struct word *word = find_word(index, key);
    if (word == NULL)
        fail(key, "no such word");
    int bytes = (int)strlen(key);
    for (const struct occurrence *occurrence = word->first; occurrence != NULL; occurrence = occurrence->next) {
        const struct line *line = occurrence->line;
        int left = (int)(occurrence->at - line->text < 30 ? occurrence->at - line->text : 30);
        printf("%30.*s[%.*s]%-40.40s  %s:%u\n", left, occurrence->at - left, bytes, occurrence->at,
               occurrence->at + bytes, line->file, line->number);
    }
}

int main(int argc, char **argv)
{
    bool list = false;
    const char *key = NULL;
    long passes = 1;
    char *rest = "";
    for (int option; (option = getopt(argc, argv, "lw:p:")) != -1;)
        switch (option) {
        case 'l': list = true; break;
        case 'w': key = copy(optarg, strlen(optarg), tolower); break;
        case 'p': passes = strtol(optarg, &rest, 10); break;
        default: passes = 0; break;
        }
    if (optind == argc || passes < 1 || *rest != '\0')
        fail("usage", "concordance [-l] [-w WORD] [-p PASSES] FILE...");

    const struct index *index = NULL;
    const char *listing = NULL;
    for (; passes > 0; passes--) {
        const char *before = listing;
        index = index_files(argv + optind);
        listing = list_words(index);
        if (before != NULL && strcmp(before, listing) != 0)
            fail("listing", "not the same as in the pass before");
    }

    printf("%d files, %zu lines, %zu words, %zu of them different\n", argc - optind, index->line_count,
           index->occurrence_count, index->word_count);
    if (key != NULL)
        print_contexts(index, key);
    if (list)
        fputs(listing, stdout);
    if (fflush(stdout) != 0 || ferror(stdout))
        fail("standard output", strerror(errno));
    return EXIT_SUCCESS;
}
