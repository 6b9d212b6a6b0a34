/* JSON in tests is written with ' for ", so that it can be read. Included by the tests that need
 * it. What is parsed lives until the next call of the same function. */
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>

/* Another text with the quotes; free() it. */
static char *quoted(const char *text)
{
    char *copy = mem_strdup(text);

    for (char *p = copy; *p; p++) {
        if (*p == '\'')
            *p = '"';
    }
    return copy;
}

static const struct json *quoted_json(const char *text)
{
    static struct json doc; /* belongs to the one thread of a test */
    struct err e;
    char *copy = quoted(text);

    json_clear(&doc);
    if (json_parse_take(&doc, copy, strlen(copy), JSON_TOLERANT, NULL, &e) < 0) {
        fprintf(stderr, "%s: %s\n", text, e.text);
        abort();
    }
    return &doc;
}
