/* json_documents.c - JSON documents are parsed to trees of objects, arrays,
 * strings and numbers; some values are changed; the trees are printed to texts
 * that grow by bench_realloc. The last few documents, tree and text, stay alive;
 * in the end a tree still prints as its text, and its text parses to the same.
 */
#include "program.h"

enum {
    DOCUMENTS = 250,
    KEPT = 8,
    DEPTH = 5,
    TOP_ITEMS = 64,  /* of a document */
    MOST_ITEMS = 16, /* of an array or object in it */
    MOST_LETTERS = 24,
    CHANGE_EVERY = 16, /* of so many numbers and strings, one is changed */
    FIRST_ITEMS = 4,   /* capacity */
    FIRST_TEXT = 64    /* bytes */
};

enum kind { NUMBER, STRING, ARRAY, OBJECT };

struct value {
    enum kind kind;
    uint32_t count, capacity; /* of items */
    union {
        int64_t number;
        char *string;
        struct value **items; /* of an object: a key, its value, and so on */
    };
};

struct text {
    char *bytes;
    size_t used, capacity;
};

static struct document {
    struct value *root;
    struct text text;
} kept[KEPT];

static struct value *new_value(enum kind kind)
{
    struct value *value = bench_alloc(sizeof *value);
    value->kind = kind;
    return value;
}

static void add_item(struct value *parent, struct value *item)
{
    if (parent->capacity == 0) {
        parent->capacity = FIRST_ITEMS;
        parent->items = bench_alloc(FIRST_ITEMS * sizeof *parent->items);
    } else if (parent->count == parent->capacity) {
        parent->capacity *= 2;
        parent->items = bench_realloc(parent->items, parent->capacity * sizeof *parent->items);
    }
    parent->items[parent->count++] = item;
}

static void drop(struct value *value)
{
    if (!BENCH_FREES)
        return;
    if (value->kind == STRING)
        bench_free(value->string);
    if (value->kind >= ARRAY) {
        for (size_t i = 0; i < value->count; i++)
            drop(value->items[i]);
        bench_free(value->items);
    }
    bench_free(value);
}

/* ---- Printing ---- */

static void put(struct text *text, char byte)
{
    if (text->used == text->capacity) {
        text->capacity *= 2;
        text->bytes = bench_realloc(text->bytes, text->capacity);
    }
    text->bytes[text->used++] = byte;
}

static void put_number(struct text *text, int64_t number)
{
    char digits[24];
    size_t length = 0;
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        digits[length++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        put(text, '-');
    while (length > 0)
        put(text, digits[--length]);
}

static void put_string(struct text *text, const char *string)
{
    put(text, '"');
    for (; *string; string++) {
        if (*string == '"' || *string == '\\')
            put(text, '\\');
        put(text, *string);
    }
    put(text, '"');
}

static void put_value(struct text *text, const struct value *value)
{
    bool object = value->kind == OBJECT;
    if (value->kind == NUMBER) {
        put_number(text, value->number);
    } else if (value->kind == STRING) {
        put_string(text, value->string);
    } else {
        put(text, object ? '{' : '[');
        for (size_t i = 0; i < value->count; i++) {
            if (i > 0)
                put(text, object && i % 2 == 1 ? ':' : ',');
            put_value(text, value->items[i]);
        }
        put(text, object ? '}' : ']');
    }
}

static struct text print(const struct value *root)
{
    struct text text = {bench_alloc_atomic(FIRST_TEXT), 0, FIRST_TEXT};
    put_value(&text, root);
    put(&text, '\0');
    return text;
}

/* ---- Parsing, of what is well-formed ---- */

static char *parse_string(const char **at)
{
    const char *from = *at + 1;
    const char *end = from;
    while (*end != '"')
        end += *end == '\\' ? 2 : 1;
    *at = end + 1;

    char *string = bench_alloc_atomic((size_t)(end - from) + 1);
    char *to = string;
    while (from < end) {
        from += *from == '\\';
        *to++ = *from++;
    }
    *to = '\0';
    return string;
}

static struct value *parse(const char **at)
{
    char first = **at;
    struct value *value = new_value(first == '{' ? OBJECT : first == '[' ? ARRAY : first == '"' ? STRING : NUMBER);
    if (value->kind == NUMBER) {
        value->number = strtol(*at, (char **)at, 10);
    } else if (value->kind == STRING) {
        value->string = parse_string(at);
    } else {
        for ((*at)++; **at != '}' && **at != ']'; *at += **at == ',' || **at == ':')
            add_item(value, parse(at));
        (*at)++;
    }
    return value;
}

/* ---- Documents ---- */

static char *random_string(void)
{
    size_t length = 1 + bench_random_below(MOST_LETTERS);
    char *string = bench_alloc_atomic(length + 1);
    for (size_t i = 0; i < length; i++)
        string[i] = " \"\\abcdefghijklmnopqrstuvwxyz"[bench_random_below(29)];
    string[length] = '\0';
    return string;
}

static int64_t random_number(void)
{
    return (int64_t)bench_random_below(1000000) - 500000;
}

static struct value *generate(enum kind kind, size_t depth)
{
    struct value *value = new_value(kind);
    if (kind == NUMBER) {
        value->number = random_number();
    } else if (kind == STRING) {
        value->string = random_string();
    } else {
        size_t count = depth == DEPTH ? TOP_ITEMS : 2 * bench_random_below(MOST_ITEMS / 2 + 1);
        for (size_t i = 0; i < count; i++) {
            bool key = kind == OBJECT && i % 2 == 0;
            size_t kinds = depth == 1 ? ARRAY : OBJECT + 1;
            add_item(value, generate(key ? STRING : (enum kind)bench_random_below(kinds), depth - 1));
        }
    }
    return value;
}

static void change(struct value *value)
{
    if (value->kind >= ARRAY) {
        for (size_t i = 0; i < value->count; i++)
            change(value->items[i]);
    } else if (bench_random_below(CHANGE_EVERY) == 0) {
        if (value->kind == STRING) {
            bench_free(value->string);
            value->string = random_string();
        } else {
            value->number = random_number();
        }
    }
}

/* Returns whether they are the same, and drops the second. */
static bool compare(struct text expected, struct text text)
{
    bool same = text.used == expected.used && memcmp(text.bytes, expected.bytes, text.used) == 0;
    bench_free(text.bytes);
    return same;
}

static bool begin(struct document *document)
{
    struct value *original = generate(ARRAY, DEPTH);
    struct text text = print(original);
    drop(original);
    const char *at = text.bytes;
    document->root = parse(&at);
    bool correct = compare(text, print(document->root));
    bench_free(text.bytes);

    change(document->root);
    document->text = print(document->root);
    return correct;
}

static bool end(struct document *document, uint64_t *checksum)
{
    const char *at = document->text.bytes;
    struct value *again = parse(&at);
    bool correct = compare(document->text, print(document->root));
    correct &= compare(document->text, print(again));
    for (size_t i = 0; i < document->text.used; i++)
        *checksum = *checksum * 31 + (unsigned char)document->text.bytes[i];
    drop(again);
    drop(document->root);
    bench_free(document->text.bytes);
    return correct;
}

int main(int argc, char **argv)
{
    bench_start(argc, argv);
    size_t documents = bench_scaled(DOCUMENTS);

    bool correct = true;
    uint64_t checksum = 0;
    for (size_t i = 0; i < documents; i++) {
        struct document *document = &kept[i % KEPT];
        if (document->root)
            correct &= end(document, &checksum);
        correct &= begin(document);
    }
    for (size_t i = 0; i < KEPT && kept[i].root; i++)
        correct &= end(&kept[i], &checksum);
    return bench_finish(correct, checksum);
}
