/* Everything that is written goes through an nb_object at the levels where nbformat changes
 * something (the file, cells, outputs, mime bundles) and through json_write below them. A member is
 * a name and how to write its value; sorting by name and, among equals, by the order of adding
 * makes "the last one counts" a matter of looking at the neighbour. Bytes of valid UTF-8 compare in
 * the order of code points, which is Python's. */
#include "runner/notebook/nbformat.h"

#include "base/mem.h"

enum member_kind {
    MEMBER_NODE,
    MEMBER_RAW,
    MEMBER_TEXT,
    MEMBER_LINES,
    MEMBER_CALL,
    MEMBER_DROPPED,
};

struct nb_member {
    char *key;
    size_t key_len;
    size_t order;
    enum member_kind kind;
    const struct json *doc; /* NODE */
    json_at at;
    struct str text; /* RAW, TEXT, LINES */
    nb_write_fn *write;
    const void *user;
};

/* --- texts --- */

/* Length of a line break that starts at `p`, 0 when none does. */
static size_t break_len(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);

    if (*p == '\r')
        return left > 1 && p[1] == '\n' ? 2 : 1;
    if ((*u >= '\n' && *u <= '\f') || (*u >= 0x1c && *u <= 0x1e))
        return 1;
    if (*u == 0xc2 && left > 1 && u[1] == 0x85)
        return 2;
    if (*u == 0xe2 && left > 2 && u[1] == 0x80 && (u[2] == 0xa8 || u[2] == 0xa9))
        return 3;
    return 0;
}

size_t nb_line_len(struct str text)
{
    const char *end = text.text + text.len;

    for (const char *p = text.text; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c > 0x1e && c != 0xc2 && c != 0xe2)
            continue;
        size_t len = break_len(p, end);
        if (len > 0)
            return (size_t)(p - text.text) + len;
    }
    return text.len;
}

void nb_write_break(unsigned depth, struct buf *out)
{
    buf_reserve(out, depth + 1);
    buf_putc(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_putc(out, ' ');
}

void nb_write_lines(struct str text, unsigned depth, struct buf *out)
{
    if (text.len == 0) {
        buf_puts(out, "[]");
        return;
    }
    char separator = '[';
    while (text.len > 0) {
        size_t len = nb_line_len(text);
        buf_putc(out, separator);
        nb_write_break(depth + 1, out);
        json_put_str(out, (struct str){text.text, len});
        text = (struct str){text.text + len, text.len - len};
        separator = ',';
    }
    nb_write_break(depth, out);
    buf_putc(out, ']');
}

bool nb_join(const struct json *doc, json_at at, struct buf *out)
{
    if (json_kind(doc, at) == JSON_STRING) {
        json_string(doc, at, out);
        return true;
    }
    if (json_kind(doc, at) != JSON_ARRAY)
        return false;
    json_each (doc, at, line) {
        if (json_kind(doc, line) != JSON_STRING)
            return false;
    }
    json_each (doc, at, line)
        json_string(doc, line, out);
    return true;
}

/* --- mime bundles --- */

static bool starts_with(struct str s, const char *prefix)
{
    size_t len = strlen(prefix);
    return s.len >= len && memcmp(s.text, prefix, len) == 0;
}

static bool ends_with(struct str s, const char *suffix)
{
    size_t len = strlen(suffix);
    return s.len >= len && memcmp(s.text + s.len - len, suffix, len) == 0;
}

static bool is_json_type(struct str type)
{
    return str_is(type, "application/json") ||
           (starts_with(type, "application/") && ends_with(type, "+json"));
}

static bool is_written_in_lines(struct str type)
{
    return starts_with(type, "text/") || str_is(type, "image/svg+xml") ||
           str_is(type, "application/javascript");
}

struct bundle_value {
    const struct json *doc;
    json_at at;
    struct buf type;
};

static void write_bundle_value(const void *user, unsigned depth, struct buf *out)
{
    const struct bundle_value *value = user;
    struct str type = {buf_text(&value->type), value->type.len};
    auto_buf struct buf text = {0};
    bool is_list = json_kind(value->doc, value->at) == JSON_ARRAY;

    if ((is_list && is_json_type(type)) || !nb_join(value->doc, value->at, &text))
        json_write(value->doc, value->at, JSON_NBFORMAT, depth, out);
    else if (is_written_in_lines(type))
        nb_write_lines((struct str){buf_text(&text), text.len}, depth, out);
    else
        json_put_str(out, (struct str){buf_text(&text), text.len});
}

void nb_write_bundle(const struct json *doc, json_at at, unsigned depth, struct buf *out)
{
    auto_nb_object struct nb_object object = {0};

    if (json_kind(doc, at) != JSON_OBJECT) {
        json_write(doc, at, JSON_NBFORMAT, depth, out);
        return;
    }
    auto_free struct bundle_value *values = mem_array(json_count(doc, at) + 1ul, sizeof *values);
    struct bundle_value *value = values;
    json_each (doc, at, key) {
        value->doc = doc;
        value->at = json_value(key);
        json_string(doc, key, &value->type);
        nb_add_call_str(&object, (struct str){buf_text(&value->type), value->type.len},
                        write_bundle_value, value);
        value++;
    }
    nb_object_write(&object, depth, out);
    while (value > values)
        buf_clear(&(--value)->type);
}

/* --- objects --- */

void nb_object_clear(struct nb_object *object)
{
    for (size_t i = 0; i < object->count; i++)
        free(object->members[i].key);
    free(object->members);
    *object = (struct nb_object){0};
}

static struct nb_member *add(struct nb_object *object, struct str key, enum member_kind kind)
{
    mem_grow(object->members, object->count, object->capacity);
    struct nb_member *member = &object->members[object->count];
    *member = (struct nb_member){.order = object->count, .kind = kind, .key_len = key.len};
    member->key = mem_strndup(key.text, key.len);
    object->count++;
    return member;
}

void nb_add_node(struct nb_object *object, const char *key, const struct json *doc, json_at at)
{
    struct nb_member *member = add(object, str_of(key), MEMBER_NODE);
    member->doc = doc;
    member->at = at;
}

void nb_add_all(struct nb_object *object, const struct json *doc, json_at from)
{
    auto_buf struct buf scratch = {0};

    if (json_kind(doc, from) != JSON_OBJECT)
        return;
    json_each (doc, from, key) {
        struct nb_member *member = add(object, json_text(doc, key, &scratch), MEMBER_NODE);
        member->doc = doc;
        member->at = json_value(key);
    }
}

void nb_add_raw(struct nb_object *object, const char *key, struct str json)
{
    add(object, str_of(key), MEMBER_RAW)->text = json;
}

void nb_add_text(struct nb_object *object, const char *key, const char *text)
{
    if (text)
        add(object, str_of(key), MEMBER_TEXT)->text = str_of(text);
    else
        nb_add_raw(object, key, STR("null"));
}

void nb_add_lines(struct nb_object *object, const char *key, struct str text)
{
    add(object, str_of(key), MEMBER_LINES)->text = text;
}

void nb_add_call_str(struct nb_object *object, struct str key, nb_write_fn *write, const void *user)
{
    struct nb_member *member = add(object, key, MEMBER_CALL);
    member->write = write;
    member->user = user;
}

void nb_add_call(struct nb_object *object, const char *key, nb_write_fn *write, const void *user)
{
    nb_add_call_str(object, str_of(key), write, user);
}

void nb_drop(struct nb_object *object, const char *key)
{
    add(object, str_of(key), MEMBER_DROPPED);
}

static int compare_keys(const struct nb_member *a, const struct nb_member *b)
{
    size_t len = a->key_len < b->key_len ? a->key_len : b->key_len;
    int order = memcmp(a->key, b->key, len);

    return order ? order : (a->key_len > b->key_len) - (a->key_len < b->key_len);
}

static int compare(const void *left, const void *right)
{
    const struct nb_member *a = left, *b = right;
    int order = compare_keys(a, b);

    return order ? order : (a->order > b->order) - (a->order < b->order);
}

static void write_value(const struct nb_member *member, unsigned depth, struct buf *out)
{
    switch (member->kind) {
    case MEMBER_NODE:
        json_write(member->doc, member->at, JSON_NBFORMAT, depth, out);
        break;
    case MEMBER_RAW:
        buf_put(out, member->text.text, member->text.len);
        break;
    case MEMBER_TEXT:
        json_put_str(out, member->text);
        break;
    case MEMBER_LINES:
        nb_write_lines(member->text, depth, out);
        break;
    case MEMBER_CALL:
        member->write(member->user, depth, out);
        break;
    case MEMBER_DROPPED:
        break;
    }
}

void nb_object_write(struct nb_object *object, unsigned depth, struct buf *out)
{
    char separator = '{';

    if (object->count > 1)
        qsort(object->members, object->count, sizeof *object->members, compare);
    for (size_t i = 0; i < object->count; i++) {
        const struct nb_member *member = &object->members[i];
        bool is_last = i + 1 == object->count || compare_keys(member, member + 1) != 0;
        if (!is_last || member->kind == MEMBER_DROPPED)
            continue;
        buf_putc(out, separator);
        nb_write_break(depth + 1, out);
        json_put_str(out, (struct str){member->key, member->key_len});
        buf_puts(out, ": ");
        write_value(member, depth + 1, out);
        separator = ',';
    }
    if (separator == '{') {
        buf_puts(out, "{}");
        return;
    }
    nb_write_break(depth, out);
    buf_putc(out, '}');
}
