#include "runner/schedule/schedule.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * INT64_C(3600000))

static struct schedule *parsed(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct schedule *parsed(const char *format, ...)
{
    char text[1500];
    va_list args;
    struct schedule *schedule;
    struct err e;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (schedule_parse(text, &schedule, &e))
        fail_msg("%s: %s", text, e.text);
    return schedule;
}

static msec moment(const char *text)
{
    int64_t us = time_text_parse(text);

    assert_true(us != -1);
    return us / 1000;
}

/* --- what comes next --- */

struct clock_row {
    const char *what, *zone, *line, *after, *next[5];
};

static const struct clock_row clock_rows[] = {
    {"no change of the clocks",
     "UTC",
     "30 2 * * *",
     "2026-03-28T12:00:00Z",
     {"2026-03-29T02:30:00Z", "2026-03-30T02:30:00Z"}},
    {"a time in the gap",
     "Europe/Berlin",
     "30 2 * * *",
     "2026-03-28T00:00:00Z",
     {"2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
    {"times that one gap swallows",
     "Europe/Berlin",
     "0,30 2 * * *",
     "2026-03-28T01:30:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"}},
    {"a gap and the time behind it",
     "Europe/Berlin",
     "0 2,3 * * *",
     "2026-03-28T02:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"}},
    {"every minute of an hour that is left out",
     "Europe/Berlin",
     "* 2 29 3 *",
     "2026-03-28T00:00:00Z",
     {"2026-03-29T01:00:00Z", "2027-03-29T00:00:00Z"}},
    {"a time that is shown twice",
     "Europe/Berlin",
     "30 2 * * *",
     "2026-10-24T12:00:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
    {"asked for between the two",
     "Europe/Berlin",
     "30 2 * * *",
     "2026-10-25T00:45:00Z",
     {"2026-10-26T01:30:00Z"}},
    {"asked for in the second of the two",
     "Europe/Berlin",
     "30 2 * * *",
     "2026-10-25T01:10:00Z",
     {"2026-10-26T01:30:00Z"}},
    {"minutes of an hour that is shown twice",
     "Europe/Berlin",
     "*/30 2-3 * * *",
     "2026-10-24T22:00:00Z",
     {"2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z",
      "2026-10-25T02:30:00Z", "2026-10-26T01:00:00Z"}},
    {"every hour, 23 of them",
     "Europe/Berlin",
     "0 * * * *",
     "2026-03-28T23:30:00Z",
     {"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
    {"every hour, 25 of them",
     "Europe/Berlin",
     "30 * * * *",
     "2026-10-24T23:30:00Z",
     {"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"}},
    {"every 20 minutes over a gap",
     "Europe/Berlin",
     "*/20 * * * *",
     "2026-03-29T00:30:00Z",
     {"2026-03-29T00:40:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z"}},
    {"every hour of one day that has 25",
     "Europe/Berlin",
     "0 * 25 10 *",
     "2026-10-25T20:00:00Z",
     {"2026-10-25T21:00:00Z", "2026-10-25T22:00:00Z", "2027-10-24T22:00:00Z"}},
    {"New York, spring",
     "America/New_York",
     "15 2 * * *",
     "2026-03-07T12:00:00Z",
     {"2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"}},
    {"New York, autumn",
     "America/New_York",
     "15 1 * * *",
     "2026-10-31T12:00:00Z",
     {"2026-11-01T05:15:00Z", "2026-11-02T06:15:00Z"}},
    {"New York, every hour in autumn",
     "America/New_York",
     "15 * * * *",
     "2026-11-01T04:30:00Z",
     {"2026-11-01T05:15:00Z", "2026-11-01T06:15:00Z", "2026-11-01T07:15:00Z"}},
    {"half an hour left out",
     "Australia/Lord_Howe",
     "15 2 * * *",
     "2026-10-02T16:00:00Z",
     {"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"}},
    {"behind half an hour left out",
     "Australia/Lord_Howe",
     "45 2 * * *",
     "2026-10-03T00:00:00Z",
     {"2026-10-03T15:45:00Z", "2026-10-04T15:45:00Z"}},
    {"half an hour twice",
     "Australia/Lord_Howe",
     "45 1 * * *",
     "2026-04-04T00:00:00Z",
     {"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
    {"every 15 minutes in half an hour twice",
     "Australia/Lord_Howe",
     "*/15 * * * *",
     "2026-04-04T14:40:00Z",
     {"2026-04-04T14:45:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:15:00Z",
      "2026-04-04T15:30:00Z"}},
    {"no midnight",
     "America/Sao_Paulo",
     "0 0 * * *",
     "2018-11-03T12:00:00Z",
     {"2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}},
    {"no midnight, on the day's date",
     "America/Sao_Paulo",
     "0 0 4 11 *",
     "2018-10-01T00:00:00Z",
     {"2018-11-04T03:00:00Z", "2019-11-04T03:00:00Z"}},
    {"the hour before midnight twice",
     "America/Sao_Paulo",
     "30 23 * * *",
     "2018-02-17T00:00:00Z",
     {"2018-02-17T01:30:00Z", "2018-02-18T01:30:00Z", "2018-02-19T02:30:00Z"}},
    {"Cairo has no midnight",
     "Africa/Cairo",
     "5 0 * * FRI",
     "2026-04-20T00:00:00Z",
     {"2026-04-23T22:00:00Z", "2026-04-30T21:05:00Z"}},
    {"Beirut has no midnight",
     "Asia/Beirut",
     "@daily",
     "2026-03-28T00:00:00Z",
     {"2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"}},
    {"a day that was left out",
     "Pacific/Apia",
     "0 12 * * *",
     "2011-12-29T00:00:00Z",
     {"2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
    {"a day that was left out, every 6 hours",
     "Pacific/Apia",
     "0 */6 * * *",
     "2011-12-30T03:00:00Z",
     {"2011-12-30T04:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T16:00:00Z"}},
    {"every hour of a day that was left out",
     "Pacific/Apia",
     "0 * 30 12 *",
     "2011-12-29T00:00:00Z",
     {"2012-12-29T10:00:00Z", "2012-12-29T11:00:00Z"}},
    {"another day that was left out",
     "Pacific/Kwajalein",
     "0 12 * * *",
     "1993-08-20T00:00:00Z",
     {"1993-08-21T00:00:00Z", "1993-08-21T12:00:00Z", "1993-08-22T00:00:00Z"}},
    {"two hours",
     "Antarctica/Troll",
     "30 1 * * *",
     "2026-03-28T12:00:00Z",
     {"2026-03-29T01:00:00Z", "2026-03-29T23:30:00Z"}},
    {"none, ever",
     "Asia/Kolkata",
     "30 2 * * *",
     "2026-03-28T12:00:00Z",
     {"2026-03-28T21:00:00Z", "2026-03-29T21:00:00Z"}},
    {"a rare day, every hour",
     "Europe/Berlin",
     "0 * 29 2 *",
     "2096-03-01T00:00:00Z",
     {"2104-02-28T23:00:00Z", "2104-02-29T00:00:00Z"}},
};

static void assert_times(const struct clock_row *row)
{
    auto_schedule struct schedule *schedule =
        parsed("{\"cron\": \"%s\", \"timezone\": \"%s\"}", row->line, row->zone);
    msec at = moment(row->after);

    for (int i = 0; i < 5 && row->next[i]; i++) {
        at = schedule_next(schedule, at);
        if (at != moment(row->next[i]))
            fail_msg("%s (%s, %s): %s, not %s", row->what, row->zone, row->line,
                     time_text_of_us(at * 1000).text, row->next[i]);
    }
}

static void minds_the_clocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clock_rows / sizeof *clock_rows; i++)
        assert_times(&clock_rows[i]);
}

static void has_none_or_one(void **state)
{
    (void)state;
    auto_schedule struct schedule *now = parsed("{}");
    auto_schedule struct schedule *at = parsed("{\"at\": \"2026-12-01T06:00:00Z\"}");
    msec time = moment("2026-12-01T06:00:00Z");

    assert_int_equal(schedule_next(now, 0), 0);
    assert_int_equal(schedule_next(at, 0), time);
    assert_int_equal(schedule_next(at, time - 1), time);
    assert_int_equal(schedule_next(at, time), 0);
}

static void ends_with_the_calendar(void **state)
{
    (void)state;
    auto_schedule struct schedule *yearly = parsed("{\"cron\": \"@yearly\"}");
    auto_schedule struct schedule *hourly =
        parsed("{\"cron\": \"@hourly\", \"timezone\": \"America/New_York\"}");

    assert_int_equal(schedule_next(yearly, moment("9998-12-31T23:59:59Z")),
                     moment("9999-01-01T00:00:00Z"));
    assert_int_equal(schedule_next(yearly, moment("9999-01-01T00:00:00Z")), 0);
    assert_int_equal(schedule_next(yearly, INT64_MAX), 0);
    assert_int_equal(schedule_next(hourly, moment("9999-12-31T23:59:59Z")), 0);
    assert_int_equal(schedule_next(hourly, INT64_MAX), 0);
    assert_int_equal(schedule_next(hourly, INT64_MIN), HOUR);
}

/* --- jitter --- */

static void spreads_by_jitter(void **state)
{
    (void)state;
    auto_schedule struct schedule *none = parsed("{\"cron\": \"@hourly\"}");
    auto_schedule struct schedule *some = parsed("{\"cron\": \"@hourly\", \"jitter\": 600}");
    msec due = moment("2026-12-01T06:00:00Z"), least = HOUR, most = 0;

    for (uint64_t seed = 0; seed < 1000; seed++) {
        msec jitter = schedule_jitter(some, seed, due);
        assert_int_equal(schedule_jitter(none, seed, due), 0);
        assert_int_equal(jitter, schedule_jitter(some, seed, due));
        least = jitter < least ? jitter : least;
        most = jitter > most ? jitter : most;
    }
    assert_in_range(least, 0, 10 * SECOND);
    assert_in_range(most, 590 * SECOND, 600 * SECOND);
    assert_true(schedule_jitter(some, 1, due) != schedule_jitter(some, 1, due + HOUR));
}

static void keeps_order_with_jitter(void **state)
{
    (void)state;
    auto_schedule struct schedule *schedule = parsed("{\"cron\": \"* * * * *\", \"jitter\": 7200}");

    for (msec due = HOUR; due < 3 * HOUR; due += MINUTE)
        assert_in_range(schedule_jitter(schedule, 5, due), 0, MINUTE - 1);
}

/* --- what is run --- */

struct decision_row {
    const char *what, *schedule, *next, *now;
    const char *runs; /* the minutes of what is run, "!" behind what was missed */
    uint64_t dropped;
    const char *then; /* NULL: nothing comes any more */
};

#define LINE(line, more) "{\"cron\": \"" line "\"" more "}"

static const struct decision_row decision_rows[] = {
    {"not yet", LINE("@hourly", ""), "2026-12-01T06:00:00Z", "2026-12-01T05:59:59.999Z", "", 0,
     "2026-12-01T06:00:00Z"},
    {"right now", LINE("@hourly", ""), "2026-12-01T06:00:00Z", "2026-12-01T06:00:00Z", " 06:00", 0,
     "2026-12-01T07:00:00Z"},
    {"a minute late", LINE("@hourly", ", \"catch_up\": \"none\""), "2026-12-01T06:00:00Z",
     "2026-12-01T06:01:00Z", " 06:00", 0, "2026-12-01T07:00:00Z"},
    {"two that are on time", LINE("* * * * *", ", \"catch_up\": \"none\""), "2026-12-01T06:00:00Z",
     "2026-12-01T06:01:00Z", " 06:00 06:01", 0, "2026-12-01T06:02:00Z"},
    {"missed, none is made up for", LINE("@hourly", ", \"catch_up\": \"none\""),
     "2026-12-01T06:00:00Z", "2026-12-01T08:30:00Z", "", 3, "2026-12-01T09:00:00Z"},
    {"missed, the latest", LINE("@hourly", ""), "2026-12-01T06:00:00Z", "2026-12-01T08:30:00Z",
     " 08:00!", 2, "2026-12-01T09:00:00Z"},
    {"missed by little, the latest", LINE("@hourly", ""), "2026-12-01T06:00:00Z",
     "2026-12-01T06:01:00.001Z", " 06:00!", 0, "2026-12-01T07:00:00Z"},
    {"missed, and one is on time", LINE("@hourly", ""), "2026-12-01T06:00:00Z",
     "2026-12-01T08:00:30Z", " 08:00", 2, "2026-12-01T09:00:00Z"},
    {"missed, all of few", LINE("@hourly", ", \"catch_up\": \"all\""), "2026-12-01T06:00:00Z",
     "2026-12-01T08:00:30Z", " 06:00! 07:00! 08:00", 0, "2026-12-01T09:00:00Z"},
    {"missed, two of many", LINE("@hourly", ", \"catch_up\": \"all\", \"catch_up_limit\": 2"),
     "2026-12-01T00:00:00Z", "2026-12-03T08:00:30Z", " 06:00! 07:00! 08:00", 54,
     "2026-12-03T09:00:00Z"},
    {"a clock that was set back", LINE("@hourly", ""), "2026-12-01T06:00:00Z",
     "2026-11-01T08:00:30Z", "", 0, "2026-12-01T06:00:00Z"},
    {"once", "{\"at\": \"2026-12-01T06:00:10Z\"}", "2026-12-01T06:00:10Z", "2026-12-01T06:00:11Z",
     " 06:00", 0, NULL},
    {"once, missed", "{\"at\": \"2026-12-01T06:00:10Z\"}", "2026-12-01T06:00:10Z",
     "2027-12-01T06:00:11Z", " 06:00!", 0, NULL},
    {"once, missed for good", "{\"at\": \"2026-12-01T06:00:10Z\", \"catch_up\": \"none\"}",
     "2026-12-01T06:00:10Z", "2027-12-01T06:00:11Z", "", 1, NULL},
    {"ten years without a rare one", LINE("0 0 29 2 *", ", \"catch_up\": \"all\""),
     "2028-02-29T00:00:00Z", "2038-01-01T00:00:00Z", " 00:00! 00:00! 00:00!", 0,
     "2040-02-29T00:00:00Z"},
    {"the rules of the zone have changed since", LINE("30 * * * *", ""), "2026-12-01T06:00:00Z",
     "2026-12-01T06:10:00Z", "", 0, "2026-12-01T06:30:00Z"},
};

static void decides(void **state)
{
    (void)state;
    static struct schedule_due due;

    for (size_t i = 0; i < sizeof decision_rows / sizeof *decision_rows; i++) {
        const struct decision_row *row = &decision_rows[i];
        auto_schedule struct schedule *schedule = parsed("%s", row->schedule);
        auto_buf struct buf runs = {0};
        schedule_decide(schedule, 1, moment(row->next), moment(row->now), &due);
        for (uint32_t k = 0; k < due.count; k++)
            buf_printf(&runs, " %.5s%s", time_text_of_us(due.fires[k].due * 1000).text + 11,
                       due.fires[k].is_missed ? "!" : "");
        if (strcmp(buf_text(&runs), row->runs) != 0 || due.dropped != row->dropped ||
            due.next != (row->then ? moment(row->then) : 0))
            fail_msg("%s: runs%s, dropped %" PRIu64 ", then %s", row->what, buf_text(&runs),
                     due.dropped, time_text_of_us(due.next * 1000).text);
    }
}

static void has_nothing_left_to_decide(void **state)
{
    (void)state;
    static struct schedule_due due;
    auto_schedule struct schedule *schedule = parsed("{}");

    schedule_decide(schedule, 1, 0, moment("2026-12-01T06:00:00Z"), &due);
    assert_int_equal(due.count, 0);
    assert_int_equal(due.next, 0);
    schedule_decide(schedule, 1, 1, moment("2026-12-01T06:00:00Z"), &due);
    assert_int_equal(due.count, 0);
    assert_int_equal(due.next, 0);
}

static void waits_for_jitter(void **state)
{
    (void)state;
    static struct schedule_due due;
    auto_schedule struct schedule *schedule = parsed("{\"cron\": \"@daily\", \"jitter\": 3600}");
    msec time = moment("2026-12-01T00:00:00Z");

    for (uint64_t seed = 0; seed < 100; seed++) {
        msec jitter = schedule_jitter(schedule, seed, time);
        schedule_decide(schedule, seed, time, time + jitter - 1, &due);
        assert_int_equal(due.count, 0);
        assert_int_equal(due.next, time);
        schedule_decide(schedule, seed, time, time + jitter, &due);
        assert_int_equal(due.count, 1);
        assert_int_equal(due.fires[0].due, time);
        assert_false(due.fires[0].is_missed);
        assert_int_equal(due.next, time + DAY);
    }
}

/* Every minute, for ten years: as many as there may be, the newest, and not each of the others. */
static void makes_up_for_ten_years(void **state)
{
    (void)state;
    static struct schedule_due due;
    auto_schedule struct schedule *schedule =
        parsed("{\"cron\": \"* * * * *\", \"timezone\": \"Europe/Berlin\", \"catch_up\": \"all\", "
               "\"catch_up_limit\": 1000, \"jitter\": 30}");
    msec now = moment("2026-12-01T06:00:59.999Z");

    schedule_decide(schedule, 3, moment("2016-12-01T06:00:00Z"), now, &due);
    assert_in_range(due.count, 1001, 1002);
    assert_int_equal(due.dropped, SCHEDULE_DROPPED_MAX);
    assert_int_equal(due.next, moment("2026-12-01T06:01:00Z"));
    assert_int_equal(due.fires[due.count - 1].due, moment("2026-12-01T06:00:00Z"));
    for (uint32_t i = 1; i < due.count; i++)
        assert_int_equal(due.fires[i].due - due.fires[i - 1].due, MINUTE);
    assert_true(due.fires[999].is_missed);
    assert_false(due.fires[due.count - 1].is_missed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minds_the_clocks),           cmocka_unit_test(has_none_or_one),
        cmocka_unit_test(ends_with_the_calendar),     cmocka_unit_test(spreads_by_jitter),
        cmocka_unit_test(keeps_order_with_jitter),    cmocka_unit_test(decides),
        cmocka_unit_test(has_nothing_left_to_decide), cmocka_unit_test(waits_for_jitter),
        cmocka_unit_test(makes_up_for_ten_years),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
