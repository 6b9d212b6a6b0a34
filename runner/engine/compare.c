#include "runner/engine/compare_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/engine/compare_cells.h"
#include "runner/engine/report.h"
#include "runner/engine/run_dir.h"
#include "runner/engine/snapshot.h"

#include <math.h>
#include <unistd.h>

/* Two notebooks are in memory at a time. Larger ones hold data, which nobody compares by looking at
 * it. */
#define NOTEBOOK_BYTES (64 * MiB)

/* --- members --- */

static const struct compare_step *either(const struct compare_pair *pair)
{
    return pair->step_a ? pair->step_a : pair->step_b;
}

static void put_comma(struct buf *out)
{
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
}

static void put_step_names(const struct compare_step *step, struct buf *out)
{
    json_put_member(out, "step_uuid", step->uuid);
    json_put_member(out, "title", step->title);
}

/* --- parameters --- */

/* The same text for the same value, however its file is laid out; false: there is no value. */
static bool value_text(const struct json *doc, json_at at, struct buf *out)
{
    buf_reset(out);
    if (at == JSON_NONE)
        return false;
    json_write(doc, at, JSON_NBFORMAT, 0, out);
    return true;
}

static void put_value(const char *key, const struct json *doc, json_at at, struct buf *out)
{
    if (at == JSON_NONE)
        return;
    json_put_key(out, key);
    json_write(doc, at, JSON_COMPACT, 0, out);
}

struct objects {
    const char *step_uuid; /* NULL: the pipeline */
    const struct json *doc_a, *doc_b;
    json_at a, b; /* objects, or JSON_NONE */
};

static void put_parameter(const struct objects *objects, const char *name, struct buf *out)
{
    auto_buf struct buf text_a = {0}, text_b = {0};
    json_at a = json_get(objects->doc_a, objects->a, name);
    json_at b = json_get(objects->doc_b, objects->b, name);

    if (value_text(objects->doc_a, a, &text_a) == value_text(objects->doc_b, b, &text_b) &&
        strcmp(buf_text(&text_a), buf_text(&text_b)) == 0)
        return;
    put_comma(out);
    buf_putc(out, '{');
    json_put_key(out, "step_uuid");
    json_put_text(out, objects->step_uuid);
    json_put_member(out, "name", name);
    put_value("a", objects->doc_a, a, out);
    put_value("b", objects->doc_b, b, out);
    buf_putc(out, '}');
}

static void put_objects(const struct objects *objects, struct buf *out)
{
    json_each (objects->doc_a, objects->a, key) {
        auto_free char *name = json_strdup(objects->doc_a, key);
        if (name)
            put_parameter(objects, name, out);
    }
    json_each (objects->doc_b, objects->b, key) {
        auto_free char *name = json_strdup(objects->doc_b, key);
        if (name && json_get(objects->doc_a, objects->a, name) == JSON_NONE)
            put_parameter(objects, name, out);
    }
}

static void put_parameters(const struct compare_side *a, const struct compare_side *b,
                           struct buf *out)
{
    struct compare_pair pair = {.a = a, .b = b};

    put_objects(&(struct objects){.doc_a = &a->definition,
                                  .doc_b = &b->definition,
                                  .a = json_get(&a->definition, 0, "parameters"),
                                  .b = json_get(&b->definition, 0, "parameters")},
                out);
    while (compare_next_pair(&pair))
        put_objects(&(struct objects){.step_uuid = either(&pair)->uuid,
                                      .doc_a = &a->definition,
                                      .doc_b = &b->definition,
                                      .a = pair.step_a ? pair.step_a->parameters : JSON_NONE,
                                      .b = pair.step_b ? pair.step_b->parameters : JSON_NONE},
                    out);
}

/* --- metrics --- */

static const struct report_item *find_metric(const struct report *report, const char *name)
{
    for (uint32_t i = 0; i < report->count; i++)
        if (report->items[i].kind == REPORT_METRIC && strcmp(report->items[i].name, name) == 0)
            return &report->items[i];
    return NULL;
}

static double latest(const struct report_item *item)
{
    return item ? item->points[item->point_count - 1].value : NAN;
}

static void put_metric(const struct compare_step *step, const struct report_item *a,
                       const struct report_item *b, struct buf *out)
{
    double delta = latest(b) - latest(a);

    put_comma(out);
    buf_putc(out, '{');
    put_step_names(step, out);
    json_put_member(out, "name", a ? a->name : b->name);
    json_put_member_raw(out, "a", a ? str_of(a->value) : STR("null"));
    json_put_member_raw(out, "b", b ? str_of(b->value) : STR("null"));
    json_put_key(out, "delta");
    if (isfinite(delta))
        report_put_number(delta, out);
    else
        json_put_text(out, NULL);
    buf_putc(out, '}');
}

static void put_reports(const struct compare_step *step, const struct report *a,
                        const struct report *b, struct buf *out)
{
    for (uint32_t i = 0; i < a->count; i++)
        if (a->items[i].kind == REPORT_METRIC)
            put_metric(step, &a->items[i], find_metric(b, a->items[i].name), out);
    for (uint32_t i = 0; i < b->count; i++)
        if (b->items[i].kind == REPORT_METRIC && !find_metric(a, b->items[i].name))
            put_metric(step, NULL, &b->items[i], out);
}

static int read_report(const struct compare_side *side, const struct compare_step *step,
                       struct report *ret_report, struct err *e)
{
    if (!step || step->attempt == 0)
        return 0;
    return report_read(side->dir, step->uuid, step->attempt, ret_report, e);
}

static int put_metrics(const struct compare_side *a, const struct compare_side *b, struct buf *out,
                       struct err *e)
{
    struct compare_pair pair = {.a = a, .b = b};

    while (compare_next_pair(&pair)) {
        auto_report struct report report_a = {0}, report_b = {0};
        if (read_report(a, pair.step_a, &report_a, e) < 0 ||
            read_report(b, pair.step_b, &report_b, e) < 0)
            return -1;
        put_reports(either(&pair), &report_a, &report_b, out);
    }
    return 0;
}

/* --- steps and their notebooks --- */

/* 1: there is one; 0: none, or none that can be compared. */
static int read_notebook(const struct compare_side *side, const struct compare_step *step,
                         struct json *ret_doc, struct err *e)
{
    auto_buf struct buf text = {0};
    struct snapshot snapshot;

    if (!step || step->attempt == 0)
        return 0;
    auto_free char *directory =
        run_dir_attempt(&(struct run_dir){.path = side->dir}, step->uuid, step->attempt);
    if (snapshot_open(directory, status_is_final(step->status) ? SNAPSHOT_COPY : SNAPSHOT_JOURNAL,
                      &snapshot, e) < 0)
        return e->code == ERR_NOT_FOUND || e->code == ERR_INVALID ? 0 : -1;
    auto_close int fd = snapshot.fd;
    if (fs_read_fd(fd, "notebook", NOTEBOOK_BYTES, &text, e) < 0)
        return e->code == ERR_LIMIT ? 0 : -1;
    size_t len = text.len;
    return json_parse_take(ret_doc, buf_take(&text), len, JSON_TOLERANT, NULL, e) == 0;
}

static int put_cells(const struct compare_pair *pair, struct buf *out, struct err *e)
{
    auto_json struct json a = {0}, b = {0};
    int has_a = read_notebook(pair->a, pair->step_a, &a, e);
    int has_b = has_a > 0 ? read_notebook(pair->b, pair->step_b, &b, e) : 0;

    if (has_a < 0 || has_b < 0)
        return -1;
    if (has_a && has_b) {
        compare_cells_put(&a, &b, out->len < LIMIT_LIST_BYTES, out);
        return 0;
    }
    json_put_member_int(out, "cells_total", 0);
    json_put_member_int(out, "cells_changed", 0);
    json_put_member_raw(out, "cells", STR("[]"));
    return 0;
}

static void put_step(const char *key, const struct compare_step *step, struct buf *out)
{
    json_put_key(out, key);
    if (!step) {
        json_put_text(out, NULL);
        return;
    }
    buf_putc(out, '{');
    json_put_member(out, "status", status_name(step->status));
    compare_put_duration(step->started, step->finished, out);
    buf_putc(out, '}');
}

static int put_steps(const struct compare_side *a, const struct compare_side *b, struct buf *out,
                     struct err *e)
{
    struct compare_pair pair = {.a = a, .b = b};

    while (compare_next_pair(&pair)) {
        put_comma(out);
        buf_putc(out, '{');
        put_step_names(either(&pair), out);
        put_step("a", pair.step_a, out);
        put_step("b", pair.step_b, out);
        if (put_cells(&pair, out, e) < 0)
            return -1;
        buf_putc(out, '}');
    }
    return 0;
}

/* --- */

static int put(const struct compare_side *a, const struct compare_side *b, struct buf *out,
               struct err *e)
{
    buf_putc(out, '{');
    json_put_member_raw(out, "a", (struct str){a->head.data, a->head.len});
    json_put_member_raw(out, "b", (struct str){b->head.data, b->head.len});
    buf_puts(out, ",\"parameters\":[");
    put_parameters(a, b, out);
    buf_puts(out, "],\"metrics\":[");
    if (put_metrics(a, b, out, e) < 0)
        return -1;
    buf_puts(out, "],\"steps\":[");
    if (put_steps(a, b, out, e) < 0)
        return -1;
    buf_puts(out, "]}");
    return 0;
}

int compare_put(struct store *store, const struct state *state, const char *run_a,
                const char *run_b, struct buf *out, struct err *e)
{
    auto_with(compare_side_clear) struct compare_side a = {.uuid = run_a}, b = {.uuid = run_b};
    auto_buf struct buf text = {0};

    if (compare_side_read(&a, store, state, e) < 0 || compare_side_read(&b, store, state, e) < 0 ||
        put(&a, &b, &text, e) < 0)
        return -1;
    buf_put(out, text.data, text.len);
    return 0;
}
