#include "runner/schedule/zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define MINUTE 60
#define HOUR   3600

static struct zone *opened(const char *name)
{
    struct zone *zone;
    struct err e;

    if (zone_open(name, &zone, &e))
        fail_msg("%s", e.text);
    return zone;
}

static msec moment(const char *text)
{
    int64_t us = time_text_parse(text);

    assert_true(us != -1);
    return us / 1000;
}

static struct local_time local_of(const char *text)
{
    struct local_time local = {0};

    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &local.year, &local.month, &local.day,
                            &local.hour, &local.minute),
                     5);
    return local;
}

static void knows_names(void **state)
{
    (void)state;
    static const char *const names[] = {
        "UTC",
        "Etc/UTC",
        "Etc/GMT+5",
        "Europe/Berlin",
        "US/Eastern",
        "EST5EDT",
        "America/Argentina/Buenos_Aires",
        "America/Port-au-Prince",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        auto_zone struct zone *zone = opened(names[i]);
        assert_string_equal(zone_name(zone), names[i]);
    }
}

static void refuses_what_is_no_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text;
    } rows[] = {
        {"Europe/Berln", "unknown time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?"},
        {"europe/berlin", "unknown time zone \"europe/berlin\"; did you mean \"Europe/Berlin\"?"},
        {"America/New York",
         "unknown time zone \"America/New York\"; did you mean \"America/New_York\"?"},
        {"utc", "unknown time zone \"utc\"; did you mean \"UTC\"?"},
        {"Nowhere/At/All",
         "unknown time zone \"Nowhere/At/All\"; known are names as \"Europe/Berlin\""},
        {"", "unknown time zone \"\"; known are names as \"Europe/Berlin\""},
        {"+02:00", NULL},
        {"Z", NULL},
        {"XYZ5", NULL},
        {"EST5EDT,M3.2.0,M11.1.0", NULL},
        {":Europe/Berlin", NULL},
        {"/usr/share/zoneinfo/Europe/Berlin", NULL},
        {"../zoneinfo/Europe/Berlin", NULL},
        {"Europe/../Europe/Berlin", NULL},
        {"../../../etc/passwd", NULL},
        {"posix/Europe/Berlin", NULL},
        {"posixrules", NULL},
        {"localtime", NULL},
        {"tzdata.zi", NULL},
        {"Europe", NULL},
        {"Europe/", NULL},
        {"Europe/Berlin/", NULL},
        {"E\xc3\xa4st", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct zone *zone;
        struct err e;
        if (zone_open(rows[i].name, &zone, &e) == 0)
            fail_msg("\"%s\" is a zone", rows[i].name);
        assert_int_equal(e.code, ERR_INVALID);
        if (rows[i].text)
            assert_string_equal(e.text, rows[i].text);
    }
}

static void says_that_zone_data_is_missing(void **state)
{
    (void)state;
    struct zone *zone;
    struct err e;

    setenv("TZDIR", "/nowhere", 1);
    int result = zone_open("Europe/Lisbon", &zone, &e);
    struct zone *utc = opened("UTC");
    unsetenv("TZDIR");
    zone_free(utc);
    assert_int_equal(result, -1);
    assert_string_equal(e.text, "time zone \"Europe/Lisbon\" needs the zone data of the system "
                                "(package tzdata), which is not in \"/nowhere\"");
}

/* All of them: with daylight saving at 0:00, 1:00, 2:00 and 3:00, by an hour, half of one, two and
 * none; with days skipped and offsets changed for good. */
static const char *const zones[] = {
    "UTC",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/Moscow",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Caracas",
    "America/Nuuk",
    "Antarctica/Troll",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Juba",
    "Asia/Beirut",
    "Asia/Kolkata",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kwajalein",
};
#define ZONES (sizeof zones / sizeof *zones)

static void use_libc_zone(const char *name)
{
    setenv("TZ", name, 1);
    tzset();
}

static struct tm libc_local(int64_t seconds)
{
    time_t time = seconds;
    struct tm tm;

    localtime_r(&time, &tm);
    return tm;
}

static void shows_what_libc_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ZONES; i++) {
        auto_zone struct zone *zone = opened(zones[i]);
        use_libc_zone(zones[i]);
        /* 1970 to 2037, about each 7 hours */
        for (int64_t at = 0; at < INT64_C(2145916800); at += 7 * HOUR + 13 * MINUTE + 7) {
            struct tm tm = libc_local(at);
            struct local_time local;
            zone_local(zone, at * 1000, &local);
            if (local.year != tm.tm_year + 1900 || local.month != tm.tm_mon + 1 ||
                local.day != tm.tm_mday || local.hour != tm.tm_hour || local.minute != tm.tm_min ||
                local.weekday != tm.tm_wday)
                fail_msg("%s at %lld", zones[i], (long long)at);
            assert_int_equal(zone_offset_minutes(zone, at * 1000), tm.tm_gmtoff / 60);
        }
    }
}

static void finds_the_moment(void **state)
{
    (void)state;
    static const struct {
        const char *zone, *local, *moment;
    } rows[] = {
        {"UTC", "2026-03-29 02:30", "2026-03-29T02:30:00Z"},
        {"Europe/Berlin", "2026-01-01 00:00", "2025-12-31T23:00:00Z"},
        {"Europe/Berlin", "2026-07-01 00:00", "2026-06-30T22:00:00Z"},
        /* never shown */
        {"Europe/Berlin", "2026-03-29 01:59", "2026-03-29T00:59:00Z"},
        {"Europe/Berlin", "2026-03-29 02:00", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29 02:59", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29 03:00", "2026-03-29T01:00:00Z"},
        {"Europe/Berlin", "2026-03-29 03:01", "2026-03-29T01:01:00Z"},
        /* shown twice */
        {"Europe/Berlin", "2026-10-25 01:59", "2026-10-24T23:59:00Z"},
        {"Europe/Berlin", "2026-10-25 02:00", "2026-10-25T00:00:00Z"},
        {"Europe/Berlin", "2026-10-25 02:59", "2026-10-25T00:59:00Z"},
        {"Europe/Berlin", "2026-10-25 03:00", "2026-10-25T02:00:00Z"},
        {"America/New_York", "2026-03-08 02:30", "2026-03-08T07:00:00Z"},
        {"America/New_York", "2026-11-01 01:30", "2026-11-01T05:30:00Z"},
        /* half an hour */
        {"Australia/Lord_Howe", "2026-10-04 02:10", "2026-10-03T15:30:00Z"},
        {"Australia/Lord_Howe", "2026-10-04 02:30", "2026-10-03T15:30:00Z"},
        {"Australia/Lord_Howe", "2026-04-05 01:30", "2026-04-04T14:30:00Z"},
        {"Australia/Lord_Howe", "2026-04-05 02:00", "2026-04-04T15:30:00Z"},
        /* the day begins at 1:00 */
        {"America/Sao_Paulo", "2018-11-04 00:00", "2018-11-04T03:00:00Z"},
        {"America/Sao_Paulo", "2018-11-04 00:30", "2018-11-04T03:00:00Z"},
        {"America/Sao_Paulo", "2018-02-17 23:30", "2018-02-18T01:30:00Z"},
        {"Africa/Cairo", "2026-04-24 00:15", "2026-04-23T22:00:00Z"},
        {"Asia/Beirut", "2026-03-29 00:00", "2026-03-28T22:00:00Z"},
        /* 30 December 2011 was left out */
        {"Pacific/Apia", "2011-12-29 23:59", "2011-12-30T09:59:00Z"},
        {"Pacific/Apia", "2011-12-30 00:00", "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", "2011-12-30 12:00", "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", "2011-12-31 00:00", "2011-12-30T10:00:00Z"},
        {"Pacific/Apia", "2011-12-31 00:01", "2011-12-30T10:01:00Z"},
        {"Asia/Kolkata", "2026-03-29 02:30", "2026-03-28T21:00:00Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_zone struct zone *zone = opened(rows[i].zone);
        struct local_time local = local_of(rows[i].local);
        struct time_text text = time_text_of_us(zone_time(zone, &local) * 1000);
        if (zone_time(zone, &local) != moment(rows[i].moment))
            fail_msg("%s %s: %s", rows[i].zone, rows[i].local, text.text);
    }
}

/* What libc shows, as one number that grows with it. */
static int64_t libc_shown(int64_t seconds)
{
    struct tm tm = libc_local(seconds);

    return timegm(&tm);
}

/* Within the day around every change from 1990 to 2037: the first moment, by going through all
 * quarters of an hour before. */
static void finds_the_first_moment_of_all(void **state)
{
    (void)state;
    unsigned changes = 0;

    for (size_t i = 0; i < ZONES; i++) {
        auto_zone struct zone *zone = opened(zones[i]);
        use_libc_zone(zones[i]);
        for (msec at = moment("1990-01-01T00:00:00Z"), change;; at = change) {
            change = zone_change(zone, at, moment("2037-12-01T00:00:00Z"));
            if (change == INT64_MAX)
                break;
            changes++;
            int64_t from = change / 1000 - 25 * HOUR, expected = from;
            for (int64_t wanted = libc_shown(from); wanted < libc_shown(from) + 50 * HOUR;
                 wanted += 15 * MINUTE) {
                time_t time = wanted;
                struct tm tm;
                gmtime_r(&time, &tm);
                struct local_time local = {tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                                           tm.tm_hour,        tm.tm_min,     tm.tm_wday};
                while (libc_shown(expected) < wanted)
                    expected += 15 * MINUTE;
                if (zone_time(zone, &local) != expected * 1000)
                    fail_msg("%s around %lld", zones[i], (long long)expected);
            }
        }
    }
    assert_true(changes > 1000);
}

static void finds_changes(void **state)
{
    (void)state;
    auto_zone struct zone *zone = opened("Europe/Berlin");
    auto_zone struct zone *utc = opened("UTC");
    msec spring = moment("2026-03-29T01:00:00Z"), autumn = moment("2026-10-25T01:00:00Z");

    assert_int_equal(zone_change(zone, moment("2026-01-01T00:00:00Z"), autumn), spring);
    assert_int_equal(zone_change(zone, spring - 1, spring), spring);
    assert_int_equal(zone_change(zone, spring, autumn), autumn);
    assert_true(zone_change(zone, spring, autumn - 1) == INT64_MAX);
    assert_true(zone_change(zone, spring, spring) == INT64_MAX);
    assert_true(zone_change(utc, 0, autumn) == INT64_MAX);
}

static void goes_on_evenly(void **state)
{
    (void)state;
    auto_zone struct zone *zone = opened("Europe/Berlin");
    struct local_time local = local_of("2026-03-29 02:30");

    assert_int_equal(zone_time_evenly(zone, &local, moment("2026-03-28T00:00:00Z")),
                     moment("2026-03-29T01:30:00Z"));
    assert_int_equal(zone_time_evenly(zone, &local, moment("2026-03-30T00:00:00Z")),
                     moment("2026-03-29T00:30:00Z"));
}

static void has_a_first_and_a_last_moment(void **state)
{
    (void)state;
    auto_zone struct zone *zone = opened("Pacific/Apia");
    struct local_time local;

    zone_local(zone, INT64_MIN, &local);
    assert_int_equal(local.year, 1);
    zone_local(zone, INT64_MAX, &local);
    assert_int_equal(local.year, 9999);
    assert_int_equal(local.month, 12);
    assert_int_equal(local.day, 31);
    zone_local(zone, -1, &local);
    assert_int_equal(local.year, 1969);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_names),
        cmocka_unit_test(refuses_what_is_no_name),
        cmocka_unit_test(says_that_zone_data_is_missing),
        cmocka_unit_test(shows_what_libc_shows),
        cmocka_unit_test(finds_the_moment),
        cmocka_unit_test(finds_the_first_moment_of_all),
        cmocka_unit_test(finds_changes),
        cmocka_unit_test(goes_on_evenly),
        cmocka_unit_test(has_a_first_and_a_last_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
