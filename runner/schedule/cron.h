/* cron: a line of crontab: minute hour day-of-month month day-of-week.
 *
 *   *  5  1-5  1,15  0-30/10             in any field; a step behind * too
 *   JAN-DEC, SUN-SAT                      names, in either case; 0 and 7 are Sunday
 *   L  L-3  15W  LW                       day of month: last, third before the last, the weekday
 *                                         nearest to the 15th, the last weekday
 *   FRI#2  5L                             day of week: the second Friday, the last Friday
 *   ?                                     the same as * in either field of days
 *   @yearly @annually @monthly @weekly @daily @midnight @hourly
 *
 * Where both fields of days are restricted, either is enough, as in every cron; a field that starts
 * with * is not restricted. Pure functions on calendar fields, which know no zone and no clock; a
 * cron is a value without pointers.
 */
#ifndef SEGUE_RUNNER_CRON_H
#define SEGUE_RUNNER_CRON_H

#include "base/buf.h"
#include "base/err.h"
#include "runner/schedule/zone.h"

#include <stdbool.h>
#include <stdint.h>

struct cron {
    uint64_t minutes;     /* bit n: minute n */
    uint32_t hours;       /* bit n: hour n */
    uint32_t days;        /* bit n: day n of the month */
    uint32_t before_last; /* bit n: the n-th day before the last of the month; bit 0: the last */
    uint32_t near;        /* bit n: the weekday nearest to day n; bit 0: the last weekday */
    uint16_t months;      /* bit n: month n */
    uint8_t weekdays;     /* bit n: weekday n, 0 is Sunday */
    uint8_t last;         /* bit n: the last weekday n of the month */
    uint8_t nth[7];       /* bit k of [n]: the k-th weekday n of the month, k from 1 */
    bool any_day;         /* the field of days of the month starts with * or is ? */
    bool any_weekday;
};

/* ERR_INVALID with what is wrong and *ret_offset (may be NULL): the byte in `text` at which it is.
 * Refused too: what never comes (31 February), at the field of days. */
int cron_parse(const char *text, struct cron *ret_cron, size_t *ret_offset, struct err *e);

/* The first local time after `after` (not equal) that the line names. Only hour and minute of the
 * clock and the calendar count: whether a zone has that time is not asked. 0: there is one; -1:
 * none before the year 9999. */
int cron_next(const struct cron *cron, const struct local_time *after, struct local_time *ret_next);

bool cron_matches(const struct cron *cron, const struct local_time *local);

/* Appends what it means in English: "at 02:30 on Monday to Friday", "every 15 minutes". */
void cron_put_words(const struct cron *cron, struct buf *out);

#endif
