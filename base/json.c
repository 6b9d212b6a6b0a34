/* Looking around in a document, and the values of its nodes. json_parse.c makes documents,
 * json_write.c turns them back into text.
 */
#include "base/json_internal.h"

#include <inttypes.h>

enum json_kind json_kind(const struct json *doc, json_at at)
{
    return at < doc->count ? (enum json_kind)doc->nodes[at].kind : JSON_ABSENT;
}

const char *json_kind_name(enum json_kind kind)
{
    switch (kind) {
    case JSON_ABSENT:
        return "nothing";
    case JSON_NULL:
        return "null";
    case JSON_BOOL:
        return "true or false";
    case JSON_NUMBER:
        return "a number";
    case JSON_STRING:
        return "a string";
    case JSON_ARRAY:
        return "an array";
    case JSON_OBJECT:
        return "an object";
    }
    return "nothing";
}

uint32_t json_count(const struct json *doc, json_at at)
{
    return at < doc->count ? doc->nodes[at].count : 0;
}

json_at json_value(json_at key)
{
    return key == JSON_NONE ? JSON_NONE : key + 1;
}

json_at json_first(const struct json *doc, json_at parent)
{
    return json_count(doc, parent) ? parent + 1 : JSON_NONE;
}

json_at json_next(const struct json *doc, json_at parent, json_at child)
{
    if (parent >= doc->count || child >= doc->count)
        return JSON_NONE;
    json_at last = doc->nodes[parent].kind == JSON_OBJECT ? json_value(child) : child;
    json_at next = doc->nodes[last].next;
    return next < doc->nodes[parent].next ? next : JSON_NONE;
}

json_at json_get(const struct json *doc, json_at object, const char *key)
{
    json_at found = JSON_NONE;
    if (json_kind(doc, object) != JSON_OBJECT)
        return found;
    json_each (doc, object, at) {
        if (json_is(doc, at, key))
            found = json_value(at);
    }
    return found;
}

json_at json_item(const struct json *doc, json_at array, uint32_t index)
{
    if (json_kind(doc, array) != JSON_ARRAY || index >= json_count(doc, array))
        return JSON_NONE;
    json_at at = array + 1;
    for (uint32_t i = 0; i < index; i++)
        at = doc->nodes[at].next;
    return at;
}

/* --- values --- */

static unsigned hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    return (unsigned)((c | 0x20) - 'a') + 10;
}

static uint32_t hex_four(const char *p)
{
    return hex_digit(p[0]) << 12 | hex_digit(p[1]) << 8 | hex_digit(p[2]) << 4 | hex_digit(p[3]);
}

uint32_t json_read_escape(const char *p, const char *end, size_t *ret_len)
{
    *ret_len = 2;
    switch (p[1]) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        break;
    default:
        return (unsigned char)p[1];
    }
    *ret_len = 6;
    uint32_t high = hex_four(p + 2);
    if (high < 0xd800 || high > 0xdbff || end - p < 12 || p[6] != '\\' || p[7] != 'u')
        return high;
    uint32_t low = hex_four(p + 8);
    if (low < 0xdc00 || low > 0xdfff)
        return high;
    *ret_len = 12;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

void json_put_point(struct buf *out, uint32_t point)
{
    if (point < 0x80) {
        buf_putc(out, (char)point);
        return;
    }
    if (point < 0x800) {
        buf_putc(out, (char)(0xc0 | point >> 6));
    } else {
        if (point < 0x10000) {
            buf_putc(out, (char)(0xe0 | point >> 12));
        } else {
            buf_putc(out, (char)(0xf0 | point >> 18));
            buf_putc(out, (char)(0x80 | (point >> 12 & 0x3f)));
        }
        buf_putc(out, (char)(0x80 | (point >> 6 & 0x3f)));
    }
    buf_putc(out, (char)(0x80 | (point & 0x3f)));
}

void json_decode(struct buf *out, struct str s, enum json_lone_surrogates lone)
{
    const char *p = s.text, *from = p, *end = p + s.len;
    while ((p = json_find_stop(p, end)) < end) {
        size_t len = *p == '\\' ? 0 : str_utf8_len(p, end);
        if (len > 0) {
            p += len;
            continue;
        }
        buf_put(out, from, (size_t)(p - from));
        if (*p == '\\') {
            uint32_t point = json_read_escape(p, end, &len);
            json_put_point(out, json_is_surrogate(point) && lone == LONE_REPLACED ? 0xfffd : point);
        } else {
            buf_puts(out, JSON_REPLACEMENT);
            len = 1;
        }
        p += len;
        from = p;
    }
    buf_put(out, from, (size_t)(p - from));
}

struct str json_raw(const struct json *doc, json_at at)
{
    if (at >= doc->count)
        return (struct str){0};
    const struct json_node *node = &doc->nodes[at];
    return (struct str){doc->text + node->start, node->end - node->start};
}

bool json_is(const struct json *doc, json_at at, const char *text)
{
    if (json_kind(doc, at) != JSON_STRING)
        return false;
    const struct json_node *node = &doc->nodes[at];
    if (node->plain)
        return str_is(json_inside(doc, node), text);
    auto_buf struct buf value = {0};
    json_decode(&value, json_inside(doc, node), LONE_REPLACED);
    return str_is((struct str){buf_text(&value), value.len}, text);
}

bool json_is_true(const struct json *doc, json_at at)
{
    return json_kind(doc, at) == JSON_BOOL && doc->text[doc->nodes[at].start] == 't';
}

bool json_int(const struct json *doc, json_at at, int64_t *out)
{
    if (json_kind(doc, at) != JSON_NUMBER)
        return false;
    struct str raw = json_raw(doc, at);
    bool negative = raw.text[0] == '-';
    int64_t value = 0; /* built on the negative side, which is one longer */
    for (size_t i = negative; i < raw.len; i++) {
        if (raw.text[i] < '0' || raw.text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, raw.text[i] - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow(0, value, &value))
        return false;
    *out = value;
    return true;
}

bool json_double(const struct json *doc, json_at at, double *out)
{
    if (json_kind(doc, at) != JSON_NUMBER)
        return false;
    struct str raw = json_raw(doc, at);
    auto_free char *text = mem_strndup(raw.text, raw.len); /* strtod wants an end */
    *out = strtod(text, NULL);
    return true;
}

void json_string(const struct json *doc, json_at at, struct buf *out)
{
    if (json_kind(doc, at) != JSON_STRING)
        return;
    const struct json_node *node = &doc->nodes[at];
    struct str s = json_inside(doc, node);
    if (node->plain)
        buf_put(out, s.text, s.len);
    else
        json_decode(out, s, LONE_REPLACED);
}

char *json_strdup(const struct json *doc, json_at at)
{
    if (json_kind(doc, at) != JSON_STRING)
        return NULL;
    const struct json_node *node = &doc->nodes[at];
    struct str s = json_inside(doc, node);
    if (node->plain)
        return mem_strndup(s.text, s.len);
    auto_buf struct buf value = {0};
    json_decode(&value, s, LONE_REPLACED);
    return memchr(buf_text(&value), 0, value.len) ? NULL : buf_take(&value);
}

struct str json_text(const struct json *doc, json_at at, struct buf *scratch)
{
    if (json_kind(doc, at) != JSON_STRING)
        return (struct str){0};
    const struct json_node *node = &doc->nodes[at];
    if (node->plain)
        return json_inside(doc, node);
    buf_reset(scratch);
    json_decode(scratch, json_inside(doc, node), LONE_REPLACED);
    return (struct str){buf_text(scratch), scratch->len};
}

/* --- where --- */

struct json_place json_place_of(struct str text, size_t offset)
{
    struct json_place place = {.line = 1, .column = 1};
    const char *p = text.text, *end = p + (offset < text.len ? offset : text.len);
    if (end - p >= 3 && memcmp(p, JSON_BYTE_ORDER_MARK, 3) == 0)
        p += 3;
    for (const char *newline; p < end && (newline = memchr(p, '\n', (size_t)(end - p)));) {
        place.line++;
        p = newline + 1;
    }
    for (; p < end; p++)
        place.column += ((unsigned char)*p & 0xc0) != 0x80; /* each but continuation bytes */
    return place;
}

struct json_place json_place(const struct json *doc, json_at at)
{
    size_t offset = at < doc->count ? doc->nodes[at].start : 0;
    return json_place_of((struct str){doc->text, doc->len}, offset);
}

static void put_pointer_name(struct buf *out, const struct json *doc, json_at key)
{
    auto_buf struct buf scratch = {0};
    struct str name = json_text(doc, key, &scratch);
    for (size_t i = 0; i < name.len; i++) {
        if (name.text[i] == '~')
            buf_puts(out, "~0");
        else if (name.text[i] == '/')
            buf_puts(out, "~1");
        else
            buf_putc(out, name.text[i]);
    }
}

void json_pointer(const struct json *doc, json_at at, struct buf *out)
{
    buf_puts(out, "");
    if (at >= doc->count)
        return;
    json_at parent = 0;
    while (parent != at) { /* into the child that holds it */
        bool is_object = doc->nodes[parent].kind == JSON_OBJECT;
        json_at child = parent + 1, value = child + is_object;
        uint32_t index = 0;
        while (doc->nodes[value].next <= at) {
            child = doc->nodes[value].next;
            value = child + is_object;
            index++;
        }
        buf_putc(out, '/');
        if (is_object)
            put_pointer_name(out, doc, child);
        else
            buf_printf(out, "%" PRIu32, index);
        if (at == child)
            return;
        parent = value;
    }
}
