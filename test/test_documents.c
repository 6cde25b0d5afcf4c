/* test_documents.c - the table of options in the documents is the one in the
 * code: same variables, same defaults, same words. */
#include "gc/api/options.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The text of a file of the source tree; `test/run` says where that is. */
static char *read_document(const char *name)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    char *text = calloc(1, 1 << 20);
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", top != NULL ? top : ".", name);
    file = fopen(path, "r");
    cr_assert_not_null(file, "cannot read %s", path);
    cr_assert(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static unsigned occurrences(const char *text, const char *of)
{
    unsigned count = 0;

    for (text = strstr(text, of); text != NULL; text = strstr(text + 1, of))
        count++;
    return count;
}

static void check_table(const char *name)
{
    char *text = read_document(name);

    for (unsigned i = 0; i < gc__option_count; i++) {
        const struct option *option = &gc__options[i];
        char row[512];

        snprintf(row, sizeof row, "| `%s` | %s | %s |\n", option->variable, option->preset_text, option->meaning);
        cr_assert_eq(occurrences(text, row), 1, "%s lacks the row: %s", name, row);
    }
    cr_assert_eq(occurrences(text, "\n| `BROOM_"), gc__option_count, "%s has a row of no option", name);
    free(text);
}

Test(documents, the_readme_has_the_options)
{
    check_table("README.md");
}

Test(documents, the_manual_has_the_options)
{
    check_table("doc/manual.md");
}

Test(documents, the_man_page_has_the_options)
{
    char *text = read_document("doc/man/broom.3");

    for (unsigned i = 0; i < gc__option_count; i++) {
        char entry[256];

        snprintf(entry, sizeof entry, "\n.BR %s \" (%s)\"\n", gc__options[i].variable, gc__options[i].preset_text);
        cr_assert_eq(occurrences(text, entry), 1, "the man page lacks the entry:%s", entry);
    }
    cr_assert_eq(occurrences(text, "\n.BR BROOM_"), gc__option_count + 1); /* and one for the prefix */
    free(text);
}

Test(documents, presets_are_what_their_text_says)
{
    for (unsigned i = 0; i < gc__option_count; i++) {
        const struct option *option = &gc__options[i];
        int64_t value = 0;

        if (option->preset == 0 && option->least > 0) /* what no number says */
            continue;
        cr_assert(gc__option_parse(option, option->preset_text, &value), "%s", option->variable);
        cr_assert_eq(value, option->preset, "%s", option->variable);
    }
}

/* ---- Functions --------------------------------------------------------------------- */

/* The name before the next parenthesis; NULL: it is no function of ours. */
static const char *name_declared_at(const char *text, char *name, size_t capacity)
{
    size_t length = strcspn(text, "(");
    const char *end = text + length;

    while (length > 0 && (end[-1] == '_' || (end[-1] >= 'a' && end[-1] <= 'z'))) {
        end--;
        length--;
    }
    snprintf(name, capacity, "%.*s", (int)strcspn(end, "("), end);
    return strncmp(name, "gc_", 3) == 0 ? name : NULL;
}

static unsigned check_functions(const char *header, const char *document)
{
    char *text = read_document(header), *described = read_document(document);
    unsigned count = 0;

    for (const char *at = strstr(text, "\nGC__EXPORT"); at != NULL; at = strstr(at + 1, "\nGC__EXPORT")) {
        char name[128];

        if (name_declared_at(at, name, sizeof name) == NULL)
            continue;
        cr_assert_not_null(strstr(described, name), "%s does not mention %s of %s", document, name, header);
        count++;
    }
    free(text);
    free(described);
    return count;
}

Test(documents, the_manual_and_the_man_page_name_all_functions)
{
    static const char *const headers[] = {"include/broom.h",           "include/broom/arena.h", "include/broom/event.h",
                                          "include/broom/finalizer.h", "include/broom/kind.h",  "include/broom/limit.h",
                                          "include/broom/stack.h",     "include/broom/weak.h"};
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        count += check_functions(headers[i], "doc/manual.md");
        cr_assert(check_functions(headers[i], "doc/man/broom.3") > 0, "nothing is found in %s", headers[i]);
    }
    cr_assert(count > 80);
}
