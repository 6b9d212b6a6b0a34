/* made_line: crontab lines made up at random, and a second opinion on them.
 *
 * The line is written from a plain table of what it shall name, and that table says which minutes
 * it names: nothing of the parser is in it, and the calendar and the zones are those of the C
 * library. For tests; included as source.
 */
#ifndef SEGUE_TESTS_MADE_LINE_C
#define SEGUE_TESTS_MADE_LINE_C

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct made_line {
    char text[600];
    bool minutes[60], hours[24], months[13];
    bool days[32], last[31], near[32]; /* near[0]: the last weekday */
    bool weekdays[7], last_weekdays[7], nth[7][6];
    bool any_day, any_weekday; /* the field begins with * */
};

struct dice {
    uint64_t state;
};

/* Marsaglia's xorshift. */
static inline uint32_t roll(struct dice *dice, uint32_t sides)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return (uint32_t)(dice->state >> 32) % sides;
}

static inline void add(struct made_line *made, const char *format, int a, int b, int c)
{
    size_t len = strlen(made->text);
    snprintf(made->text + len, sizeof made->text - len, format, a, b, c);
}

/* A field of numbers: "*", a step, ranges and numbers. Sunday is 7 as well where `most` is 7. */
static inline bool make_numbers(struct made_line *made, struct dice *dice, bool *set, int first,
                                int most, int modulo)
{
    if (roll(dice, 3) == 0) {
        int last = modulo == 7 ? 6 : most;
        int step = roll(dice, 2) ? 1 : 1 + (int)roll(dice, (uint32_t)last);
        add(made, step == 1 ? "*" : "*/%d", step, 0, 0);
        for (int i = first; i <= last; i += step)
            set[i % modulo] = true;
        return true;
    }
    for (int items = 1 + (int)roll(dice, 3); items > 0; items--) {
        int a = first + (int)roll(dice, (uint32_t)(most - first + 1));
        int b = a + (int)roll(dice, (uint32_t)(most - a + 1));
        int step = 1 + (int)roll(dice, 4);
        if (roll(dice, 2))
            b = a, step = 1;
        add(made, b == a ? "%d" : step > 1 ? "%d-%d/%d" : "%d-%d", a, b, step);
        for (int i = a; i <= b; i += step)
            set[i % modulo] = true;
        if (items > 1)
            add(made, ",", 0, 0, 0);
    }
    return false;
}

/* Now and then besides, behind a comma: L, L-3, 15W, LW. */
static inline void make_odd_days(struct made_line *made, struct dice *dice)
{
    int day = 1 + (int)roll(dice, 31), before = 1 + (int)roll(dice, 27);

    if (roll(dice, 6) == 0) {
        add(made, ",L", 0, 0, 0);
        made->last[0] = true;
    }
    if (roll(dice, 6) == 0) {
        add(made, ",L-%d", before, 0, 0);
        made->last[before] = true;
    }
    if (roll(dice, 6) == 0) {
        add(made, ",%dW", day, 0, 0);
        made->near[day] = true;
    }
    if (roll(dice, 6) == 0) {
        add(made, ",lw", 0, 0, 0);
        made->near[0] = true;
    }
}

static inline void make_odd_weekdays(struct made_line *made, struct dice *dice)
{
    int weekday = (int)roll(dice, 7), nth = 1 + (int)roll(dice, 5);

    if (roll(dice, 6) == 0) {
        add(made, ",%dL", weekday, 0, 0);
        made->last_weekdays[weekday] = true;
    }
    if (roll(dice, 6) == 0) {
        add(made, ",%d#%d", weekday, nth, 0);
        made->nth[weekday][nth] = true;
    }
}

static inline struct made_line make_line(struct dice *dice)
{
    struct made_line made = {0};

    make_numbers(&made, dice, made.minutes, 0, 59, 60);
    add(&made, " ", 0, 0, 0);
    make_numbers(&made, dice, made.hours, 0, 23, 24);
    add(&made, " ", 0, 0, 0);
    made.any_day = make_numbers(&made, dice, made.days, 1, 31, 32);
    make_odd_days(&made, dice);
    add(&made, " ", 0, 0, 0);
    make_numbers(&made, dice, made.months, 1, 12, 13);
    add(&made, " ", 0, 0, 0);
    made.any_weekday = make_numbers(&made, dice, made.weekdays, 0, 7, 7);
    make_odd_weekdays(&made, dice);
    return made;
}

/* The same on every day. */
static inline struct made_line make_daily_line(struct dice *dice)
{
    struct made_line made = {0};

    make_numbers(&made, dice, made.minutes, 0, 59, 60);
    add(&made, " ", 0, 0, 0);
    make_numbers(&made, dice, made.hours, 0, 23, 24);
    add(&made, " * * *", 0, 0, 0);
    memset(made.days, true, sizeof made.days);
    memset(made.months, true, sizeof made.months);
    memset(made.weekdays, true, sizeof made.weekdays);
    made.any_day = made.any_weekday = true;
    return made;
}

/* --- the second opinion --- */

static inline struct tm utc_time(int64_t seconds)
{
    time_t time = seconds;
    struct tm tm;
    gmtime_r(&time, &tm);
    return tm;
}

static inline struct tm day_of(int year, int month, int day)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    time_t time = timegm(&tm);
    gmtime_r(&time, &tm);
    return tm;
}

static inline int days_in_month(const struct tm *tm)
{
    return day_of(tm->tm_year + 1900, tm->tm_mon + 2, 0).tm_mday;
}

static inline bool is_workday(const struct tm *tm)
{
    return tm->tm_wday >= 1 && tm->tm_wday <= 5;
}

/* The workday of `day`'s month with the least distance; of two there is one in the month. */
static inline int nearest_workday(int year, int month, int day)
{
    for (int distance = 0;; distance++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct tm tm = day_of(year, month, day + sign * distance);
            if (tm.tm_mon + 1 == month && is_workday(&tm))
                return tm.tm_mday;
        }
}

static inline bool is_day_named(const struct made_line *made, const struct tm *tm)
{
    int days = days_in_month(tm), year = tm->tm_year + 1900, month = tm->tm_mon + 1;
    bool named = made->days[tm->tm_mday];

    if (days - tm->tm_mday <= 30)
        named |= made->last[days - tm->tm_mday];
    for (int day = 1; day <= days; day++)
        named |= made->near[day] && nearest_workday(year, month, day) == tm->tm_mday;
    if (made->near[0]) {
        int last = days;
        for (struct tm at = day_of(year, month, last); !is_workday(&at);)
            at = day_of(year, month, --last);
        named |= last == tm->tm_mday;
    }
    return named;
}

static inline bool is_weekday_named(const struct made_line *made, const struct tm *tm)
{
    int before = 0; /* the same weekday, earlier in the month */

    for (int day = tm->tm_mday - 7; day > 0; day -= 7)
        before++;
    return made->weekdays[tm->tm_wday] || made->nth[tm->tm_wday][before + 1] ||
           (made->last_weekdays[tm->tm_wday] && tm->tm_mday + 7 > days_in_month(tm));
}

/* Whether the line names the day; hour and minute left aside. */
static inline bool names_day(const struct made_line *made, const struct tm *tm)
{
    bool day = is_day_named(made, tm), weekday = is_weekday_named(made, tm);

    if (!made->months[tm->tm_mon + 1])
        return false;
    if (made->any_day || made->any_weekday)
        return day && weekday;
    return day || weekday;
}

static inline bool names_every_hour(const struct made_line *made)
{
    for (int hour = 0; hour < 24; hour++)
        if (!made->hours[hour])
            return false;
    return true;
}

#endif
