#include "api/service/body.h"

#include <assert.h>

static struct str bytes_of(const struct exchange *exchange)
{
    struct str body = exchange_body(exchange);

    return body.len > 0 ? body : STR("{}");
}

int body_parse(struct exchange *exchange, struct json *ret_body)
{
    auto_problems struct problems problems = {0};
    struct str body = bytes_of(exchange);
    struct err e;
    size_t offset;

    if (json_parse(ret_body, body, JSON_STRICT, &offset, &e) == 0)
        return 0;
    const char *detail = strstr(e.text, ": "); /* behind "line L, column C" */
    problems_add_place(&problems, "", json_place_of(body, offset), "%s",
                       detail ? detail + 2 : e.text);
    err_prefix(&e, "the body is no JSON");
    exchange_answer_problem(exchange, 400, e.text, &problems);
    return -1;
}

int body_must_be_empty(struct exchange *exchange)
{
    static const struct body_field none[] = {{0}};
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    struct err e;

    if (body_parse(exchange, &body) < 0)
        return -1;
    body_check(&body, none, &problems);
    if (problems.total == 0)
        return 0;
    problems_to_err(&problems, &e);
    exchange_answer_err(exchange, &e, &problems);
    return -1;
}

static const struct body_field *find(const struct body_field *fields, struct str name)
{
    for (const struct body_field *field = fields; field->name; field++)
        if (str_is(name, field->name))
            return field;
    return NULL;
}

static void add_unknown(const struct json *body, json_at key, const struct body_field *fields,
                        struct problems *problems)
{
    const char *names[BODY_FIELDS_MAX + 1] = {0};
    auto_buf struct buf name = {0};

    for (unsigned i = 0; fields[i].name; i++) {
        assert(i < BODY_FIELDS_MAX);
        names[i] = fields[i].name;
    }
    json_string(body, key, &name);
    const char *nearest = str_nearest(buf_text(&name), names);
    if (nearest)
        problems_add(problems, body, key, "unknown field \"%s\"; did you mean \"%s\"?",
                     buf_text(&name), nearest);
    else
        problems_add(problems, body, key, "unknown field \"%s\"", buf_text(&name));
}

static void check_kind(const struct json *body, json_at value, const struct body_field *field,
                       struct problems *problems)
{
    enum json_kind found = json_kind(body, value);

    if (found == field->kind || (found == JSON_NULL && field->need == FIELD_OPTIONAL))
        return;
    problems_add(problems, body, value, "must be %s, is %s", json_kind_name(field->kind),
                 json_kind_name(found));
}

bool body_check(const struct json *body, const struct body_field *fields, struct problems *problems)
{
    auto_buf struct buf scratch = {0};
    unsigned seen = 0;

    if (json_kind(body, 0) != JSON_OBJECT) {
        problems_add(problems, body, 0, "the body must be an object, is %s",
                     json_kind_name(json_kind(body, 0)));
        return false;
    }
    json_each (body, 0, key) {
        const struct body_field *field = find(fields, json_text(body, key, &scratch));
        if (!field) {
            add_unknown(body, key, fields, problems);
            continue;
        }
        unsigned bit = 1u << (field - fields);
        if (seen & bit)
            problems_add(problems, body, key, "\"%s\" is there twice", field->name);
        seen |= bit;
        check_kind(body, json_value(key), field, problems);
    }
    for (const struct body_field *field = fields; field->name; field++)
        if (field->need == FIELD_REQUIRED && !(seen & 1u << (field - fields)))
            problems_add(problems, body, 0, "\"%s\" is missing", field->name);
    return true;
}

json_at body_get(const struct json *body, const struct body_field *fields, const char *name)
{
    json_at at = json_get(body, 0, name);

    return json_kind(body, at) == find(fields, str_of(name))->kind ? at : JSON_NONE;
}

uint32_t body_seconds(const struct json *body, json_at at, uint32_t most, struct problems *problems)
{
    int64_t seconds = 0;

    if (at == JSON_NONE)
        return 0;
    if (json_int(body, at, &seconds) && seconds >= 0 && seconds <= most)
        return (uint32_t)seconds;
    problems_add(problems, body, at, "must be a number of seconds, 0 to %u, whole", most);
    return 0;
}
