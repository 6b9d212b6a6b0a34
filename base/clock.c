#include "base/clock.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define US_PER_SECOND INT64_C(1000000)
#define YEAR_0        INT64_C(-62167219200) /* 0000-01-01T00:00:00Z */
#define YEAR_10000    INT64_C(253402300800)

msec clock_mono(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (msec)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

msec clock_wall(void)
{
    return clock_wall_us() / 1000;
}

int64_t clock_wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * US_PER_SECOND + t.tv_nsec / 1000;
}

struct time_text time_text_of_us(int64_t wall_us)
{
    if (wall_us < YEAR_0 * US_PER_SECOND)
        wall_us = YEAR_0 * US_PER_SECOND;
    if (wall_us >= YEAR_10000 * US_PER_SECOND)
        wall_us = YEAR_10000 * US_PER_SECOND - 1;

    time_t seconds = wall_us / US_PER_SECOND;
    int us = (int)(wall_us % US_PER_SECOND);
    if (us < 0) { /* before 1970: division rounds towards zero, the calendar goes down */
        us += (int)US_PER_SECOND;
        seconds--;
    }
    struct tm tm;
    gmtime_r(&seconds, &tm);
    struct time_text text = {{0}};
    /* The remainders are what the values are anyway; they tell the compiler that 32 bytes do. */
    snprintf(text.text, sizeof text.text, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
             (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
             (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100, (unsigned)us % 1000000);
    return text;
}

struct time_text time_text_now(void)
{
    return time_text_of_us(clock_wall_us());
}

/* Takes exactly `count` digits, a number of at most `max`. */
static bool take_number(const char **at, int count, int max, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    *at += count;
    *out = value;
    return value <= max;
}

static bool take_char(const char **at, const char *any_of)
{
    if (**at == 0 || !strchr(any_of, **at))
        return false;
    ++*at;
    return true;
}

static bool is_date(int year, int month, int day)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || day < 1)
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return day <= days[month - 1] + (month == 2 && leap);
}

/* An absent fraction is 0; digits behind the sixth are dropped. */
static bool take_fraction(const char **at, int *us)
{
    *us = 0;
    if (!take_char(at, "."))
        return true;
    int scale = 100000, digits = 0, digit;
    for (; **at >= '0' && **at <= '9'; digits++, scale /= 10) {
        take_number(at, 1, 9, &digit);
        *us += digit * scale;
    }
    return digits > 0;
}

static bool take_offset(const char **at, int *seconds)
{
    *seconds = 0;
    if (take_char(at, "Zz"))
        return true;
    int sign = **at == '-' ? -1 : 1, hours, minutes;
    if (!take_char(at, "+-") || !take_number(at, 2, 23, &hours) || !take_char(at, ":") ||
        !take_number(at, 2, 59, &minutes))
        return false;
    *seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* RFC 3339, section 5.6, with its notes: lower case t and z, and a space for the T. Second 60 is
 * a leap second and taken as the one after it. */
int64_t time_text_parse(const char *text)
{
    const char *at = text;
    int year, month, day, us, offset;
    struct tm tm = {0};
    bool ok = take_number(&at, 4, 9999, &year) && take_char(&at, "-") &&
              take_number(&at, 2, 12, &month) && take_char(&at, "-") &&
              take_number(&at, 2, 31, &day) && is_date(year, month, day) && take_char(&at, "Tt ") &&
              take_number(&at, 2, 23, &tm.tm_hour) && take_char(&at, ":") &&
              take_number(&at, 2, 59, &tm.tm_min) && take_char(&at, ":") &&
              take_number(&at, 2, 60, &tm.tm_sec) && take_fraction(&at, &us) &&
              take_offset(&at, &offset) && *at == 0;
    if (!ok)
        return -1;
    tm.tm_year = year - 1900;
    tm.tm_mon = month - 1;
    tm.tm_mday = day;
    return ((int64_t)timegm(&tm) - offset) * US_PER_SECOND + us;
}
