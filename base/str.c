#include "base/str.h"

#include "base/mem.h"

/* Well-formed sequences of RFC 3629, section 4: the second byte's range depends on the first, which
 * is what keeps out overlong forms, surrogates and what lies above U+10FFFF. */
size_t str_utf8_len(const char *p, const char *end)
{
    const unsigned char *s = (const unsigned char *)p;
    if (p >= end)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;
    if (len == 0 || (size_t)(end - p) < len)
        return 0;
    unsigned low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Longer words are not mistyped options or keys, and the distance takes time by the square. */
enum { WORD_MAX = 100 };

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment distance: Levenshtein's, with the swap of two neighbours as one step.
 * Three rows of the table are enough: this one, the one above, and the one above that. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *above2 = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *spare = above2;
        above2 = above;
        above = row;
        row = spare;
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = min3(above[j] + 1, row[j - 1] + 1, change);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return row[b_len];
}

/* Near enough: one slip for every three characters, but never the whole word. */
const char *str_nearest(const char *word, const char *const *candidates)
{
    size_t len = strlen(word);
    size_t allowed = len < 3 ? 1 : len / 3;
    if (len < 2 || len > WORD_MAX)
        return NULL;
    const char *nearest = NULL;
    for (; *candidates; candidates++) {
        size_t candidate_len = strlen(*candidates);
        if (candidate_len > WORD_MAX)
            continue;
        size_t distance = edit_distance(word, len, *candidates, candidate_len);
        if (distance <= allowed) {
            nearest = *candidates;
            if (distance == 0)
                break;
            allowed = distance - 1;
        }
    }
    return nearest;
}
