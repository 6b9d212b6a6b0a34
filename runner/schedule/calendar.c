#include "runner/schedule/calendar.h"

/* Years that begin in March have their leap day at the end, and repeat in eras of 400. */
#define ERA_DAYS     146097
#define MARCH_YEAR_0 719468 /* days from 0000-03-01 to 1970-01-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

int64_t calendar_days(struct date date)
{
    int year = date.month > 2 ? date.year : date.year - 1;
    int month = (date.month + 9) % 12; /* 0: March */
    int64_t era = floor_div(year, 400);
    int64_t of_era = year - era * 400;

    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 +
           date.day - 1 - MARCH_YEAR_0;
}

struct date calendar_date(int64_t days)
{
    int64_t since = days + MARCH_YEAR_0;
    int64_t era = floor_div(since, ERA_DAYS);
    int day = (int)(since - era * ERA_DAYS);
    int year = (day - day / 1460 + day / 36524 - day / (ERA_DAYS - 1)) / 365;

    day -= 365 * year + year / 4 - year / 100;
    int month = (5 * day + 2) / 153;
    return (struct date){
        .year = (int)(year + era * 400) + (month >= 10),
        .month = month < 10 ? month + 3 : month - 9,
        .day = day - (153 * month + 2) / 5 + 1,
    };
}

int calendar_month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

int calendar_weekday(int64_t days)
{
    return (int)(days + 4 - 7 * floor_div(days + 4, 7)); /* day 0 was a Thursday */
}
