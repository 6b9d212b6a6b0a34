#include "api/commands/params.h"

#include "base/mem.h"

/* One word, taken apart. Owns its texts. */
struct param {
    char *step; /* as it was written; NULL: a parameter of the pipeline */
    char *name;
    struct buf value; /* JSON */
};

void params_clear(struct params *params)
{
    free(params->words);
    *params = (struct params){0};
}

void params_add(struct params *params, const char *word)
{
    mem_grow(params->words, params->count, params->capacity);
    params->words[params->count++] = word;
}

/* The colon behind the step, or NULL: a name may hold none, a value may. */
static const char *step_end(const char *word)
{
    return memrchr(word, ':', strcspn(word, "="));
}

bool params_name_steps(const struct params *params)
{
    for (uint32_t i = 0; i < params->count; i++)
        if (step_end(params->words[i]))
            return true;
    return false;
}

static void free_all(struct param *all, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(all[i].step);
        free(all[i].name);
        buf_clear(&all[i].value);
    }
    free(all);
}

static int parse(const char *word, struct param *param, struct err *e)
{
    const char *equals = strchr(word, '=');
    const char *colon = step_end(word);
    const char *name = colon ? colon + 1 : word;
    auto_json struct json value = {0};
    struct err ignored;

    if (!equals || equals == word)
        return err_set(e, ERR_INVALID, "\"%s\" is not NAME=VALUE", word);
    if (name == equals)
        return err_set(e, ERR_INVALID, "\"%s\" names no parameter", word);
    param->step = colon ? mem_strndup(word, (size_t)(colon - word)) : NULL;
    param->name = mem_strndup(name, (size_t)(equals - name));
    if (json_parse(&value, str_of(equals + 1), JSON_STRICT, NULL, &ignored) == 0)
        buf_puts(&param->value, equals + 1);
    else
        json_put_text(&param->value, equals + 1);
    return 0;
}

/* free_all what it gives, also on failure. */
static int parse_all(const struct params *params, struct param **ret_all, struct err *e)
{
    *ret_all = mem_array(params->count + 1, sizeof **ret_all);
    for (uint32_t i = 0; i < params->count; i++)
        if (parse(params->words[i], &(*ret_all)[i], e) < 0)
            return -1;
    return 0;
}

/* --- into a definition --- */

static int make_overrides(const struct param *all, uint32_t count, const struct pipeline *pipeline,
                          struct override *overrides, struct err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        overrides[i] = (struct override){
            .step = STEP_NONE, .name = all[i].name, .value = {all[i].value.data, all[i].value.len}};
        if (all[i].step && pipeline_find_step(pipeline, all[i].step, &overrides[i].step, e) < 0)
            return -1;
    }
    return 0;
}

int params_apply(const struct params *params, const struct pipeline *pipeline,
                 struct buf *definition, struct err *e)
{
    auto_free struct override *overrides = mem_array(params->count + 1, sizeof *overrides);
    struct param *all;
    int result = parse_all(params, &all, e);

    if (result == 0)
        result = make_overrides(all, params->count, pipeline, overrides, e);
    if (result == 0)
        overrides_apply(pipeline, overrides, params->count, definition);
    free_all(all, params->count);
    return result;
}

/* --- into a request --- */

/* From what was written to a uuid. */
static int resolve(struct param *param, const struct pipeline *pipeline, struct err *e)
{
    uint32_t step;

    if (!param->step || !pipeline)
        return 0;
    if (pipeline_find_step(pipeline, param->step, &step, e) < 0)
        return -1;
    free(param->step);
    param->step = mem_strdup(pipeline->steps[step].uuid);
    return 0;
}

static bool has_same_step(const struct param *a, const struct param *b)
{
    return a->step && b->step ? strcmp(a->step, b->step) == 0 : a->step == b->step;
}

static bool is_repeated(const struct param *all, uint32_t at, uint32_t count)
{
    for (uint32_t i = at + 1; i < count; i++)
        if (has_same_step(&all[i], &all[at]) && strcmp(all[i].name, all[at].name) == 0)
            return true;
    return false;
}

/* The parameters of everything that has the same step as the one at `first`. */
static void put_group(const struct param *all, uint32_t first, uint32_t count, struct buf *out)
{
    json_put_key(out, all[first].step ? all[first].step : "pipeline_parameters");
    buf_putc(out, '{');
    for (uint32_t i = first; i < count; i++)
        if (has_same_step(&all[i], &all[first]) && !is_repeated(all, i, count))
            json_put_member_raw(out, all[i].name,
                                (struct str){all[i].value.data, all[i].value.len});
    buf_putc(out, '}');
}

static bool is_first_of_step(const struct param *all, uint32_t at)
{
    for (uint32_t i = 0; i < at; i++)
        if (has_same_step(&all[i], &all[at]))
            return false;
    return true;
}

int params_put_json(const struct params *params, const struct pipeline *pipeline, struct buf *out,
                    struct err *e)
{
    struct param *all;
    int result = parse_all(params, &all, e);

    for (uint32_t i = 0; result == 0 && i < params->count; i++)
        result = resolve(&all[i], pipeline, e);
    if (result == 0) {
        buf_putc(out, '{');
        for (uint32_t i = 0; i < params->count; i++)
            if (is_first_of_step(all, i))
                put_group(all, i, params->count, out);
        buf_putc(out, '}');
    }
    free_all(all, params->count);
    return result;
}
