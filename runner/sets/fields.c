#include "runner/sets/fields.h"

#include "base/buf.h"

#include <assert.h>
#include <inttypes.h>

static const struct field *find(const struct field *fields, struct str name)
{
    for (const struct field *field = fields; field->name; field++)
        if (str_is(name, field->name))
            return field;
    return NULL;
}

static void add_unknown(const struct json *doc, json_at key, const struct field *fields,
                        struct problems *problems)
{
    const char *names[FIELDS_MAX + 1] = {0};
    auto_buf struct buf name = {0};

    for (unsigned i = 0; fields[i].name; i++) {
        assert(i < FIELDS_MAX);
        names[i] = fields[i].name;
    }
    json_string(doc, key, &name);
    const char *nearest = str_nearest(buf_text(&name), names);
    if (nearest)
        problems_add(problems, doc, key, "unknown field \"%s\"; did you mean \"%s\"?",
                     buf_text(&name), nearest);
    else
        problems_add(problems, doc, key, "unknown field \"%s\"", buf_text(&name));
}

static void check_kind(const struct json *doc, json_at value, const struct field *field,
                       struct problems *problems)
{
    enum json_kind found = json_kind(doc, value);

    if (found != field->kind && found != JSON_NULL && field->kind != JSON_ABSENT)
        problems_add(problems, doc, value, "must be %s, is %s", json_kind_name(field->kind),
                     json_kind_name(found));
}

bool fields_check(const struct json *doc, json_at at, const struct field *fields,
                  struct problems *problems)
{
    auto_buf struct buf scratch = {0};
    unsigned seen = 0;

    if (json_kind(doc, at) != JSON_OBJECT) {
        problems_add(problems, doc, at, "must be an object, is %s",
                     json_kind_name(json_kind(doc, at)));
        return false;
    }
    json_each (doc, at, key) {
        const struct field *field = find(fields, json_text(doc, key, &scratch));
        if (!field) {
            add_unknown(doc, key, fields, problems);
            continue;
        }
        unsigned bit = 1u << (field - fields);
        if (seen & bit)
            problems_add(problems, doc, key, "\"%s\" is there twice", field->name);
        seen |= bit;
        check_kind(doc, json_value(key), field, problems);
    }
    return true;
}

json_at fields_get(const struct json *doc, json_at at, const struct field *fields, const char *name)
{
    json_at value = json_get(doc, at, name);
    enum json_kind kind = json_kind(doc, value), wanted = find(fields, str_of(name))->kind;

    if (kind == JSON_NULL || (wanted != JSON_ABSENT && kind != wanted))
        return JSON_NONE;
    return value;
}

int64_t fields_whole(const struct json *doc, json_at at, int64_t least, int64_t most,
                     int64_t missing, struct problems *problems)
{
    int64_t value;

    if (at == JSON_NONE)
        return missing;
    if (json_int(doc, at, &value) && value >= least && value <= most)
        return value;
    problems_add(problems, doc, at, "must be a whole number from %" PRId64 " to %" PRId64, least,
                 most);
    return missing;
}
