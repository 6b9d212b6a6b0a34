/* str: a borrowed piece of text: pointer and length, not terminated, owned by somebody else.
 *
 * A value, like a pointer: it is good for as long as what it points into. `{NULL, 0}` is "none",
 * which is different from an empty text.
 */
#ifndef SEGUE_BASE_STR_H
#define SEGUE_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *text;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).len, (s).text ? (s).text : ""

static inline struct str str_of(const char *text) /* NULL gives none */
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.text, b.text, a.len) == 0);
}

static inline bool str_is(struct str a, const char *text)
{
    return str_eq(a, str_of(text));
}

/* Length of the valid UTF-8 sequence at `p` (1 to 4), or 0 when what starts there is none. */
size_t str_utf8_len(const char *p, const char *end);

/* The candidate nearest to `word` by edit distance (insert, delete, change, swap), or NULL when
 * none is near enough to be what was meant. For "did you mean". `candidates` ends with NULL. */
const char *str_nearest(const char *word, const char *const *candidates);

#endif
