#include "api/server/target.h"

#include <stdbool.h>

enum part { PART_PATH, PART_QUERY };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool is_utf8(const char *p, const char *end)
{
    while (p < end) {
        size_t len = str_utf8_len(p, end);
        if (len == 0)
            return false;
        p += len;
    }
    return true;
}

/* Decodes in place, ends with a NUL (there is room: a separator or the end follows). -1: refused.
 */
static int decode(char *text, size_t len, enum part part, struct str *ret)
{
    char *out = text;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (c == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text[i + 2]) : -1;
            if (low < 0)
                return -1;
            c = (char)(high << 4 | low);
            i += 2;
        } else if (c == '+' && part == PART_QUERY) {
            c = ' ';
        } else if ((unsigned char)c <= ' ') {
            return -1; /* has to be escaped */
        }
        if (c == 0 || (part == PART_PATH && ((unsigned char)c < ' ' || c == 0x7f)))
            return -1;
        *out++ = c;
    }
    *out = 0;
    *ret = (struct str){text, (size_t)(out - text)};
    return is_utf8(text, out) ? 0 : -1;
}

static int parse_path(struct target *target, char *path, size_t len, struct err *e)
{
    char *end = path + len;

    for (char *p = path + 1;;) {
        char *slash = memchr(p, '/', (size_t)(end - p));
        char *stop = slash ? slash : end;
        if (target->segment_count == TARGET_SEGMENTS)
            return err_set(e, ERR_INVALID, "the path has too many segments");
        if (decode(p, (size_t)(stop - p), PART_PATH, &target->segments[target->segment_count++]) <
            0)
            return err_set(e, ERR_INVALID, "the path has a bad escape or character");
        if (!slash)
            return 0;
        p = slash + 1;
    }
}

static int parse_parameter(struct target *target, char *text, size_t len, struct err *e)
{
    struct str name, value = {"", 0};
    char *equals = memchr(text, '=', len);
    size_t name_len = equals ? (size_t)(equals - text) : len;

    if (target->query_count == TARGET_QUERIES)
        return err_set(e, ERR_INVALID, "there are too many query parameters");
    if ((equals && decode(equals + 1, len - name_len - 1, PART_QUERY, &value) < 0) ||
        decode(text, name_len, PART_QUERY, &name) < 0)
        return err_set(e, ERR_INVALID, "the query has a bad escape or character");
    target->queries[target->query_count++] = (struct target_query){name.text, value.text};
    return 0;
}

static int parse_query(struct target *target, char *query, struct err *e)
{
    for (char *p = query; p;) {
        char *ampersand = strchr(p, '&');
        size_t len = ampersand ? (size_t)(ampersand - p) : strlen(p);
        if (len > 0 && parse_parameter(target, p, len, e) < 0)
            return -1;
        p = ampersand ? ampersand + 1 : NULL;
    }
    return 0;
}

int target_parse(struct target *target, char *text, struct err *e)
{
    char *mark = strchr(text, '?');

    target->segment_count = target->query_count = 0;
    if (text[0] != '/')
        return err_set(e, ERR_INVALID, "the request target must be a path");
    if (parse_path(target, text, mark ? (size_t)(mark - text) : strlen(text), e) < 0)
        return -1;
    return mark ? parse_query(target, mark + 1, e) : 0;
}

const char *target_query(const struct target *target, const char *name)
{
    for (unsigned i = 0; i < target->query_count; i++)
        if (strcmp(target->queries[i].name, name) == 0)
            return target->queries[i].value;
    return NULL;
}

static bool is_known(const char *name, const char *const *known)
{
    for (; known && *known; known++)
        if (strcmp(name, *known) == 0)
            return true;
    return false;
}

static bool is_against_caches(const struct target_query *query)
{
    return query->name[0] && query->name[strspn(query->name, "0123456789")] == 0 &&
           query->value[0] == 0;
}

int target_check_queries(const struct target *target, const char *const *known, struct err *e)
{
    for (unsigned i = 0; i < target->query_count; i++) {
        const struct target_query *query = &target->queries[i];
        if (is_known(query->name, known) || is_against_caches(query))
            continue;
        const char *nearest = known ? str_nearest(query->name, known) : NULL;
        if (nearest)
            return err_set(e, ERR_INVALID, "unknown query parameter \"%s\"; did you mean \"%s\"?",
                           query->name, nearest);
        return err_set(e, ERR_INVALID, "unknown query parameter \"%s\"", query->name);
    }
    return 0;
}
