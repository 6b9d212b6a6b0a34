/* Each kind has names of its own. Whatever a line says is looked at whole before anything of it is
 * taken. */
#include "runner/engine/report_private.h"

#include "base/limits.h"
#include "base/mem.h"

#include <math.h>

#define NAME_LENGTH 255 /* characters */

/* A number as long as this is not written for its digits. */
#define NUMBER_LENGTH 40

static const char *const mimes[] = {"image/png", "image/jpeg", "image/svg+xml", "text/html",
                                    "application/json"};

void report_builder_clear(struct report_builder *builder)
{
    for (unsigned i = 0; i < REPORT_KINDS; i++)
        map_clear(&builder->names[i]);
}

const char *report_mime(struct str text)
{
    for (size_t i = 0; i < sizeof mimes / sizeof *mimes; i++)
        if (str_is(text, mimes[i]))
            return mimes[i];
    return NULL;
}

/* --- items --- */

/* Control characters are those below U+0020 and U+007F to U+009F. */
static bool is_name(struct str name)
{
    size_t count = 0;

    if (name.len == 0)
        return false;
    const char *end = name.text + name.len;
    for (const char *p = name.text; p < end; count++) {
        size_t len = str_utf8_len(p, end);
        unsigned char first = (unsigned char)p[0], second = len > 1 ? (unsigned char)p[1] : 0;
        if (len == 0 || first < 0x20 || first == 0x7f || (first == 0xc2 && second < 0xa0))
            return false;
        p += len;
    }
    return count <= NAME_LENGTH;
}

/* NULL: it would be one name too many. */
static struct report_item *find_or_add(struct report_builder *builder, enum report_kind kind,
                                       struct str name)
{
    struct report *report = builder->report;
    uint32_t at = map_get(&builder->names[kind], name);

    if (at != MAP_NONE)
        return &report->items[at];
    if (report->count >= LIMIT_REPORT_NAMES)
        return NULL;
    mem_grow(report->items, report->count, report->capacity);
    struct report_item *item = &report->items[report->count];
    *item = (struct report_item){.kind = kind, .name = mem_strndup(name.text, name.len)};
    map_add(&builder->names[kind], (struct str){item->name, name.len}, report->count);
    report->count++;
    return item;
}

/* --- values --- */

/* A number, or the text of one that JSON cannot say. */
static bool read_number(const struct json *doc, json_at at, double *ret_value)
{
    if (json_double(doc, at, ret_value))
        return true;
    if (json_is(doc, at, "NaN"))
        *ret_value = NAN;
    else if (json_is(doc, at, "Infinity"))
        *ret_value = INFINITY;
    else if (json_is(doc, at, "-Infinity"))
        *ret_value = -INFINITY;
    else
        return false;
    return true;
}

static msec read_time(const struct json *doc, json_at at)
{
    auto_free char *text = json_strdup(doc, at);
    int64_t us = text ? time_text_parse(text) : -1;

    return us < 0 ? 0 : us / 1000;
}

/* Whole numbers keep the digits that they were written with. */
static char *metric_text(const struct json *doc, json_at at, double value)
{
    struct str raw = json_raw(doc, at);
    struct buf text = {0};

    if (isfinite(value) && raw.len <= NUMBER_LENGTH)
        buf_put(&text, raw.text, raw.len);
    else
        report_put_number(value, &text);
    return buf_take(&text);
}

/* --- what was said --- */

static bool add_metric(struct report_builder *builder, const struct report_saying *saying)
{
    struct report_point point = {.time = read_time(saying->doc, saying->time)};

    if (!read_number(saying->doc, saying->value, &point.value) ||
        (saying->step != JSON_NONE && !json_int(saying->doc, saying->step, &point.step)))
        return false;
    struct report_item *item = find_or_add(builder, REPORT_METRIC, saying->name);
    if (!item)
        return false;
    if (saying->step == JSON_NONE)
        point.step = item->point_count;
    mem_grow(item->points, item->point_count, item->point_capacity);
    item->points[item->point_count++] = point;
    free(item->value);
    item->value = metric_text(saying->doc, saying->value, point.value);
    return true;
}

/* White space would be as it was written, and NaN would be no JSON: so it is written anew. */
static char *param_text(const struct json *doc, json_at at)
{
    struct buf text = {0};
    double number;

    if (json_double(doc, at, &number) && !isfinite(number))
        report_put_number(number, &text);
    else
        json_write(doc, at, JSON_COMPACT, 0, &text);
    return buf_take(&text);
}

/* Numbers inside a list may be NaN, which is read but no JSON. */
static bool is_strict(const char *text)
{
    auto_json struct json doc = {0};
    struct err ignored;

    return json_parse(&doc, str_of(text), JSON_STRICT, NULL, &ignored) == 0;
}

static bool add_param(struct report_builder *builder, const struct report_saying *saying)
{
    if (saying->value == JSON_NONE)
        return false;
    auto_free char *text = param_text(saying->doc, saying->value);
    if (!is_strict(text))
        return false;
    struct report_item *item = find_or_add(builder, REPORT_PARAM, saying->name);
    if (!item)
        return false;
    free(item->value);
    item->value = take_ptr(&text);
    return true;
}

static bool add_figure(struct report_builder *builder, const struct report_saying *saying)
{
    auto_free char *file = json_strdup(saying->doc, saying->file);
    auto_buf struct buf scratch = {0};
    const char *mime = report_mime(json_text(saying->doc, saying->value, &scratch));

    if (!file || !mime)
        return false;
    struct report_item *item = find_or_add(builder, REPORT_FIGURE, saying->name);
    if (!item)
        return false;
    free(item->file);
    free(item->value);
    item->file = take_ptr(&file);
    item->value = mem_printf("\"%s\"", mime);
    return true;
}

bool report_add(struct report_builder *builder, const struct report_saying *saying)
{
    if (!is_name(saying->name))
        return false;
    switch (saying->kind) {
    case REPORT_METRIC:
        return add_metric(builder, saying);
    case REPORT_PARAM:
        return add_param(builder, saying);
    case REPORT_FIGURE:
        return add_figure(builder, saying);
    }
    return false;
}
