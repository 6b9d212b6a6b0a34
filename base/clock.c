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

static void put_digits(char *at, int count, unsigned value)
{
    for (int i = count - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
}

/* Every event and every answer has some of these: hence by hand, without the time zone that
 * gmtime_r looks for. The calendar is Howard Hinnant's civil_from_days: years that begin in March,
 * in eras of 400 of them. */
static void put_date(char *at, int64_t days)
{
    int64_t z = days + 719468; /* since 0000-03-01 */
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned day_of_era = (unsigned)(z - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned month = (5 * day_of_year + 2) / 153; /* 0: March */
    int64_t year = (int64_t)year_of_era + era * 400 + (month >= 10);

    put_digits(at, 4, (unsigned)year);
    put_digits(at + 5, 2, month < 10 ? month + 3 : month - 9);
    put_digits(at + 8, 2, day_of_year - (153 * month + 2) / 5 + 1);
}

struct time_text time_text_of_us(int64_t wall_us)
{
    struct time_text text = {"0000-00-00T00:00:00.000000Z"};

    if (wall_us < YEAR_0 * US_PER_SECOND)
        wall_us = YEAR_0 * US_PER_SECOND;
    if (wall_us >= YEAR_10000 * US_PER_SECOND)
        wall_us = YEAR_10000 * US_PER_SECOND - 1;

    int64_t since_year_0 = wall_us - YEAR_0 * US_PER_SECOND; /* not negative: divides downwards */
    int64_t seconds = since_year_0 / US_PER_SECOND;
    unsigned second = (unsigned)(seconds % 86400);
    put_date(text.text, seconds / 86400 + YEAR_0 / 86400);
    put_digits(text.text + 11, 2, second / 3600);
    put_digits(text.text + 14, 2, second / 60 % 60);
    put_digits(text.text + 17, 2, second % 60);
    put_digits(text.text + 20, 6, (unsigned)(since_year_0 % US_PER_SECOND));
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
