/* Reading. One pass over the text by a small state machine; no stack beside the nodes: while a
 * container is open, its `next` holds the index of the container around it, and gets its final
 * meaning when it closes.
 */
#include "base/json_internal.h"
#include "base/limits.h"

#include <inttypes.h>
#include <stdio.h>

#define LIMIT_CHILDREN ((1u << 28) - 1) /* what json_node.count holds */

struct scan {
    const char *text;
    const char *p;
    const char *end;
    struct json_node *nodes;
    uint32_t count;
    uint32_t capacity;
    uint32_t open; /* the innermost open container, or JSON_NONE */
    uint32_t depth;
    enum json_dialect dialect;
    enum err_code code; /* of a failure, which is at p */
    char detail[120];
};

static int fail(struct scan *s, const char *where, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fail(struct scan *s, const char *where, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->detail, sizeof s->detail, format, args);
    va_end(args);
    s->p = where;
    s->code = ERR_INVALID;
    return -1;
}

static int fail_limit(struct scan *s, const char *format, unsigned limit)
{
    fail(s, s->p, format, limit);
    s->code = ERR_LIMIT;
    return -1;
}

/* "expected WHAT, found ..." */
static int fail_expected(struct scan *s, const char *what)
{
    if (s->p == s->end)
        return fail(s, s->p, "expected %s, found the end of the text", what);
    unsigned char c = (unsigned char)*s->p;
    size_t len = str_utf8_len(s->p, s->end);
    if (c < 0x20 || c == 0x7f)
        return fail(s, s->p, "expected %s, found the control character U+%04X", what, c);
    if (len == 0)
        return fail(s, s->p, "expected %s, found a byte that is no UTF-8 (0x%02x)", what, c);
    return fail(s, s->p, "expected %s, found \"%.*s\"", what, (int)len, s->p);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

/* A node that starts at p; its end and next are set when they are known. */
static struct json_node *add_node(struct scan *s, enum json_kind kind)
{
    mem_grow(s->nodes, s->count, s->capacity);
    struct json_node *node = &s->nodes[s->count++];
    *node = (struct json_node){.start = (uint32_t)(s->p - s->text), .kind = kind & 7};
    return node;
}

static void end_leaf(struct scan *s, struct json_node *node)
{
    node->end = (uint32_t)(s->p - s->text);
    node->next = s->count;
}

static int count_child(struct scan *s)
{
    if (s->open == JSON_NONE)
        return 0;
    if (s->nodes[s->open].count == LIMIT_CHILDREN)
        return fail_limit(s, "more than %u elements in an array or object", LIMIT_CHILDREN);
    s->nodes[s->open].count++;
    return 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_digit(const struct scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* Over the escape at p. */
static int scan_escape(struct scan *s)
{
    const char *from = s->p;
    if (s->end - from < 2)
        return fail(s, s->end, "a string without an end");
    if (strchr("\"\\/bfnrt", from[1]) && from[1] != 0) {
        s->p += 2;
        return 0;
    }
    if (from[1] != 'u') {
        if (from[1] > 0x20 && from[1] < 0x7f)
            return fail(s, from, "unknown escape \"\\%c\" in a string", from[1]);
        return fail(s, from, "unknown escape in a string");
    }
    for (int i = 2; i < 6; i++) {
        if (from + i >= s->end || !is_hex(from[i]))
            return fail(s, from, "\"\\u\" without four hexadecimal digits behind it");
    }
    s->p += 6;
    return 0;
}

/* Over what json_find_stop found at p, which is no quote; *plain becomes false when the text of the
 * string is not its value. */
static int scan_special(struct scan *s, bool *plain)
{
    unsigned char c = (unsigned char)*s->p;
    if (c == '\\') {
        *plain = false;
        return scan_escape(s);
    }
    size_t len = c < 0x20 ? 0 : str_utf8_len(s->p, s->end);
    if (len == 0) {
        if (s->dialect == JSON_STRICT && c < 0x20)
            return fail(s, s->p, "a raw control character (U+%04X) in a string", c);
        if (s->dialect == JSON_STRICT)
            return fail(s, s->p, "a byte that is no UTF-8 (0x%02x) in a string", c);
        *plain = false;
        len = 1;
    }
    s->p += len;
    return 0;
}

static int scan_string(struct scan *s)
{
    const char *from = s->p;
    struct json_node *node = add_node(s, JSON_STRING);
    bool plain = true;
    s->p++;
    for (;;) {
        s->p = json_find_stop(s->p, s->end);
        if (s->p == s->end)
            return fail(s, from, "a string without an end");
        if (*s->p == '"')
            break;
        if (scan_special(s, &plain))
            return -1;
    }
    s->p++;
    node->plain = plain;
    end_leaf(s, node);
    return 0;
}

static int scan_digits(struct scan *s, const char *behind)
{
    if (!is_digit(s))
        return fail(s, s->p, "expected a digit behind %s of a number", behind);
    while (is_digit(s))
        s->p++;
    return 0;
}

static bool skip_word(struct scan *s, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return false;
    s->p += len;
    return true;
}

static int scan_number(struct scan *s)
{
    struct json_node *node = add_node(s, JSON_NUMBER);
    if (*s->p == '-')
        s->p++;
    if (s->dialect == JSON_TOLERANT && skip_word(s, "Infinity")) {
        end_leaf(s, node);
        return 0;
    }
    const char *digits = s->p;
    if (scan_digits(s, "the sign"))
        return -1;
    if (*digits == '0' && s->p > digits + 1)
        return fail(s, digits, "a number that starts with \"0\"");
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (scan_digits(s, "the point"))
            return -1;
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        if (scan_digits(s, "the exponent"))
            return -1;
    }
    end_leaf(s, node);
    return 0;
}

static int scan_word(struct scan *s)
{
    struct json_node *node = add_node(s, JSON_NULL);
    if (skip_word(s, "true") || skip_word(s, "false"))
        node->kind = JSON_BOOL;
    else if (s->dialect == JSON_TOLERANT && (skip_word(s, "NaN") || skip_word(s, "Infinity")))
        node->kind = JSON_NUMBER;
    else if (!skip_word(s, "null"))
        return fail_expected(s, "a value");
    end_leaf(s, node);
    return 0;
}

enum expected { A_VALUE, A_VALUE_OR_END, A_NAME, A_NAME_OR_END, A_COMMA_OR_END };

static int open_container(struct scan *s, enum json_kind kind)
{
    if (s->depth == LIMIT_JSON_DEPTH)
        return fail_limit(s, "more than %u levels of arrays and objects", LIMIT_JSON_DEPTH);
    struct json_node *node = add_node(s, kind);
    node->next = s->open;
    s->open = s->count - 1;
    s->depth++;
    s->p++;
    return 0;
}

static void close_container(struct scan *s)
{
    struct json_node *node = &s->nodes[s->open];
    s->p++;
    s->open = node->next;
    s->depth--;
    end_leaf(s, node);
}

static int scan_value(struct scan *s, enum expected *next)
{
    if (s->open != JSON_NONE && s->nodes[s->open].kind == JSON_ARRAY && count_child(s))
        return -1;
    *next = A_COMMA_OR_END;
    switch (*s->p) {
    case '{':
        *next = A_NAME_OR_END;
        return open_container(s, JSON_OBJECT);
    case '[':
        *next = A_VALUE_OR_END;
        return open_container(s, JSON_ARRAY);
    case '"':
        return scan_string(s);
    case '-':
    case '0' ... '9':
        return scan_number(s);
    default:
        return scan_word(s);
    }
}

static int scan_name(struct scan *s)
{
    if (*s->p != '"')
        return fail_expected(s, "a name in double quotes");
    if (count_child(s) || scan_string(s))
        return -1;
    skip_space(s);
    if (s->p == s->end || *s->p != ':')
        return fail_expected(s, "\":\" behind a name");
    s->p++;
    return 0;
}

static const char *separators(const struct scan *s)
{
    return s->nodes[s->open].kind == JSON_ARRAY ? "\",\" or \"]\"" : "\",\" or \"}\"";
}

static int scan_separator(struct scan *s, enum expected *next)
{
    bool in_array = s->nodes[s->open].kind == JSON_ARRAY;
    if (*s->p == (in_array ? ']' : '}')) {
        close_container(s);
        return 0;
    }
    if (*s->p != ',')
        return fail_expected(s, separators(s));
    s->p++;
    *next = in_array ? A_VALUE : A_NAME;
    return 0;
}

static int fail_ended(struct scan *s, enum expected expected)
{
    switch (expected) {
    case A_VALUE:
        break;
    case A_VALUE_OR_END:
        return fail_expected(s, "a value or \"]\"");
    case A_NAME:
        return fail_expected(s, "a name in double quotes");
    case A_NAME_OR_END:
        return fail_expected(s, "a name in double quotes or \"}\"");
    case A_COMMA_OR_END:
        return fail_expected(s, separators(s));
    }
    return fail_expected(s, "a value");
}

/* One value, name, separator or end. */
static int scan_one(struct scan *s, enum expected *expected)
{
    if ((*expected == A_VALUE_OR_END && *s->p == ']') ||
        (*expected == A_NAME_OR_END && *s->p == '}'))
        *expected = A_COMMA_OR_END;
    switch (*expected) {
    case A_VALUE:
    case A_VALUE_OR_END:
        return scan_value(s, expected);
    case A_NAME:
    case A_NAME_OR_END:
        *expected = A_VALUE;
        return scan_name(s);
    case A_COMMA_OR_END:
        break;
    }
    return scan_separator(s, expected);
}

static int scan_document(struct scan *s)
{
    skip_word(s, JSON_BYTE_ORDER_MARK);
    enum expected expected = A_VALUE;
    for (;;) {
        skip_space(s);
        if (s->open == JSON_NONE && expected == A_COMMA_OR_END)
            return s->p == s->end ? 0 : fail_expected(s, "the end of the text");
        if (s->p == s->end)
            return fail_ended(s, expected);
        if (scan_one(s, &expected))
            return -1;
    }
}

int json_parse(struct json *doc, struct str text, enum json_dialect dialect, size_t *ret_offset,
               struct err *e)
{
    *doc = (struct json){0};
    if (text.len >= UINT32_MAX) {
        if (ret_offset)
            *ret_offset = 0;
        return err_set(e, ERR_LIMIT, "line 1, column 1: a JSON text of 4 GiB or more");
    }
    const char *start = text.text ? text.text : "";
    struct scan s = {
        .text = start,
        .p = start,
        .end = start + text.len,
        .open = JSON_NONE,
        .dialect = dialect,
        .capacity = (uint32_t)(text.len / 16 < 4096 ? text.len / 16 + 8 : 4096),
    };
    s.nodes = mem_resize(NULL, s.capacity, sizeof *s.nodes);
    if (scan_document(&s)) {
        size_t offset = (size_t)(s.p - start);
        struct json_place place = json_place_of((struct str){start, text.len}, offset);
        free(s.nodes);
        if (ret_offset)
            *ret_offset = offset;
        return err_set(e, s.code, "line %" PRIu32 ", column %" PRIu32 ": %s", place.line,
                       place.column, s.detail);
    }
    *doc = (struct json){.text = start, .len = text.len, .nodes = s.nodes, .count = s.count};
    return 0;
}

int json_parse_take(struct json *doc, char *text, size_t len, enum json_dialect dialect,
                    size_t *ret_offset, struct err *e)
{
    if (json_parse(doc, (struct str){text, len}, dialect, ret_offset, e)) {
        free(text);
        return -1;
    }
    doc->owned = text;
    return 0;
}

void json_clear(struct json *doc)
{
    free(doc->nodes);
    free(doc->owned);
    *doc = (struct json){0};
}
