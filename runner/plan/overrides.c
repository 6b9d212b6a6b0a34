/* The definition is copied from front to back, and at the place of each parameters object that is
 * touched the new object is written in its stead. */
#include "runner/plan/overrides.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A place in the text where something else is written. */
struct splice {
    size_t start, end;
    struct buf text;
};

static int by_start(const void *a, const void *b)
{
    const struct splice *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

static bool is_overridden(const struct override *overrides, size_t count, uint32_t step,
                          struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (overrides[i].step == step && str_is(name, overrides[i].name))
            return true;
    return false;
}

static bool is_repeated(const struct override *overrides, size_t count, size_t index)
{
    for (size_t i = index + 1; i < count; i++)
        if (overrides[i].step == overrides[index].step &&
            strcmp(overrides[i].name, overrides[index].name) == 0)
            return true;
    return false;
}

/* A member, with its name and value as they stand in their documents. */
static void put_member(struct buf *out, struct str name, struct str value)
{
    if (out->len > 0 && out->data[out->len - 1] != '{')
        buf_putc(out, ',');
    buf_put(out, name.text, name.len);
    buf_putc(out, ':');
    buf_put(out, value.text, value.len);
}

/* The object as it is to be: kept members, then overrides. */
static void put_object(struct buf *out, const struct parameters *old, uint32_t step,
                       const struct override *overrides, size_t count)
{
    auto_buf struct buf scratch = {0};

    buf_putc(out, '{');
    if (json_kind(old->doc, old->at) == JSON_OBJECT) {
        json_each (old->doc, old->at, key)
            if (!is_overridden(overrides, count, step, json_text(old->doc, key, &scratch)))
                put_member(out, json_raw(old->doc, key), json_raw(old->doc, json_value(key)));
    }
    for (size_t i = 0; i < count; i++)
        if (overrides[i].step == step && !is_repeated(overrides, count, i))
            json_put_member_raw(out, overrides[i].name, overrides[i].value);
    buf_putc(out, '}');
}

/* Where the object's `parameters` stands, or, when it has none, right behind the opening brace. */
static void make_splice(struct splice *splice, const struct pipeline *pipeline, uint32_t step,
                        const struct override *overrides, size_t count)
{
    const struct json *doc = &pipeline->doc;
    const struct parameters *old =
        step == STEP_NONE ? &pipeline->parameters : &pipeline->steps[step].parameters;
    json_at owner = step == STEP_NONE ? 0 : pipeline->steps[step].node;
    json_at value = json_get(doc, owner, "parameters");

    *splice = (struct splice){0};
    if (value != JSON_NONE) {
        splice->start = doc->nodes[value].start;
        splice->end = doc->nodes[value].end;
        put_object(&splice->text, old, step, overrides, count);
        return;
    }
    splice->start = splice->end = doc->nodes[owner].start + 1;
    buf_puts(&splice->text, "\"parameters\":");
    put_object(&splice->text, old, step, overrides, count);
    if (json_count(doc, owner) > 0)
        buf_putc(&splice->text, ',');
}

void overrides_apply(const struct pipeline *pipeline, const struct override *overrides,
                     size_t count, struct buf *out)
{
    auto_free struct splice *splices = mem_array(count + 1, sizeof *splices);
    size_t splice_count = 0, at = 0;

    for (size_t i = 0; i < count; i++) {
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && overrides[k].step != overrides[i].step;
        if (is_first)
            make_splice(&splices[splice_count++], pipeline, overrides[i].step, overrides, count);
    }
    qsort(splices, splice_count, sizeof *splices, by_start);
    for (size_t i = 0; i < splice_count; i++) {
        struct splice *splice = &splices[i];
        buf_put(out, pipeline->doc.text + at, splice->start - at);
        buf_put(out, splice->text.data, splice->text.len);
        at = splice->end;
        buf_clear(&splice->text);
    }
    buf_put(out, pipeline->doc.text + at, pipeline->doc.len - at);
}

/* The value of a name that may have escapes in it; JSON_NONE: it has none. */
static json_at find(const struct parameters *parameters, const struct json *doc, json_at key)
{
    auto_buf struct buf name = {0};

    json_string(doc, key, &name);
    return json_get(parameters->doc, parameters->at, buf_text(&name));
}

void parameters_merge(const struct parameters *base, const struct parameters *over, struct buf *out)
{
    auto_buf struct buf object = {0}; /* apart, so that put_member sees where it starts */

    buf_putc(&object, '{');
    json_each (base->doc, base->at, key) {
        json_at value = find(over, base->doc, key);
        put_member(&object, json_raw(base->doc, key),
                   value == JSON_NONE ? json_raw(base->doc, json_value(key))
                                      : json_raw(over->doc, value));
    }
    json_each (over->doc, over->at, key)
        if (find(base, over->doc, key) == JSON_NONE)
            put_member(&object, json_raw(over->doc, key), json_raw(over->doc, json_value(key)));
    buf_putc(&object, '}');
    buf_put(out, object.data, object.len);
}
