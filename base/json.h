/* json: reads JSON without changing it.
 *
 * A document is its text plus one flat array of positions, in the order of the text. There is no
 * tree of objects and no recursion: reading is one pass, a node costs 16 bytes, and whatever is not
 * touched can be written back as the very bytes it was. Line, column and JSON pointer of any node
 * come for free, for error messages.
 *
 * A node is named by its index; the root is 0, JSON_NONE (no node) may be passed to every reader
 * and behaves as "absent". An array's children are its elements; an object's children are key,
 * value, key, value. Of a key that an object repeats, the last one counts, as in Python.
 *
 * The document owns its nodes and borrows the text, or owns it too (json_take_text). After
 * json_parse it is read-only and may be read by any thread.
 */
#ifndef SEGUE_BASE_JSON_H
#define SEGUE_BASE_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum json_kind {
    JSON_ABSENT, /* the kind of JSON_NONE */
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

enum json_dialect {
    /* RFC 8259, UTF-8 valid, no byte order mark refused silently (one at the start is skipped). */
    JSON_STRICT,
    /* What Python's json module and real kernels produce besides: NaN, Infinity, -Infinity as
     * numbers; invalid UTF-8 inside strings (read as U+FFFD for each bad byte); raw control
     * characters inside strings. */
    JSON_TOLERANT,
};

typedef uint32_t json_at;
#define JSON_NONE UINT32_MAX

struct json_node {
    uint32_t start;      /* offset of the first byte; of a string: of its opening quote */
    uint32_t end;        /* offset behind the last byte */
    uint32_t next;       /* index behind the whole subtree */
    uint32_t count : 28; /* children: elements of an array, members of an object */
    uint32_t kind : 3;
    uint32_t plain : 1; /* a string without escapes and without bad bytes: its text is its value */
};

struct json {
    const char *text;
    size_t len;
    struct json_node *nodes;
    uint32_t count;
    char *owned; /* NULL, or the text when the document owns it */
};

/* Reads the whole of `text` as one JSON value. The text must stay until json_clear. Refused with
 * ERR_INVALID and `line L, column C: ...` in the text; deeper than LIMIT_JSON_DEPTH or 4 GiB and
 * more: ERR_LIMIT. On failure the document is empty and *ret_offset (may be NULL) is where. */
int json_parse(struct json *doc, struct str text, enum json_dialect dialect, size_t *ret_offset,
               struct err *e);

/* As json_parse, of a text from malloc that the document frees at json_clear (also on failure). */
int json_parse_take(struct json *doc, char *text, size_t len, enum json_dialect dialect,
                    size_t *ret_offset, struct err *e);

void json_clear(struct json *doc); /* an all-zero document is cleared already */
#define auto_json __attribute__((cleanup(json_clear)))

/* --- looking around --- */

enum json_kind json_kind(const struct json *doc, json_at at);
const char *json_kind_name(enum json_kind kind); /* "an object", "a string", ... for messages */
uint32_t json_count(const struct json *doc, json_at at); /* elements or members; else 0 */

json_at json_get(const struct json *doc, json_at object, const char *key); /* JSON_NONE: no such */
json_at json_item(const struct json *doc, json_at array, uint32_t index);

/* First and following child; JSON_NONE at the end. For an object: the keys; a key's value is
 * json_value. `json_each(doc, parent, at) { ... }` walks them. */
json_at json_first(const struct json *doc, json_at parent);
json_at json_next(const struct json *doc, json_at parent, json_at child);
json_at json_value(json_at key);
#define json_each(doc, parent, at)                                                                 \
    for (json_at at = json_first(doc, parent); at != JSON_NONE; at = json_next(doc, parent, at))

/* --- values --- */

struct str json_raw(const struct json *doc, json_at at); /* the bytes, quotes included; none */
bool json_is(const struct json *doc, json_at at, const char *text); /* a string equal to text? */
bool json_is_true(const struct json *doc, json_at at);
bool json_int(const struct json *doc, json_at at, int64_t *out);   /* false: not an int64 */
bool json_double(const struct json *doc, json_at at, double *out); /* false: not a number */

/* A string's value appended to `out`: escapes decoded, bad bytes and lone surrogates as U+FFFD.
 * Anything else appends nothing. */
void json_string(const struct json *doc, json_at at, struct buf *out);

/* A string's value as a fresh C string, or NULL when it is no string or contains U+0000. */
char *json_strdup(const struct json *doc, json_at at);

/* A string's value borrowed from the text where it is plain, else from `scratch`, which is reset
 * first. None when it is no string. */
struct str json_text(const struct json *doc, json_at at, struct buf *scratch);

/* --- where --- */

struct json_place {
    uint32_t line;   /* from 1 */
    uint32_t column; /* from 1, in characters (code points) */
};

struct json_place json_place(const struct json *doc, json_at at);
struct json_place json_place_of(struct str text, size_t offset);

/* The RFC 6901 pointer of a node appended to `out`: "/steps/2/title"; "" for the root. A key node
 * has the pointer of its value. */
void json_pointer(const struct json *doc, json_at at, struct buf *out);

/* --- writing --- */

enum json_style {
    JSON_COMPACT, /* no white space outside strings, members as they come */
    JSON_NBFORMAT /* as Python's json.dumps(indent=1, sort_keys=True, ensure_ascii=False) */
};

/* Appends a node. Numbers keep their bytes; strings are decoded and escaped anew as json_put_str
 * does (a lone surrogate keeps its \u escape). `depth` is the indentation to start from
 * (JSON_NBFORMAT: one space per level; the first line is not indented). No recursion. */
void json_write(const struct json *doc, json_at at, enum json_style style, unsigned depth,
                struct buf *out);

/* Appends a JSON string: quotes, and escapes only for `"`, `\` and characters below U+0020, as
 * Python does with ensure_ascii=False; bytes that are no UTF-8 become U+FFFD. */
void json_put_str(struct buf *out, struct str s);
void json_put_text(struct buf *out, const char *text); /* NULL writes null */

/* Members of an object under construction: `,` unless the object was just opened, then "key":. */
void json_put_key(struct buf *out, const char *key);
void json_put_member(struct buf *out, const char *key, const char *text); /* NULL: left out */
void json_put_member_int(struct buf *out, const char *key, int64_t value);
void json_put_member_raw(struct buf *out, const char *key, struct str json); /* none: left out */

#endif
