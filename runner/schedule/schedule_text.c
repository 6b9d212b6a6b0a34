#include "runner/schedule/schedule.h"

#include "runner/schedule/schedule_private.h"

#include <inttypes.h>

#define CATCH_UP_LIMIT 10 /* when nothing is said */
#define JITTER_MAX_S   86400

enum { AT, CRON, TIMEZONE, CATCH_UP, CATCH_UP_COUNT, OVERLAP, JITTER, FIELDS };

static const char *const field_names[FIELDS + 1] = {
    [AT] = "at",
    [CRON] = "cron",
    [TIMEZONE] = "timezone",
    [CATCH_UP] = "catch_up",
    [CATCH_UP_COUNT] = "catch_up_limit",
    [OVERLAP] = "overlap",
    [JITTER] = "jitter",
};

static const char *const catch_up_names[] = {
    [CATCH_UP_LATEST] = "latest", [CATCH_UP_NONE] = "none", [CATCH_UP_ALL] = "all", NULL};
static const char *const overlap_names[] = {
    [OVERLAP_FORBID] = "forbid", [OVERLAP_ALLOW] = "allow", [OVERLAP_REPLACE] = "replace", NULL};

struct reading {
    const struct json *doc;
    json_at fields[FIELDS]; /* values; JSON_NONE: absent or null */
    struct schedule *schedule;
    struct problems *problems;
};

/* --- reading --- */

static int find_name(const char *const *names, const char *name)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}

static void read_member(struct reading *r, json_at key, unsigned *seen)
{
    auto_buf struct buf name = {0};
    json_at value = json_value(key);

    json_string(r->doc, key, &name);
    int field = find_name(field_names, buf_text(&name));
    const char *nearest = field < 0 ? str_nearest(buf_text(&name), field_names) : NULL;
    if (nearest)
        problems_add(r->problems, r->doc, key, "unknown field \"%s\"; did you mean \"%s\"?",
                     buf_text(&name), nearest);
    else if (field < 0)
        problems_add(r->problems, r->doc, key, "unknown field \"%s\"", buf_text(&name));
    else if (*seen >> field & 1)
        problems_add(r->problems, r->doc, key, "\"%s\" is there twice", buf_text(&name));
    else
        r->fields[field] = json_kind(r->doc, value) == JSON_NULL ? JSON_NONE : value;
    if (field >= 0)
        *seen |= 1u << field;
}

/* NULL: absent, or no text, which is a problem then. */
static char *read_text(struct reading *r, int field)
{
    json_at at = r->fields[field];
    char *text = json_strdup(r->doc, at);

    if (!text && at != JSON_NONE)
        problems_add(r->problems, r->doc, at, "must be a text, is %s",
                     json_kind_name(json_kind(r->doc, at)));
    return text;
}

/* The first of the names is the default. */
static int read_choice(struct reading *r, int field, const char *const *names)
{
    auto_free char *text = read_text(r, field);
    int found = text ? find_name(names, text) : 0;

    if (found >= 0)
        return found;
    problems_add(r->problems, r->doc, r->fields[field],
                 "unknown %s \"%s\"; known are \"%s\", \"%s\" and \"%s\"", field_names[field], text,
                 names[0], names[1], names[2]);
    return 0;
}

static uint32_t read_number(struct reading *r, int field, uint32_t least, uint32_t most,
                            uint32_t absent)
{
    json_at at = r->fields[field];
    int64_t number;

    if (at == JSON_NONE)
        return absent;
    if (json_int(r->doc, at, &number) && number >= least && number <= most)
        return (uint32_t)number;
    problems_add(r->problems, r->doc, at, "must be a whole number, %" PRIu32 " to %" PRIu32, least,
                 most);
    return absent;
}

static void read_zone(struct reading *r)
{
    auto_free char *name = read_text(r, TIMEZONE);
    struct err e;

    if (zone_open(name ? name : "UTC", &r->schedule->zone, &e))
        problems_add(r->problems, r->doc, r->fields[TIMEZONE], "%s", e.text);
}

static void read_at(struct reading *r)
{
    auto_free char *text = read_text(r, AT);

    if (!text)
        return;
    r->schedule->kind = SCHEDULE_AT;
    r->schedule->at_us = time_text_parse(text);
    if (r->schedule->at_us < 1000)
        problems_add(r->problems, r->doc, r->fields[AT],
                     "\"%s\" is no time as \"2026-12-01T06:00:00+01:00\" (RFC 3339, after 1970)",
                     text);
}

/* Characters, from 1, up to byte `offset`. */
static unsigned character_at(const char *text, size_t offset)
{
    unsigned count = 1;

    for (size_t i = 0; i < offset; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

static void read_cron(struct reading *r)
{
    char *line = read_text(r, CRON);
    size_t offset;
    struct err e;

    if (!line)
        return;
    r->schedule->kind = SCHEDULE_CRON;
    r->schedule->line = line;
    if (cron_parse(line, &r->schedule->cron, &offset, &e))
        problems_add(r->problems, r->doc, r->fields[CRON], "\"%s\", character %u: %s", line,
                     character_at(line, offset), e.text);
    if (r->fields[AT] != JSON_NONE)
        problems_add(r->problems, r->doc, r->fields[CRON],
                     "\"at\" and \"cron\" exclude each other");
}

static void read_fields(struct reading *r)
{
    struct schedule *schedule = r->schedule;

    read_zone(r);
    read_at(r);
    read_cron(r);
    schedule->catch_up = (enum schedule_catch_up)read_choice(r, CATCH_UP, catch_up_names);
    schedule->overlap = (enum schedule_overlap)read_choice(r, OVERLAP, overlap_names);
    schedule->catch_up_limit =
        read_number(r, CATCH_UP_COUNT, 1, SCHEDULE_CATCH_UP_MAX, CATCH_UP_LIMIT);
    schedule->jitter_s = read_number(r, JITTER, 0, JITTER_MAX_S, 0);
}

struct schedule *schedule_read(const struct json *doc, json_at at, struct problems *problems)
{
    auto_schedule struct schedule *schedule = mem_zalloc(sizeof *schedule);
    struct reading r = {.doc = doc, .schedule = schedule, .problems = problems};
    uint32_t before = problems->total;
    unsigned seen = 0;

    for (int i = 0; i < FIELDS; i++)
        r.fields[i] = JSON_NONE;
    if (at != JSON_NONE && json_kind(doc, at) != JSON_OBJECT)
        problems_add(problems, doc, at, "a schedule must be an object, is %s",
                     json_kind_name(json_kind(doc, at)));
    else
        json_each (doc, at, key)
            read_member(&r, key, &seen);
    read_fields(&r);
    return problems->total == before ? take_ptr(&schedule) : NULL;
}

int schedule_parse(const char *text, struct schedule **ret_schedule, struct err *e)
{
    auto_json struct json doc = {0};
    auto_problems struct problems problems = {0};

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, e))
        return err_prefix(e, "schedule");
    struct schedule *schedule = schedule_read(&doc, 0, &problems);
    if (!schedule) {
        problems_to_err(&problems, e);
        return err_prefix(e, "schedule");
    }
    *ret_schedule = schedule;
    return 0;
}

void schedule_free(struct schedule *schedule)
{
    if (!schedule)
        return;
    zone_free(schedule->zone);
    free(schedule->line);
    free(schedule);
}

/* --- writing --- */

void schedule_put(const struct schedule *schedule, struct buf *out)
{
    buf_putc(out, '{');
    if (schedule->kind == SCHEDULE_AT)
        json_put_member(out, "at", time_text_of_us(schedule->at_us).text);
    json_put_member(out, "cron", schedule->line);
    json_put_member(out, "timezone", zone_name(schedule->zone));
    json_put_member(out, "catch_up", catch_up_names[schedule->catch_up]);
    json_put_member_int(out, "catch_up_limit", schedule->catch_up_limit);
    json_put_member(out, "overlap", overlap_names[schedule->overlap]);
    json_put_member_int(out, "jitter", schedule->jitter_s);
    buf_putc(out, '}');
}

static void put_local(const struct schedule *schedule, msec time, struct buf *out)
{
    struct local_time local;

    zone_local(schedule->zone, time, &local);
    buf_printf(out, "%04d-%02d-%02d %02d:%02d", local.year, local.month, local.day, local.hour,
               local.minute);
}

void schedule_put_words(const struct schedule *schedule, struct buf *out)
{
    switch (schedule->kind) {
    case SCHEDULE_NOW:
        buf_puts(out, "now");
        return;
    case SCHEDULE_AT:
        buf_puts(out, "once at ");
        put_local(schedule, schedule->at_us / 1000, out);
        break;
    case SCHEDULE_CRON:
        cron_put_words(&schedule->cron, out);
        break;
    }
    buf_printf(out, " (%s)", zone_name(schedule->zone));
}

void schedule_put_local(const struct schedule *schedule, msec time, struct buf *out)
{
    int offset = zone_offset_minutes(schedule->zone, time);
    int east = abs(offset);
    struct local_time local;

    zone_local(schedule->zone, time, &local);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", local.year, local.month, local.day,
               local.hour, local.minute, (int)(time / 1000 % 60), offset < 0 ? '-' : '+', east / 60,
               east % 60);
}
