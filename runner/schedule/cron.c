#include "runner/schedule/cron.h"

#include "runner/schedule/calendar.h"

#define LAST_WEEKDAY_BIT 1u /* of `near` */

/* A month as the fields of days see it. */
struct month {
    int year;
    int month;
    int days;
    int first_weekday; /* of day 1 */
};

static struct month month_of(int year, int month)
{
    return (struct month){
        .year = year,
        .month = month,
        .days = calendar_month_days(year, month),
        .first_weekday = calendar_weekday(calendar_days((struct date){year, month, 1})),
    };
}

static int weekday_of(const struct month *month, int day)
{
    return (month->first_weekday + day - 1) % 7;
}

/* The weekday, Monday to Friday, nearest to `day` within the month. */
static int weekday_near(const struct month *month, int day)
{
    int weekday = weekday_of(month, day);

    if (weekday == 6)
        return day > 1 ? day - 1 : day + 2;
    if (weekday == 0)
        return day < month->days ? day + 1 : day - 2;
    return day;
}

static int last_weekday(const struct month *month)
{
    int weekday = weekday_of(month, month->days);

    return weekday == 6 ? month->days - 1 : weekday == 0 ? month->days - 2 : month->days;
}

/* Only three days can have `day` as their nearest weekday but itself; a look at all is as short. */
static bool is_near(const struct cron *cron, const struct month *month, int day)
{
    if (!cron->near)
        return false;
    if (cron->near & LAST_WEEKDAY_BIT && day == last_weekday(month))
        return true;
    for (int of = 1; of <= month->days; of++)
        if (cron->near >> of & 1 && weekday_near(month, of) == day)
            return true;
    return false;
}

static bool day_matches(const struct cron *cron, const struct month *month, int day)
{
    int weekday = weekday_of(month, day);
    bool by_day = cron->days >> day & 1 || cron->before_last >> (month->days - day) & 1 ||
                  is_near(cron, month, day);
    bool by_weekday = cron->weekdays >> weekday & 1 ||
                      cron->nth[weekday] >> ((day - 1) / 7 + 1) & 1 ||
                      (cron->last >> weekday & 1 && day + 7 > month->days);

    return cron->any_day || cron->any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

bool cron_matches(const struct cron *cron, const struct local_time *local)
{
    struct month month = month_of(local->year, local->month);

    return cron->minutes >> local->minute & 1 && cron->hours >> local->hour & 1 &&
           cron->months >> local->month & 1 && day_matches(cron, &month, local->day);
}

/* The first day at or behind `date` that is named. -1: none up to the end of `last_year`. */
static int find_day(const struct cron *cron, struct date *date, int last_year)
{
    for (; date->year <= last_year; date->month = 1, date->year++)
        for (; date->month <= 12; date->day = 1, date->month++) {
            if (!(cron->months >> date->month & 1))
                continue;
            struct month month = month_of(date->year, date->month);
            for (; date->day <= month.days; date->day++)
                if (day_matches(cron, &month, date->day))
                    return 0;
        }
    return -1;
}

/* The first minute of the day, from `from` on, that is named; -1: none. */
static int find_minute(const struct cron *cron, int from)
{
    for (int hour = from / 60, minute = from % 60; hour < 24; hour++, minute = 0) {
        uint64_t minutes = cron->minutes >> minute;
        if (cron->hours >> hour & 1 && minutes)
            return hour * 60 + minute + __builtin_ctzll(minutes);
    }
    return -1;
}

int cron_next(const struct cron *cron, const struct local_time *after, struct local_time *ret_next)
{
    struct date date = {after->year, after->month, after->day};
    int from = after->hour * 60 + after->minute + 1;

    while (find_day(cron, &date, CALENDAR_LAST_YEAR) == 0) {
        bool is_same =
            date.year == after->year && date.month == after->month && date.day == after->day;
        int found = find_minute(cron, is_same ? from : 0);
        if (found >= 0) {
            *ret_next = (struct local_time){
                .year = date.year,
                .month = date.month,
                .day = date.day,
                .hour = found / 60,
                .minute = found % 60,
                .weekday = calendar_weekday(calendar_days(date)),
            };
            return 0;
        }
        date.day++;
    }
    return -1;
}
