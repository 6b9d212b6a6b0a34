/* A line in English: when within the day, then on which days:
 *
 *     every 15 minutes from 09:00 to 17:45 | on Monday to Friday in January
 *     at 02:00 and 14:30 | on day 1 and the last day of March
 */
#include "runner/schedule/cron.h"

#include <stdio.h>

#define ALL_MINUTES  ((UINT64_C(1) << 60) - 1)
#define ALL_HOURS    0xffffffu
#define ALL_DAYS     0xfffffffeu
#define ALL_MONTHS   0x1ffeu
#define ALL_WEEKDAYS 0x7fu
#define TIMES_MAX    6 /* listed one by one; more are described by minutes and hours */

static const char *const month_names[] = {"",        "January",  "February", "March",  "April",
                                          "May",     "June",     "July",     "August", "September",
                                          "October", "November", "December"};
/* The week begins on Monday where people speak of "Saturday and Sunday". */
static const char *const weekday_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                            "Friday", "Saturday", "Sunday"};
static const char *const ordinals[] = {"", "first", "second", "third", "fourth", "fifth"};

/* --- lists --- */

/* A list under construction: "a, b and c". An item has to be known as the last when it is put. */
struct list {
    struct buf *out;
    int left; /* items */
    bool is_begun;
};

static struct buf *next_item(struct list *list)
{
    list->left--;
    if (list->is_begun)
        buf_puts(list->out, list->left == 0 ? " and " : ", ");
    list->is_begun = true;
    return list->out;
}

/* Bits one after the other, of a set. */
struct run {
    int first, last;
};

/* The next run behind *at. Two neighbours are two runs: "1 and 2" reads better than "1 to 2". */
static bool next_run(uint64_t set, int *at, struct run *run)
{
    while (*at < 64 && !(set >> *at & 1))
        ++*at;
    if (*at == 64)
        return false;
    run->first = run->last = *at;
    while (run->last < 63 && set >> (run->last + 1) & 1)
        run->last++;
    if (run->last == run->first + 1)
        run->last = run->first;
    *at = run->last + 1;
    return true;
}

static int count_runs(uint64_t set)
{
    struct run run;
    int count = 0;

    for (int at = 0; next_run(set, &at, &run);)
        count++;
    return count;
}

/* "1, 3 to 5 and 9", as parts of a list; `names` NULL: as numbers. */
static void put_runs(struct list *list, uint64_t set, const char *const *names)
{
    struct run run;

    for (int at = 0; next_run(set, &at, &run);) {
        struct buf *out = next_item(list);
        if (names)
            buf_puts(out, names[run.first]);
        else
            buf_put_int(out, run.first);
        if (run.last == run.first)
            continue;
        buf_puts(out, " to ");
        if (names)
            buf_puts(out, names[run.last]);
        else
            buf_put_int(out, run.last);
    }
}

static void put_set(struct buf *out, uint64_t set, const char *const *names)
{
    struct list list = {out, count_runs(set), false};

    put_runs(&list, set, names);
}

static int first_bit(uint64_t set)
{
    return __builtin_ctzll(set);
}

static int last_bit(uint64_t set)
{
    return 63 - __builtin_clzll(set);
}

static int count_bits(uint64_t set)
{
    return __builtin_popcountll(set);
}

/* n, when the set is what 0-`last`/n names; else 0. */
static int step_of(uint64_t set, int last)
{
    if (!(set & 1) || count_bits(set) < 2)
        return 0;
    int step = first_bit(set & ~UINT64_C(1));
    uint64_t whole = 0;
    for (int at = 0; at <= last; at += step)
        whole |= UINT64_C(1) << at;
    return whole == set ? step : 0;
}

/* --- within the day --- */

static bool is_listed(const struct cron *cron)
{
    return count_bits(cron->minutes) * count_bits(cron->hours) <= TIMES_MAX;
}

static void put_times(const struct cron *cron, struct buf *out)
{
    struct list list = {out, count_bits(cron->minutes) * count_bits(cron->hours), false};

    buf_puts(out, "at ");
    for (int hour = 0; hour < 24; hour++)
        for (int minute = 0; minute < 60; minute++)
            if (cron->hours >> hour & 1 && cron->minutes >> minute & 1)
                buf_printf(next_item(&list), "%02d:%02d", hour, minute);
}

static bool is_range(uint32_t hours)
{
    return hours != ALL_HOURS && count_bits(hours) == last_bit(hours) - first_bit(hours) + 1;
}

/* What goes on all the time, or within the hour. */
static void put_minutes(const struct cron *cron, const char *of_hour, struct buf *out)
{
    int step = step_of(cron->minutes, 59);

    if (cron->minutes == ALL_MINUTES)
        buf_puts(out, "every minute");
    else if (step && 60 % step == 0)
        buf_printf(out, "every %d minutes", step);
    else {
        buf_printf(out, "at minute%s ", count_bits(cron->minutes) > 1 ? "s" : "");
        put_set(out, cron->minutes, NULL);
        buf_puts(out, of_hour);
    }
}

static void put_minutes_of_hours(const struct cron *cron, struct buf *out)
{
    int step = step_of(cron->hours, 23);

    put_minutes(cron, "", out);
    if (step && 24 % step == 0) {
        buf_printf(out, " of every %d%s hour", step, step == 2 ? "nd" : step == 3 ? "rd" : "th");
        return;
    }
    buf_puts(out, " in the hours ");
    put_set(out, cron->hours, NULL);
}

static void put_time_of_day(const struct cron *cron, struct buf *out)
{
    bool is_hourly = count_bits(cron->minutes) == 1;
    bool is_all = cron->hours == ALL_HOURS;
    int step = step_of(cron->hours, 23);

    if (is_listed(cron))
        put_times(cron, out);
    else if (cron->minutes == 1 && step && 24 % step == 0 && !is_all)
        buf_printf(out, "every %d hours", step);
    else if ((is_hourly && is_range(cron->hours)) || (is_all && cron->minutes == 1))
        buf_puts(out, "every hour");
    else if (is_all || is_range(cron->hours))
        put_minutes(cron, " of every hour", out);
    else
        put_minutes_of_hours(cron, out);

    if (is_range(cron->hours) && !is_listed(cron))
        buf_printf(out, " from %02d:%02d to %02d:%02d", first_bit(cron->hours),
                   first_bit(cron->minutes), last_bit(cron->hours), last_bit(cron->minutes));
}

/* --- on which days --- */

static void put_of_months(const struct cron *cron, const char *of, struct buf *out)
{
    buf_puts(out, of);
    if (cron->months == ALL_MONTHS)
        buf_puts(out, "the month");
    else
        put_set(out, cron->months, month_names);
}

static void put_in_months(const struct cron *cron, struct buf *out)
{
    if (cron->months != ALL_MONTHS)
        put_of_months(cron, " in ", out);
}

static void put_before_last(struct list *list, int before)
{
    struct buf *out = next_item(list);

    if (before == 0)
        buf_puts(out, "the last day");
    else
        buf_printf(out, "the day %d day%s before the last", before, before > 1 ? "s" : "");
}

static void put_near(struct list *list, int day)
{
    struct buf *out = next_item(list);

    if (day == 0)
        buf_puts(out, "the last weekday");
    else
        buf_printf(out, "the weekday nearest to day %d", day);
}

static void put_days(const struct cron *cron, struct buf *out)
{
    int others = count_bits(cron->before_last) + count_bits(cron->near);
    struct list list = {out, count_runs(cron->days) + others, false};

    if (cron->days)
        buf_puts(out, count_bits(cron->days) > 1 ? "days " : "day ");
    put_runs(&list, cron->days, NULL);
    for (int day = 0; day < 32; day++)
        if (cron->before_last >> day & 1)
            put_before_last(&list, day);
    for (int day = 0; day < 32; day++)
        if (cron->near >> day & 1)
            put_near(&list, day);
    put_of_months(cron, " of ", out);
}

static int count_of_month(const struct cron *cron)
{
    int count = count_bits(cron->last);

    for (int weekday = 0; weekday < 7; weekday++)
        count += count_bits(cron->nth[weekday]);
    return count;
}

static void put_nth(const struct cron *cron, int weekday, struct list *list)
{
    const char *name = weekday_names[(weekday + 6) % 7];

    for (int nth = 1; nth <= 5; nth++)
        if (cron->nth[weekday] >> nth & 1)
            buf_printf(next_item(list), "the %s %s", ordinals[nth], name);
    if (cron->last >> weekday & 1)
        buf_printf(next_item(list), "the last %s", name);
}

static void put_weekdays(const struct cron *cron, struct buf *out)
{
    unsigned from_monday = cron->weekdays >> 1 | (cron->weekdays & 1u) << 6;
    int of_month = count_of_month(cron);
    struct list list = {out, count_runs(from_monday) + of_month, false};

    put_runs(&list, from_monday, weekday_names);
    for (int weekday = 0; weekday < 7; weekday++)
        put_nth(cron, weekday, &list);
    if (of_month)
        put_of_months(cron, " of ", out);
    else
        put_in_months(cron, out);
}

/* What is said of times of day is said of every day. */
static void put_any_day(const struct cron *cron, struct buf *out)
{
    if (is_listed(cron) || is_range(cron->hours))
        buf_puts(out, " every day");
    put_in_months(cron, out);
}

void cron_put_words(const struct cron *cron, struct buf *out)
{
    bool is_either = !cron->any_day && !cron->any_weekday;
    bool has_days = cron->days != ALL_DAYS, has_weekdays = cron->weekdays != ALL_WEEKDAYS;

    put_time_of_day(cron, out);
    if (is_either ? !has_days || !has_weekdays : !has_days && !has_weekdays) {
        put_any_day(cron, out);
        return;
    }
    buf_puts(out, " on ");
    if (has_days)
        put_days(cron, out);
    if (has_days && has_weekdays)
        buf_puts(out, is_either ? " or on " : ", if that is ");
    if (has_weekdays)
        put_weekdays(cron, out);
}
