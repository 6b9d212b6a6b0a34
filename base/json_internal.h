/* json_internal: what the files of base/json share, and nobody else includes.
 *
 * Most bytes of what Segue reads lie inside strings (sources, outputs, base64 images), so the one
 * loop that is written for speed is json_find_stop: eight bytes at a time to the next one that is
 * not simply a character of the string.
 */
#ifndef SEGUE_BASE_JSON_INTERNAL_H
#define SEGUE_BASE_JSON_INTERNAL_H

#include "base/json.h"

#include <endian.h>

#define JSON_REPLACEMENT     "\xef\xbf\xbd" /* U+FFFD */
#define JSON_BYTE_ORDER_MARK "\xef\xbb\xbf"

#define JSON_EVERY_BYTE(byte) (0x0101010101010101ull * (byte))

/* The first byte that is a quote, a backslash, a control character or not ASCII; else `end`. */
static inline const char *json_find_stop(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        word = le64toh(word);
        /* A byte that becomes "negative" by one of the subtractions sets its high bit. The borrow
         * may set bits of bytes behind it, never in front: the lowest is always right. */
        uint64_t stops = ((word ^ JSON_EVERY_BYTE('"')) - JSON_EVERY_BYTE(1)) |
                         ((word ^ JSON_EVERY_BYTE('\\')) - JSON_EVERY_BYTE(1)) |
                         (word - JSON_EVERY_BYTE(0x20)) | word;
        stops &= JSON_EVERY_BYTE(0x80);
        if (stops)
            return p + __builtin_ctzll(stops) / 8;
        p += 8;
    }
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\')
        p++;
    return p;
}

/* What is between the quotes. */
static inline struct str json_inside(const struct json *doc, const struct json_node *string)
{
    return (struct str){doc->text + string->start + 1, string->end - string->start - 2};
}

static inline bool json_is_surrogate(uint32_t point)
{
    return point >= 0xd800 && point <= 0xdfff;
}

/* The code point of the escape at `p`, which was checked when it was read; a surrogate only where
 * it has no partner. */
uint32_t json_read_escape(const char *p, const char *end, size_t *ret_len);

/* UTF-8; a surrogate as the three bytes it would have. */
void json_put_point(struct buf *out, uint32_t point);

enum json_lone_surrogates { LONE_REPLACED, LONE_KEPT };

/* The value of the text between a string's quotes. */
void json_decode(struct buf *out, struct str s, enum json_lone_surrogates lone);

#endif
