/* JSON in tests is written with ' for ", so that it can be read. Included by the tests that need
 * it. */
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>

/* Another text with the quotes; free() it. */
static inline char *quoted(const char *text)
{
    char *copy = mem_strdup(text);

    for (char *p = copy; *p; p++) {
        if (*p == '\'')
            *p = '"';
    }
    return copy;
}

/* Read; lives until the next call. */
static inline const struct json *quoted_json(const char *text)
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

/* The other way: a node, compact and with ' for "; free() it. */
static inline char *unquoted(const struct json *doc, json_at at)
{
    struct buf out = {0};

    json_write(doc, at, JSON_COMPACT, 0, &out);
    for (size_t i = 0; i < out.len; i++) {
        if (out.data[i] == '"')
            out.data[i] = '\'';
    }
    return buf_take(&out);
}
