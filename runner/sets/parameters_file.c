/* Orchest reads PIPELINE.parameters.json, in which lists stand for themselves; what its interface
 * keeps of a job (`strategy_json`) has one more level, and lists as texts of JSON. Both are read,
 * and what either has may stand in the other. */
#include "base/limits.h"
#include "runner/sets/axis.h"
#include "runner/sets/parameter_sets.h"

/* A list in a text: appended as it stands there. A range stays a text. */
static int put_text(const struct json *doc, json_at at, struct buf *out)
{
    auto_buf struct buf text = {0};
    auto_json struct json list = {0};
    struct axis axis;
    struct err e;

    json_string(doc, at, &text);
    struct str value = {buf_text(&text), text.len};
    if (json_parse(&list, value, JSON_STRICT, NULL, &e) == 0 && json_kind(&list, 0) == JSON_ARRAY)
        json_write(&list, 0, JSON_COMPACT, 0, out);
    else if (axis_parse_range(&axis, value, &e) == 0)
        json_put_str(out, value);
    else
        return -1;
    return 0;
}

static void put_axis(const struct json *doc, json_at at, struct buf *out, struct problems *problems)
{
    if (json_kind(doc, at) == JSON_ARRAY)
        json_write(doc, at, JSON_COMPACT, 0, out);
    else if (json_kind(doc, at) != JSON_STRING || put_text(doc, at, out) < 0)
        problems_add(problems, doc, at, "must be a list of values, also of a single one: [5]");
}

static void put_axes(const struct json *doc, json_at axes, struct buf *out,
                     struct problems *problems)
{
    bool is_first = true;

    if (json_kind(doc, axes) != JSON_OBJECT) {
        problems_add(problems, doc, axes, "must be an object, is %s",
                     json_kind_name(json_kind(doc, axes)));
        return;
    }
    buf_putc(out, '{');
    json_each (doc, axes, name) {
        if (!is_first)
            buf_putc(out, ',');
        is_first = false;
        json_write(doc, name, JSON_COMPACT, 0, out);
        buf_putc(out, ':');
        put_axis(doc, json_value(name), out, problems);
    }
    buf_putc(out, '}');
}

static void put_grid(const struct json *doc, struct buf *out, struct problems *problems)
{
    bool is_first = true;

    if (json_kind(doc, 0) != JSON_OBJECT) {
        problems_add(problems, doc, 0, "must be an object, is %s",
                     json_kind_name(json_kind(doc, 0)));
        return;
    }
    buf_putc(out, '{');
    json_each (doc, 0, owner) {
        json_at axes = json_value(owner), inner = json_get(doc, axes, "parameters");
        if (!is_first)
            buf_putc(out, ',');
        is_first = false;
        json_write(doc, owner, JSON_COMPACT, 0, out);
        buf_putc(out, ':');
        put_axes(doc, json_kind(doc, inner) == JSON_OBJECT ? inner : axes, out, problems);
    }
    buf_putc(out, '}');
}

int parameter_sets_of_file(struct str text, struct buf *out_grid, struct problems *problems,
                           struct err *e)
{
    auto_json struct json doc = {0};
    auto_buf struct buf grid = {0};
    uint32_t before = problems->total;
    size_t offset;

    if (json_parse(&doc, text, JSON_STRICT, &offset, e) < 0) {
        const char *detail = strstr(e->text, ": "); /* behind "line L, column C" */
        problems_add_place(problems, "", json_place_of(text, offset), "%s",
                           detail ? detail + 2 : e->text);
        return -1;
    }
    put_grid(&doc, &grid, problems);
    if (problems->total > before)
        return problems_to_err(problems, e);
    buf_put(out_grid, grid.data, grid.len);
    return 0;
}
