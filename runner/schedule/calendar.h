/* calendar: days of the proleptic Gregorian calendar, counted from 1970-01-01.
 *
 * Pure arithmetic; knows no zone and no clock.
 */
#ifndef SEGUE_RUNNER_CALENDAR_H
#define SEGUE_RUNNER_CALENDAR_H

#include <stdint.h>

#define CALENDAR_LAST_YEAR 9999

struct date {
    int year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

int64_t calendar_days(struct date date);
struct date calendar_date(int64_t days);
int calendar_month_days(int year, int month);
int calendar_weekday(int64_t days); /* 0 Sunday to 6 Saturday */

#endif
