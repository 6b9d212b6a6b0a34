#include "runner/plan/owners.h"

#include "base/limits.h"
#include "base/mem.h"

/* Names near to an unknown one are looked for among all steps: for so many of them. */
#define EXPLAINED_UNKNOWNS 5u

void owners_add_unknown_step(const struct pipeline *pipeline, const struct json *doc, json_at at,
                             struct problems *problems)
{
    auto_buf struct buf name = {0};
    struct err e;
    uint32_t meant;

    json_string(doc, at, &name);
    if (problems->total >= EXPLAINED_UNKNOWNS)
        problems_add(problems, doc, at, "unknown step \"%s\"", buf_text(&name));
    else if (pipeline_find_step(pipeline, buf_text(&name), &meant, &e) < 0)
        problems_add(problems, doc, at, "%s", e.text);
    else
        problems_add(problems, doc, at, "\"%s\" is no uuid; the step's is \"%s\"", buf_text(&name),
                     pipeline->steps[meant].uuid);
}

bool owners_read_key(const struct pipeline *pipeline, const struct json *doc, json_at key,
                     struct problems *problems, uint32_t *ret_step)
{
    static const char *const known[] = {OWNERS_PIPELINE, NULL};
    auto_buf struct buf name = {0};

    *ret_step = STEP_NONE;
    if (json_is(doc, key, OWNERS_PIPELINE))
        return true;
    json_string(doc, key, &name);
    *ret_step = pipeline_index(pipeline, (struct str){buf_text(&name), name.len});
    if (*ret_step != STEP_NONE)
        return true;
    if (str_nearest(buf_text(&name), known))
        problems_add(problems, doc, key, "unknown step \"%s\"; did you mean \"%s\"?",
                     buf_text(&name), OWNERS_PIPELINE);
    else
        owners_add_unknown_step(pipeline, doc, key, problems);
    return false;
}

static void read_parameters(const struct pipeline *pipeline, const struct json *doc, json_at key,
                            struct problems *problems, struct override_list *list)
{
    json_at values = json_value(key);
    uint32_t step;

    if (!owners_read_key(pipeline, doc, key, problems, &step))
        return;
    if (json_kind(doc, values) != JSON_OBJECT) {
        problems_add(problems, doc, values, "must be an object, is %s",
                     json_kind_name(json_kind(doc, values)));
        return;
    }
    json_each (doc, values, member) {
        char *name = json_strdup(doc, member);
        if (!name) {
            problems_add(problems, doc, member, "may not contain U+0000");
            continue;
        }
        mem_grow(list->items, list->count, list->capacity);
        list->items[list->count++] = (struct override){
            .step = step, .name = name, .value = json_raw(doc, json_value(member))};
    }
}

void owners_read(const struct pipeline *pipeline, const struct json *doc, json_at at,
                 struct problems *problems, struct override_list *list)
{
    uint64_t count = 0;

    json_each (doc, at, key)
        count += json_count(doc, json_value(key));
    if (count > LIMIT_REQUEST_PARAMETERS) {
        problems_add(problems, doc, at, "more than the %u parameters that a request may set",
                     LIMIT_REQUEST_PARAMETERS);
        return;
    }
    json_each (doc, at, key)
        read_parameters(pipeline, doc, key, problems, list);
}

void override_list_clear(struct override_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free((char *)list->items[i].name);
    free(list->items);
    *list = (struct override_list){0};
}
