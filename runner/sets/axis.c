#include "runner/sets/axis.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SHOWN        60 /* characters of a wrong text that are said again */
#define DECIMALS_MAX 30 /* decimal places of a range, so that its values stay readable */
#define DRAWN_BYTES  40u

static const struct {
    const char *name;
    enum axis_kind kind;
} distributions[] = {
    {"uniform", AXIS_UNIFORM},
    {"log_uniform", AXIS_LOG_UNIFORM},
    {"int_uniform", AXIS_INT_UNIFORM},
};

/* --- decimal numbers --- */

/* digits / 10^decimals */
struct decimal {
    int64_t digits;
    int decimals;
    bool has_point; /* or an exponent */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int fail_digits(struct str text, struct err *e)
{
    return err_set(e, ERR_INVALID, "\"%.*s\" has more than the %u digits that a number keeps",
                   (int)(text.len < SHOWN ? text.len : SHOWN), text.text, AXIS_DIGITS_MAX);
}

static bool has_room(int64_t digits)
{
    static const int64_t MOST = 1000000000000000; /* 10^AXIS_DIGITS_MAX */

    return digits < MOST && digits > -MOST;
}

/* As a whole number of units of 10^-decimals, which is no larger a unit than its own. */
static int scale(struct decimal *number, int decimals)
{
    for (; number->decimals < decimals && number->digits != 0; number->decimals++) {
        number->digits *= 10;
        if (!has_room(number->digits))
            return -1;
    }
    number->decimals = decimals;
    return 0;
}

/* "e-5" behind the digits; its value, or 0 with *at left in front of what is no exponent. */
static int read_exponent(const char **at, const char *end)
{
    const char *p = *at + 1;
    int sign = 1, value = 0;

    if (p < end && (*p == '-' || *p == '+'))
        sign = *p++ == '-' ? -1 : 1;
    if (p == end || !is_digit(*p))
        return 0;
    for (; p < end && is_digit(*p); p++)
        value = value < 1000 ? 10 * value + *p - '0' : value;
    *at = p;
    return sign * value;
}

static int parse_decimal(struct str text, struct decimal *ret_number, struct err *e)
{
    const char *p = text.text, *end = text.text + text.len;
    struct decimal number = {0};
    bool is_negative = p < end && *p == '-', has_digits = false;

    for (p += is_negative; p < end && (is_digit(*p) || (*p == '.' && !number.has_point)); p++) {
        if (*p == '.') {
            number.has_point = true;
            continue;
        }
        has_digits = true;
        number.digits = 10 * number.digits + *p - '0';
        number.decimals += number.has_point;
        if (!has_room(number.digits))
            return fail_digits(text, e);
    }
    if (p < end && has_digits && (*p == 'e' || *p == 'E')) {
        number.has_point = true;
        number.decimals -= read_exponent(&p, end);
    }
    if (p < end || !has_digits)
        return err_set(e, ERR_INVALID, "\"%.*s\" is no number",
                       (int)(text.len < SHOWN ? text.len : SHOWN), text.text);
    if (number.digits == 0)
        number.decimals = 0;
    if (number.decimals > DECIMALS_MAX || scale(&number, number.decimals < 0 ? 0 : number.decimals))
        return fail_digits(text, e);
    if (is_negative)
        number.digits = -number.digits;
    *ret_number = number;
    return 0;
}

static void put_decimal(int64_t value, unsigned decimals, bool has_point, struct buf *out)
{
    char digits[DECIMALS_MAX + 24];
    int len = snprintf(digits, sizeof digits, "%0*" PRId64, (int)decimals + 1,
                       value < 0 ? -value : value);
    int whole = len - (int)decimals;

    while (len > whole && digits[len - 1] == '0')
        len--;
    if (value < 0)
        buf_putc(out, '-');
    buf_put(out, digits, (size_t)whole);
    if (!has_point)
        return;
    buf_putc(out, '.');
    if (len == whole)
        buf_putc(out, '0');
    buf_put(out, digits + whole, (size_t)(len - whole));
}

/* The shortest text that reads back as the same number, with something in it that makes it a
 * fraction for who reads it. */
static void put_double(double value, struct buf *out)
{
    char text[DRAWN_BYTES];
    int precision = 1;

    do
        snprintf(text, sizeof text, "%.*g", precision, value);
    while (strtod(text, NULL) != value && precision++ < 17);
    buf_puts(out, text);
    if (!strpbrk(text, ".e"))
        buf_puts(out, ".0");
}

/* --- ranges --- */

static int fail_range(struct str text, const char *what, struct err *e)
{
    return err_set(e, ERR_INVALID, "\"%.*s\" %s", (int)(text.len < SHOWN ? text.len : SHOWN),
                   text.text, what);
}

static int prefix_range(struct str text, struct err *e)
{
    return err_prefix(e, "\"%.*s\"", (int)(text.len < SHOWN ? text.len : SHOWN), text.text);
}

/* Takes what is in front of the separator, and the separator; false when there is none. */
static bool cut(struct str *rest, const char *separator, struct str *ret_part)
{
    const char *found =
        rest->len ? memmem(rest->text, rest->len, separator, strlen(separator)) : NULL;

    if (!found)
        return false;
    *ret_part = (struct str){rest->text, (size_t)(found - rest->text)};
    rest->len -= ret_part->len + strlen(separator);
    rest->text = found + strlen(separator);
    return true;
}

static int count_range(struct axis *axis, struct str text, int64_t last, struct err *e)
{
    int64_t distance = last - axis->range.first;

    if (axis->range.step == 0)
        return fail_range(text, "has 0 as its step", e);
    if (distance != 0 && (distance < 0) != (axis->range.step < 0))
        return fail_range(text, "has a step that leads away from where it stops", e);
    axis->count = (uint64_t)(distance / axis->range.step) + 1;
    return 0;
}

static int parse_steps(struct axis *axis, struct str text, struct err *e)
{
    struct str stop = text, start, step;
    struct decimal numbers[3] = {0};
    int decimals = 0;

    if (!cut(&stop, ":", &start))
        return fail_range(text, "is no range: start:stop:step or first..last", e);
    step = stop;
    if (!cut(&step, ":", &stop))
        return fail_range(text, "has no step: a range is start:stop:step", e);
    if (parse_decimal(start, &numbers[0], e) < 0 || parse_decimal(stop, &numbers[1], e) < 0 ||
        parse_decimal(step, &numbers[2], e) < 0)
        return prefix_range(text, e);
    for (unsigned i = 0; i < 3; i++) {
        decimals = numbers[i].decimals > decimals ? numbers[i].decimals : decimals;
        axis->range.has_point |= numbers[i].has_point;
    }
    for (unsigned i = 0; i < 3; i++)
        if (scale(&numbers[i], decimals) < 0)
            return fail_digits(text, e);
    axis->range.first = numbers[0].digits;
    axis->range.step = numbers[2].digits;
    axis->range.decimals = (unsigned)decimals;
    return count_range(axis, text, numbers[1].digits, e);
}

static int parse_whole(struct axis *axis, struct str text, struct str first, struct str last,
                       struct err *e)
{
    struct decimal from = {0}, to = {0};

    if (parse_decimal(first, &from, e) < 0 || parse_decimal(last, &to, e) < 0)
        return prefix_range(text, e);
    if (from.has_point || to.has_point)
        return fail_range(text, "must be of whole numbers; decimals go start:stop:step", e);
    axis->range.first = from.digits;
    axis->range.step = to.digits < from.digits ? -1 : 1;
    return count_range(axis, text, to.digits, e);
}

int axis_parse_range(struct axis *ret_axis, struct str text, struct err *e)
{
    struct axis axis = {.kind = AXIS_RANGE};
    struct str first, last = text;
    int failed = cut(&last, "..", &first) ? parse_whole(&axis, text, first, last, e)
                                          : parse_steps(&axis, text, e);

    if (failed < 0)
        return -1;
    *ret_axis = axis;
    return 0;
}

/* --- the others --- */

static int read_list(struct axis *axis, const struct json *doc, json_at at, struct err *e)
{
    if (json_count(doc, at) == 0)
        return err_set(e, ERR_INVALID, "has no values");
    axis->values = mem_array(json_count(doc, at), sizeof *axis->values);
    json_each (doc, at, value)
        axis->values[axis->count++] = value;
    return 0;
}

static int read_range(struct axis *axis, const struct json *doc, json_at at, struct err *e)
{
    auto_buf struct buf scratch = {0};

    return axis_parse_range(axis, json_text(doc, at, &scratch), e);
}

static int check_real(const struct axis *axis, const char *name, struct err *e)
{
    double least = axis->real.least, most = axis->real.most;

    if (!(least < most))
        return err_set(e, ERR_INVALID, "%s must go from a smaller number to a larger one", name);
    if (axis->kind == AXIS_LOG_UNIFORM && least <= 0)
        return err_set(e, ERR_INVALID, "%s must start above 0", name);
    if (!isfinite(most - least))
        return err_set(e, ERR_INVALID, "%s is too wide", name);
    return 0;
}

static int read_bounds(struct axis *axis, const struct json *doc, json_at bounds, const char *name,
                       struct err *e)
{
    json_at least = json_item(doc, bounds, 0), most = json_item(doc, bounds, 1);

    if (json_count(doc, bounds) != 2 || json_kind(doc, bounds) != JSON_ARRAY)
        return err_set(e, ERR_INVALID, "%s must have two numbers: [from, to]", name);
    if (axis->kind != AXIS_INT_UNIFORM) {
        if (json_double(doc, least, &axis->real.least) && json_double(doc, most, &axis->real.most))
            return check_real(axis, name, e);
        return err_set(e, ERR_INVALID, "%s must have two numbers: [from, to]", name);
    }
    if (!json_int(doc, least, &axis->whole.least) || !json_int(doc, most, &axis->whole.most))
        return err_set(e, ERR_INVALID, "%s must have two whole numbers: [from, to]", name);
    if (axis->whole.least >= axis->whole.most)
        return err_set(e, ERR_INVALID, "%s must go from a smaller number to a larger one", name);
    return 0;
}

static int read_distribution(struct axis *axis, const struct json *doc, json_at at, struct err *e)
{
    json_at key = json_first(doc, at);

    for (unsigned i = 0; i < sizeof distributions / sizeof *distributions; i++) {
        if (json_count(doc, at) != 1 || !json_is(doc, key, distributions[i].name))
            continue;
        axis->kind = distributions[i].kind;
        return read_bounds(axis, doc, json_value(key), distributions[i].name, e);
    }
    return err_set(e, ERR_INVALID,
                   "must have one of \"uniform\", \"log_uniform\" and \"int_uniform\", with "
                   "[from, to]");
}

int axis_read(struct axis *ret_axis, const struct json *doc, json_at at, struct err *e)
{
    struct axis axis = {0};
    enum json_kind kind = json_kind(doc, at);

    if (kind != JSON_ARRAY && kind != JSON_STRING && kind != JSON_OBJECT)
        return err_set(e, ERR_INVALID,
                       "must be a list of values, also of a single one, or a range such as "
                       "\"0.1:1:0.1\" or \"1..5\", is %s",
                       json_kind_name(kind));
    int failed = kind == JSON_ARRAY    ? read_list(&axis, doc, at, e)
                 : kind == JSON_STRING ? read_range(&axis, doc, at, e)
                                       : read_distribution(&axis, doc, at, e);
    if (failed < 0)
        return -1;
    *ret_axis = axis;
    return 0;
}

void axis_clear(struct axis *axis)
{
    if (axis->kind == AXIS_LIST)
        free(axis->values);
    *axis = (struct axis){0};
}

bool axis_is_distribution(const struct axis *axis)
{
    return axis->count == 0;
}

size_t axis_longest(const struct axis *axis, const struct json *doc)
{
    size_t longest = DRAWN_BYTES;

    for (uint64_t i = 0; axis->kind == AXIS_LIST && i < axis->count; i++) {
        size_t len = json_raw(doc, axis->values[i]).len;
        longest = len > longest ? len : longest;
    }
    return longest;
}

/* --- values --- */

void axis_put(const struct axis *axis, const struct json *doc, uint64_t index, struct buf *out)
{
    if (axis->kind == AXIS_LIST) {
        struct str value = json_raw(doc, axis->values[index]);
        buf_put(out, value.text, value.len);
        return;
    }
    put_decimal(axis->range.first + (int64_t)index * axis->range.step, axis->range.decimals,
                axis->range.has_point, out);
}

/* exp() and log() differ in their last bit from one machine to the next, square roots do not: the
 * way to the value is found by halving, in the middle of a geometric kind. */
static double draw_log_uniform(double least, double most, struct draw *draw)
{
    uint64_t bits = draw_bits(draw);
    double low = least, high = most;

    for (unsigned i = 0; i < 60; i++, bits >>= 1) {
        double middle = sqrt(low) * sqrt(high);
        if (bits & 1)
            low = middle;
        else
            high = middle;
    }
    return fmin(fmax(low, least), most);
}

static int64_t draw_whole(int64_t least, int64_t most, struct draw *draw)
{
    uint64_t others = (uint64_t)most - (uint64_t)least;
    uint64_t offset = others == UINT64_MAX ? draw_bits(draw) : draw_below(draw, others + 1);

    return (int64_t)((uint64_t)least + offset);
}

void axis_put_drawn(const struct axis *axis, const struct json *doc, struct draw *draw,
                    struct buf *out)
{
    switch (axis->kind) {
    case AXIS_LIST:
    case AXIS_RANGE:
        axis_put(axis, doc, draw_below(draw, axis->count), out);
        return;
    case AXIS_UNIFORM: /* fma() is one rounding everywhere; a * b + c is not */
        put_double(fma(draw_unit(draw), axis->real.most - axis->real.least, axis->real.least), out);
        return;
    case AXIS_LOG_UNIFORM:
        put_double(draw_log_uniform(axis->real.least, axis->real.most, draw), out);
        return;
    case AXIS_INT_UNIFORM:
        buf_put_int(out, draw_whole(axis->whole.least, axis->whole.most, draw));
        return;
    }
}
