#include "runner/schedule/cron.h"

#include "base/str.h"
#include "runner/schedule/calendar.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_MAX_BYTES 1000 /* every number of every field has room */
#define NTH_MAX        5

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL",
                                          "AUG", "SEP", "OCT", "NOV", "DEC", NULL};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", NULL};

static const struct field {
    const char *name;
    int first, last; /* what * stands for */
    int most;        /* what may be written: 7 is Sunday too */
    const char *const *names;
} fields[FIELDS] = {
    [MINUTE] = {"minute", 0, 59, 59, NULL},
    [HOUR] = {"hour", 0, 23, 23, NULL},
    [DAY] = {"day of month", 1, 31, 31, NULL},
    [MONTH] = {"month", 1, 12, 12, month_names},
    [WEEKDAY] = {"day of week", 0, 6, 7, weekday_names},
};

static const struct {
    const char *name, *line;
} macros[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};
#define MACROS (sizeof macros / sizeof *macros)

struct reading {
    const char *at;            /* what comes next */
    const char *end;           /* of the field */
    const char *wrong;         /* where it was refused */
    const struct field *field; /* that is read */
    uint64_t bits[FIELDS];     /* the numbers that are named */
    struct cron *cron;
    struct err *e;
};

struct word { /* longer ones are none that is known */
    char text[16];
};

static int refuse(struct reading *r, const char *at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct reading *r, const char *at, const char *format, ...)
{
    char text[500];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->wrong = at;
    err_set(r->e, ERR_INVALID, "%s: %s", r->field->name, text);
    return -1;
}

static bool is_next(const struct reading *r, char c)
{
    return r->at < r->end && toupper((unsigned char)*r->at) == c;
}

static bool take(struct reading *r, char c)
{
    if (!is_next(r, c))
        return false;
    r->at++;
    return true;
}

static bool is_digit(const struct reading *r)
{
    return r->at < r->end && isdigit((unsigned char)*r->at);
}

static int take_number(struct reading *r, int least, int most, const char *what, int *ret_number)
{
    const char *start = r->at;
    int number = 0;

    if (!is_digit(r))
        return refuse(r, start, "%snumber is missing", what);
    for (; is_digit(r); r->at++)
        number = number > most ? number : number * 10 + (*r->at - '0');
    if (number > most)
        return refuse(r, start, "%s%.*s is above %d", what, (int)(r->at - start), start, most);
    if (number < least)
        return refuse(r, start, "%s%d is below %d", what, number, least);
    *ret_number = number;
    return 0;
}

static struct word upper(const char *text, size_t len)
{
    struct word word = {{0}};

    for (size_t i = 0; i < len && i < sizeof word.text - 1; i++)
        word.text[i] = (char)toupper((unsigned char)text[i]);
    return word;
}

static int take_name(struct reading *r, int *ret_value)
{
    const char *start = r->at, *const *names = r->field->names;

    while (r->at < r->end && isalpha((unsigned char)*r->at))
        r->at++;
    /* "FRIL": the last Friday. */
    if (r->field == &fields[WEEKDAY] && r->at - start == 4 &&
        toupper((unsigned char)r->at[-1]) == 'L')
        r->at--;
    struct word name = upper(start, (size_t)(r->at - start));
    for (int i = 0; names[i]; i++)
        if (strcmp(names[i], name.text) == 0) {
            *ret_value = r->field->first + i;
            return 0;
        }
    const char *what = r->field == &fields[MONTH] ? "month" : "weekday";
    struct word beginning = upper(name.text, 3); /* of a name that was written out */
    const char *nearest = str_nearest(name.text, names);
    if (!nearest)
        nearest = str_nearest(beginning.text, names);
    if (nearest)
        return refuse(r, start, "unknown %s \"%s\"; did you mean \"%s\"?", what, name.text,
                      nearest);
    return refuse(r, start, "unknown %s \"%s\"; known are %s to %s", what, name.text, names[0],
                  names[r->field->last - r->field->first]);
}

static int take_value(struct reading *r, int *ret_value)
{
    if (is_digit(r))
        return take_number(r, r->field->first, r->field->most, "", ret_value);
    if (r->at == r->end || *r->at == ',')
        return refuse(r, r->at, "something is missing here");
    if (r->field->names && isalpha((unsigned char)*r->at))
        return take_name(r, ret_value);
    return refuse(r, r->at, "\"%.*s\" has no meaning here", (int)(r->end - r->at), r->at);
}

/* --- single items, between commas --- */

/* L, LW, L-3. */
static int read_last_day(struct reading *r)
{
    int before = 0;

    if (take(r, 'W')) {
        r->cron->near |= 1;
        return 0;
    }
    if (take(r, '-') && take_number(r, 1, 30, "days before the last: ", &before))
        return -1;
    r->cron->before_last |= UINT32_C(1) << before;
    return 0;
}

/* Behind a weekday: #2 or L. */
static int read_nth(struct reading *r, int weekday)
{
    int nth;

    if (take(r, 'L')) {
        r->cron->last |= (uint8_t)(1u << weekday);
        return 0;
    }
    r->at++;
    if (take_number(r, 1, NTH_MAX, "of a weekday there are at most 5 in a month: ", &nth))
        return -1;
    r->cron->nth[weekday] |= (uint8_t)(1u << nth);
    return 0;
}

/* From `first` to `last`, or "*": by the step that may follow. */
static int read_step(struct reading *r, int first, int last)
{
    int step = 1;

    if (take(r, '/') && take_number(r, 1, r->field->most, "step ", &step))
        return -1;
    for (int value = first; value <= last; value += step)
        r->bits[r->field - fields] |= UINT64_C(1)
                                      << (r->field == &fields[WEEKDAY] ? value % 7 : value);
    return 0;
}

static int read_range(struct reading *r, const char *start, int first)
{
    int last;

    if (take_value(r, &last))
        return -1;
    if (r->field == &fields[WEEKDAY] && last == 0)
        last = 7;
    if (first > last)
        return refuse(r, start, "\"%.*s\" runs backwards; write two ranges", (int)(r->at - start),
                      start);
    return read_step(r, first, last);
}

static int read_item(struct reading *r)
{
    const char *start = r->at;
    int value = 0;

    if (take(r, '*'))
        return read_step(r, r->field->first, r->field->last);
    if (r->field == &fields[DAY] && take(r, 'L'))
        return read_last_day(r);
    if (r->field == &fields[WEEKDAY] && is_next(r, 'L'))
        return refuse(r, start, "L needs a weekday in front: \"5L\" is the last Friday");
    if (take_value(r, &value))
        return -1;
    if (take(r, '-'))
        return read_range(r, start, value);
    if (is_next(r, '/'))
        return refuse(r, r->at, "a step needs * or a range in front: \"%d-%d%.*s\"", value,
                      r->field->last, (int)(r->end - r->at), r->at);
    if (r->field == &fields[DAY] && take(r, 'W')) {
        r->cron->near |= UINT32_C(1) << value;
        return 0;
    }
    if (r->field == &fields[WEEKDAY] && (is_next(r, '#') || is_next(r, 'L')))
        return read_nth(r, value % 7);
    return read_step(r, value, value);
}

/* --- the line --- */

static bool is_days(const struct field *field)
{
    return field == &fields[DAY] || field == &fields[WEEKDAY];
}

static int read_field(struct reading *r)
{
    if (is_days(r->field) && r->end - r->at == 1 && take(r, '?'))
        return read_step(r, r->field->first, r->field->last);
    do
        if (read_item(r))
            return -1;
    while (take(r, ','));
    if (r->at < r->end)
        return refuse(r, r->at, "\"%.*s\" has no meaning here", (int)(r->end - r->at), r->at);
    return 0;
}

static void keep_fields(struct cron *cron, const struct reading *r, const struct str found[FIELDS])
{
    cron->minutes = r->bits[MINUTE];
    cron->hours = (uint32_t)r->bits[HOUR];
    cron->days = (uint32_t)r->bits[DAY];
    cron->months = (uint16_t)r->bits[MONTH];
    cron->weekdays = (uint8_t)r->bits[WEEKDAY];
    cron->any_day = strchr("*?", found[DAY].text[0]) != NULL;
    cron->any_weekday = strchr("*?", found[WEEKDAY].text[0]) != NULL;
}

static struct str cut_field(const char **at)
{
    while (isspace((unsigned char)**at))
        ++*at;
    const char *start = *at;
    while (**at && !isspace((unsigned char)**at))
        ++*at;
    return (struct str){start, (size_t)(*at - start)};
}

static int cut_fields(struct reading *r, const char *text, struct str found[FIELDS])
{
    for (int i = 0; i < FIELDS; i++) {
        found[i] = cut_field(&text);
        if (found[i].len == 0) {
            r->wrong = text;
            return err_set(
                r->e, ERR_INVALID,
                "%s is missing: a line is minute, hour, day of month, month, day of week",
                fields[i].name);
        }
    }
    struct str more = cut_field(&text);
    if (more.len == 0)
        return 0;
    r->wrong = more.text;
    return err_set(r->e, ERR_INVALID,
                   "there is more than minute, hour, day of month, month, day of week; seconds and "
                   "years are not known");
}

/* The calendar repeats itself after 400 years. */
static bool is_possible(const struct cron *cron)
{
    struct local_time from = {.year = CALENDAR_LAST_YEAR - 400, .month = 1, .day = 1}, found;

    return cron_next(cron, &from, &found) == 0;
}

static int read_line(struct reading *r, const char *text)
{
    struct str found[FIELDS] = {{0}};

    if (cut_fields(r, text, found))
        return -1;
    for (int i = 0; i < FIELDS; i++) {
        r->field = &fields[i];
        r->at = found[i].text;
        r->end = found[i].text + found[i].len;
        if (read_field(r))
            return -1;
    }
    keep_fields(r->cron, r, found);
    if (is_possible(r->cron))
        return 0;
    int days = r->cron->any_day ? WEEKDAY : DAY;
    r->field = &fields[days];
    return refuse(r, found[days].text, "\"" STR_FMT "\" never comes with month \"" STR_FMT "\"",
                  STR_ARG(found[days]), STR_ARG(found[MONTH]));
}

static int read_macro(struct reading *r, const char *text)
{
    struct str name = cut_field(&text);
    struct word word = upper(name.text, name.len);

    for (size_t i = 0; i < MACROS; i++)
        if (strcasecmp(word.text, macros[i].name) == 0 && cut_field(&text).len == 0)
            return read_line(r, macros[i].line);
    r->wrong = name.text;
    return err_set(r->e, ERR_INVALID,
                   "unknown \"" STR_FMT "\"; known are @yearly, @annually, @monthly, @weekly, "
                   "@daily, @midnight and @hourly",
                   STR_ARG(name));
}

int cron_parse(const char *text, struct cron *ret_cron, size_t *ret_offset, struct err *e)
{
    struct cron cron = {0};
    struct reading r = {.wrong = text, .cron = &cron, .e = e};
    const char *start = text;
    int failed;

    while (isspace((unsigned char)*start))
        start++;
    if (strlen(text) > LINE_MAX_BYTES)
        failed = err_set(e, ERR_INVALID, "longer than %d bytes", LINE_MAX_BYTES);
    else
        failed = *start == '@' ? read_macro(&r, start) : read_line(&r, start);
    if (failed && ret_offset)
        *ret_offset = (size_t)(r.wrong - text);
    if (!failed)
        *ret_cron = cron;
    return failed;
}
