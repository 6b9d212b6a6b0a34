#include "runner/engine/report_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *word_of(double value)
{
    return isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
}

void report_put_number(double value, struct buf *out)
{
    char text[32];

    if (!isfinite(value)) {
        buf_puts(out, word_of(value));
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_puts(out, text);
}

static void put_point(const struct report_point *point, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member_int(out, "step", point->step);
    json_put_key(out, "value");
    report_put_number(point->value, out);
    json_put_key(out, "time");
    json_put_text(out, point->time ? time_text_of_us(point->time * 1000).text : NULL);
    buf_putc(out, '}');
}

static void put_points(const struct report_item *item, struct buf *out)
{
    json_put_key(out, "points");
    buf_putc(out, '[');
    for (uint32_t i = 0; i < item->point_count; i++) {
        if (i > 0)
            buf_putc(out, ',');
        put_point(&item->points[i], out);
    }
    buf_putc(out, ']');
}

static void put_item(const struct report_item *item, bool with_points, struct buf *out)
{
    buf_putc(out, '{');
    json_put_member(out, "name", item->name);
    json_put_member_raw(out, item->kind == REPORT_FIGURE ? "mime" : "value", str_of(item->value));
    if (item->kind == REPORT_METRIC && with_points)
        put_points(item, out);
    buf_putc(out, '}');
}

static void put_items(const struct report *report, enum report_kind kind, bool with_points,
                      struct buf *out)
{
    bool is_first = true;

    buf_putc(out, '[');
    for (uint32_t i = 0; i < report->count; i++) {
        if (report->items[i].kind != kind)
            continue;
        if (!is_first)
            buf_putc(out, ',');
        is_first = false;
        put_item(&report->items[i], with_points, out);
    }
    buf_putc(out, ']');
}

void report_put_members(const struct report *report, bool with_points, struct buf *out)
{
    static const char *const keys[REPORT_KINDS] = {"metrics", "params", "figures"};

    for (unsigned kind = 0; kind < REPORT_KINDS; kind++) {
        json_put_key(out, keys[kind]);
        put_items(report, (enum report_kind)kind, with_points, out);
    }
    json_put_member_int(out, "passed_over", (int64_t)report->passed_over);
}

void report_put(const struct report *report, bool with_points, struct buf *out)
{
    buf_putc(out, '{');
    report_put_members(report, with_points, out);
    buf_putc(out, '}');
}
