/* Sets are given out from what parameter_sets_read.c has made. A set's number is that of a place in
 * the product, whose digits, the last axis lowest, are the values' numbers; so no set is kept. */
#include "runner/sets/parameter_sets.h"

#include "runner/plan/owners.h"
#include "runner/sets/parameter_sets_private.h"

#include <assert.h>

void parameter_sets_free(struct parameter_sets *sets)
{
    if (!sets)
        return;
    for (uint32_t i = 0; i < sets->owner_count; i++)
        free(sets->owners[i].key);
    for (uint32_t i = 0; i < sets->parameter_count; i++)
        free(sets->parameters[i].key);
    for (uint32_t i = 0; i < sets->axis_count; i++)
        axis_clear(&sets->axes[i].axis);
    free(sets->owners);
    free(sets->parameters);
    map_clear(&sets->by_key);
    free(sets->order);
    free(sets->base.items);
    free(sets->axes);
    free(sets->listed.items);
    free(sets->starts);
    free(sets->picks);
    free(sets->kept);
    free(sets->columns);
    json_clear(&sets->doc);
    free(sets);
}

void parameter_sets_put(const struct parameter_sets *sets, struct buf *out)
{
    buf_put(out, sets->doc.text, sets->doc.len);
}

uint32_t parameter_sets_total(const struct parameter_sets *sets)
{
    return sets->total;
}

uint32_t parameter_sets_count(const struct parameter_sets *sets)
{
    return sets->count;
}

uint32_t parameter_sets_number(const struct parameter_sets *sets, uint32_t k)
{
    assert(k < sets->count);
    return sets->kept ? sets->kept[k] : k;
}

uint32_t parameter_sets_axes(const struct parameter_sets *sets,
                             const struct parameter_axis **ret_axes)
{
    *ret_axes = sets->columns;
    return sets->column_count;
}

/* --- one set --- */

/* A set while it is put together: of each parameter where in `text` its value stands. */
struct span {
    size_t start, end;
};

struct making {
    const struct parameter_sets *sets;
    struct span *values;
    struct buf text;
};

/* Those from `first` to in front of `end`. */
static void take_settings(struct making *m, const struct setting_list *list, uint32_t first,
                          uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct str value = json_raw(&m->sets->doc, list->items[i].value);
        size_t start = m->text.len;
        buf_put(&m->text, value.text, value.len);
        m->values[list->items[i].parameter] = (struct span){start, m->text.len};
    }
}

/* `place` in the product; what is left of it after the inner axes. */
static void take_axis(struct making *m, uint32_t index, uint64_t number, uint64_t *place)
{
    const struct parameter_sets *sets = m->sets;
    const struct axis *axis = &sets->axes[index].axis;
    size_t start = m->text.len;

    if (sets->strategy == STRATEGY_RANDOM && !sets->picks) {
        struct draw draw = draw_at(sets->seed, index + 1, number);
        axis_put_drawn(axis, &sets->doc, &draw, &m->text);
    } else if (sets->strategy == STRATEGY_ZIP) {
        axis_put(axis, &sets->doc, number, &m->text);
    } else {
        axis_put(axis, &sets->doc, *place % axis->count, &m->text);
        *place /= axis->count;
    }
    m->values[sets->axes[index].parameter] = (struct span){start, m->text.len};
}

static void put_made(const struct making *m, struct buf *out)
{
    const struct parameter_sets *sets = m->sets;
    uint32_t open = UINT32_MAX;

    buf_putc(out, '{');
    for (uint32_t i = 0; i < sets->parameter_count; i++) {
        const struct sets_parameter *parameter = &sets->parameters[sets->order[i]];
        const struct span *value = &m->values[sets->order[i]];
        if (value->end == 0)
            continue;
        if (parameter->owner != open) {
            if (open != UINT32_MAX)
                buf_putc(out, '}');
            open = parameter->owner;
            json_put_key(out, sets->owners[open].key);
            buf_putc(out, '{');
        }
        json_put_member_raw(out, parameter->name,
                            (struct str){m->text.data + value->start, value->end - value->start});
    }
    buf_puts(out, open == UINT32_MAX ? "}" : "}}");
}

void parameter_sets_put_set(const struct parameter_sets *sets, uint32_t number, struct buf *out)
{
    auto_free struct span *values = mem_array(sets->parameter_count, sizeof *values);
    struct making m = {.sets = sets, .values = values};
    uint64_t place = sets->picks ? sets->picks[number] : number;

    assert(number < sets->total);
    take_settings(&m, &sets->base, 0, sets->base.count);
    if (sets->strategy == STRATEGY_LIST)
        take_settings(&m, &sets->listed, sets->starts[number], sets->starts[number + 1]);
    for (uint32_t i = sets->axis_count; i > 0; i--)
        take_axis(&m, i - 1, number, &place);
    put_made(&m, out);
    buf_clear(&m.text);
}

/* --- a set in a pipeline --- */

int parameter_sets_apply(const struct pipeline *pipeline, struct str owners, struct buf *out,
                         struct err *e)
{
    auto_override_list struct override_list list = {0};
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};

    if (json_parse(&doc, owners, JSON_STRICT, NULL, e) < 0)
        return -1;
    if (json_kind(&doc, 0) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "parameters must be an object, are %s",
                       json_kind_name(json_kind(&doc, 0)));
    owners_read(pipeline, &doc, 0, &problems, &list);
    if (problems.total > 0)
        return problems_to_err(&problems, e);
    overrides_apply(pipeline, list.items, list.count, out);
    return 0;
}
