#include "runner/schedule/cron.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/unit/runner/schedule/made_line.c"

static struct cron parsed(const char *line)
{
    struct cron cron;
    struct err e;

    if (cron_parse(line, &cron, NULL, &e))
        fail_msg("\"%s\": %s", line, e.text);
    return cron;
}

static struct local_time local_of(const char *text)
{
    struct local_time local = {0};

    assert_int_equal(sscanf(text, "%d-%d-%d %d:%d", &local.year, &local.month, &local.day,
                            &local.hour, &local.minute),
                     5);
    return local;
}

static void assert_next(const char *line, const char *after, const char *const *expected)
{
    struct cron cron = parsed(line);
    struct local_time at = local_of(after);

    for (; *expected; expected++) {
        char text[64];
        assert_int_equal(cron_next(&cron, &at, &at), 0);
        assert_true(cron_matches(&cron, &at));
        snprintf(text, sizeof text, "%04d-%02d-%02d %02d:%02d", at.year, at.month, at.day, at.hour,
                 at.minute);
        if (strcmp(text, *expected) != 0)
            fail_msg("\"%s\": %s comes, not %s", line, text, *expected);
    }
}

static void finds_what_comes_next(void **state)
{
    (void)state;
    static const struct {
        const char *line, *after, *next[5];
    } rows[] = {
        {"* * * * *", "2026-12-31 23:58", {"2026-12-31 23:59", "2027-01-01 00:00"}},
        {"*/15 9-10 * * *",
         "2026-11-22 09:31",
         {"2026-11-22 09:45", "2026-11-22 10:00", "2026-11-22 10:15", "2026-11-22 10:30"}},
        {"5-9/2 0 * * *",
         "2026-11-22 00:00",
         {"2026-11-22 00:05", "2026-11-22 00:07", "2026-11-22 00:09", "2026-11-23 00:05"}},
        {"0 2 * * MON-FRI", "2026-11-20 02:00", {"2026-11-23 02:00", "2026-11-24 02:00"}},
        {"0 2 * * sat-sun", "2026-11-20 02:00", {"2026-11-21 02:00", "2026-11-22 02:00"}},
        {"0 2 * * 7", "2026-11-20 02:00", {"2026-11-22 02:00", "2026-11-29 02:00"}},
        {"0 0 1 jan,Jul *", "2026-11-20 02:00", {"2027-01-01 00:00", "2027-07-01 00:00"}},
        /* days that are told by the month's end */
        {"0 0 L * *", "2027-01-31 00:00", {"2027-02-28 00:00", "2027-03-31 00:00"}},
        {"0 0 L-1 2 *", "2027-01-31 00:00", {"2027-02-27 00:00", "2028-02-28 00:00"}},
        {"0 0 L-30 * *",
         "2026-11-22 00:00",
         {"2026-12-01 00:00", "2027-01-01 00:00", "2027-03-01 00:00"}},
        {"0 0 31 * *",
         "2026-11-22 00:00",
         {"2026-12-31 00:00", "2027-01-31 00:00", "2027-03-31 00:00"}},
        /* the 15th of August 2026 is a Saturday, that of November a Sunday */
        {"0 0 15W 8,11 *", "2026-01-01 00:00", {"2026-08-14 00:00", "2026-11-16 00:00"}},
        /* never out of the month: 1 August 2026 is a Saturday, 31 May 2026 a Sunday */
        {"0 0 1W 8 *", "2026-01-01 00:00", {"2026-08-03 00:00"}},
        {"0 0 31W 5 *", "2026-01-01 00:00", {"2026-05-29 00:00"}},
        {"0 0 31W 4,7 *", "2026-01-01 00:00", {"2026-07-31 00:00", "2027-07-30 00:00"}},
        {"0 0 LW * *",
         "2026-01-01 00:00",
         {"2026-01-30 00:00", "2026-02-27 00:00", "2026-03-31 00:00"}},
        {"0 0 1,15W,L 2 *",
         "2026-01-01 00:00",
         {"2026-02-01 00:00", "2026-02-16 00:00", "2026-02-28 00:00"}},
        /* weekdays of the month */
        {"0 0 * * FRI#2", "2026-11-01 00:00", {"2026-11-13 00:00", "2026-12-11 00:00"}},
        {"0 0 ? * SUN#5", "2026-11-01 00:00", {"2026-11-29 00:00", "2027-01-31 00:00"}},
        {"0 0 * * 5L", "2026-11-01 00:00", {"2026-11-27 00:00", "2026-12-25 00:00"}},
        {"0 0 * * friL,MON#1",
         "2026-11-01 00:00",
         {"2026-11-02 00:00", "2026-11-27 00:00", "2026-12-07 00:00"}},
        /* either field of days is enough, but both are needed where one begins with * */
        {"0 0 13 * FRI",
         "2026-11-01 00:00",
         {"2026-11-06 00:00", "2026-11-13 00:00", "2026-11-20 00:00"}},
        {"0 0 13 * *", "2026-11-14 00:00", {"2026-12-13 00:00"}},
        {"0 0 */2 * FRI", "2026-11-01 00:00", {"2026-11-13 00:00", "2026-11-27 00:00"}},
        {"0 0 13 * */5", "2026-10-01 00:00", {"2026-11-13 00:00", "2026-12-13 00:00"}},
        {"0 0 ? * FRI", "2026-11-01 00:00", {"2026-11-06 00:00"}},
        /* rare ones */
        {"0 0 29 2 *", "2026-11-01 00:00", {"2028-02-29 00:00", "2032-02-29 00:00"}},
        {"0 0 29 2 *", "2096-02-29 00:00", {"2104-02-29 00:00"}},
        {"59 23 29 2 */7", "2000-01-01 00:00", {"2004-02-29 23:59", "2032-02-29 23:59"}},
        {"@yearly", "2026-11-01 00:00", {"2027-01-01 00:00"}},
        {"@Annually", "2026-11-01 00:00", {"2027-01-01 00:00"}},
        {" @monthly ", "2026-11-01 00:00", {"2026-12-01 00:00"}},
        {"@weekly", "2026-11-01 00:00", {"2026-11-08 00:00"}},
        {"@daily", "2026-11-01 00:00", {"2026-11-02 00:00"}},
        {"@midnight", "2026-11-01 00:00", {"2026-11-02 00:00"}},
        {"@hourly", "2026-11-01 00:00", {"2026-11-01 01:00"}},
        {"\t0  0\t* * *  ", "2026-11-01 00:00", {"2026-11-02 00:00"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_next(rows[i].line, rows[i].after, rows[i].next);
}

static void ends_with_the_calendar(void **state)
{
    (void)state;
    struct cron cron = parsed("0 0 1 1 *");
    struct local_time at = local_of("9998-06-01 00:00");

    assert_int_equal(cron_next(&cron, &at, &at), 0);
    assert_int_equal(at.year, 9999);
    assert_int_equal(cron_next(&cron, &at, &at), -1);
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t offset;
        const char *text;
    } rows[] = {
        {"61 * * * *", 0, "minute: 61 is above 59"},
        {"0 24 * * *", 2, "hour: 24 is above 23"},
        {"0 0 0 * *", 4, "day of month: 0 is below 1"},
        {"0 0 1,32 * *", 6, "day of month: 32 is above 31"},
        {"0 0 1 13 *", 6, "month: 13 is above 12"},
        {"0 0 * * 8", 8, "day of week: 8 is above 7"},
        {"99999999999999999999 * * * *", 0, "minute: 99999999999999999999 is above 59"},
        {"* * * FEBR *", 6, "month: unknown month \"FEBR\"; did you mean \"FEB\"?"},
        {"* * * 1-fbe *", 8, "month: unknown month \"FBE\"; did you mean \"FEB\"?"},
        {"* * * * monday", 8, "day of week: unknown weekday \"MONDAY\"; did you mean \"MON\"?"},
        {"* * * * XYZ", 8, "day of week: unknown weekday \"XYZ\"; known are SUN to SAT"},
        {"* mon * * *", 2, "hour: \"mon\" has no meaning here"},
        {"* * * * SUN#6", 12,
         "day of week: of a weekday there are at most 5 in a month: 6 is above 5"},
        {"* * * * SUN#", 12,
         "day of week: of a weekday there are at most 5 in a month: number is missing"},
        {"* * * * L", 8, "day of week: L needs a weekday in front: \"5L\" is the last Friday"},
        {"* * L-31 * *", 6, "day of month: days before the last: 31 is above 30"},
        {"* * L-0 * *", 6, "day of month: days before the last: 0 is below 1"},
        {"* 5W * * *", 3, "hour: \"W\" has no meaning here"},
        {"*/0 * * * *", 2, "minute: step 0 is below 1"},
        {"*/60 * * * *", 2, "minute: step 60 is above 59"},
        {"*/ * * * *", 2, "minute: step number is missing"},
        {"5/10 * * * *", 1, "minute: a step needs * or a range in front: \"5-59/10\""},
        {"0 22-2 * * *", 2, "hour: \"22-2\" runs backwards; write two ranges"},
        {"0 0 * * 3,FRI-MON", 10, "day of week: \"FRI-MON\" runs backwards; write two ranges"},
        {"1,,2 * * * *", 2, "minute: something is missing here"},
        {"1, * * * *", 2, "minute: something is missing here"},
        {"1- * * * *", 2, "minute: something is missing here"},
        {"-1 * * * *", 0, "minute: \"-1\" has no meaning here"},
        {"*5 * * * *", 1, "minute: \"5\" has no meaning here"},
        {"? * * * *", 0, "minute: \"?\" has no meaning here"},
        {"* * ?,1 * *", 4, "day of month: \"?,1\" has no meaning here"},
        /* what never comes */
        {"0 0 31 2 *", 4, "day of month: \"31\" never comes with month \"2\""},
        {"0 0 30 2 *", 4, "day of month: \"30\" never comes with month \"2\""},
        {"0 0 31 4,6 *", 4, "day of month: \"31\" never comes with month \"4,6\""},
        {"0 0 31 4,6 ?", 4, "day of month: \"31\" never comes with month \"4,6\""},
        {"0 0 31W FEB *", 4, "day of month: \"31W\" never comes with month \"FEB\""},
        {"0 0 L-30 SEP *", 4, "day of month: \"L-30\" never comes with month \"SEP\""},
        {"0 0 */31 * FRI#2", 11, "day of week: \"FRI#2\" never comes with month \"*\""},
        /* the number of fields */
        {"", 0, "minute is missing: a line is minute, hour, day of month, month, day of week"},
        {"* * * * ", 8,
         "day of week is missing: a line is minute, hour, day of month, month, day of week"},
        {"0 * * * * *", 10,
         "there is more than minute, hour, day of month, month, day of week; seconds and years are "
         "not known"},
        {" @reboot", 1,
         "unknown \"@reboot\"; known are @yearly, @annually, @monthly, @weekly, @daily, @midnight "
         "and @hourly"},
        {"@daily x", 0,
         "unknown \"@daily\"; known are @yearly, @annually, @monthly, @weekly, @daily, @midnight "
         "and @hourly"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cron cron;
        struct err e;
        size_t offset = 1000;
        if (cron_parse(rows[i].line, &cron, &offset, &e) == 0)
            fail_msg("\"%s\" is not refused", rows[i].line);
        assert_int_equal(e.code, ERR_INVALID);
        assert_string_equal(e.text, rows[i].text);
        if (offset != rows[i].offset)
            fail_msg("\"%s\": at %zu", rows[i].line, offset);
        assert_int_equal(cron_parse(rows[i].line, &cron, NULL, &e), -1);
    }
}

static void refuses_a_long_line(void **state)
{
    (void)state;
    char line[1100];
    struct cron cron;
    struct err e;

    memset(line, ' ', sizeof line);
    memcpy(line + 1000, "* * * * *", sizeof "* * * * *");
    assert_int_equal(cron_parse(line, &cron, NULL, &e), -1);
    assert_string_equal(e.text, "longer than 1000 bytes");
    assert_int_equal(cron_parse(line + 9, &cron, NULL, &e), 0);
}

/* The line's first minute behind `after`, by looking at one after the other; 0: not within a
 * year. */
static int64_t search(const struct made_line *made, int64_t after)
{
    bool is_named = false;

    for (int64_t at = after + 60, day = -1; at < after + 366 * 86400; at += 60) {
        struct tm tm = utc_time(at);
        if (at / 86400 != day) {
            day = at / 86400;
            is_named = names_day(made, &tm);
        }
        if (is_named && made->hours[tm.tm_hour] && made->minutes[tm.tm_min])
            return at;
        if (!is_named)
            at += 86400 - at % 86400 - 60;
    }
    return 0;
}

static struct local_time local_of_tm(const struct tm *tm)
{
    return (struct local_time){.year = tm->tm_year + 1900,
                               .month = tm->tm_mon + 1,
                               .day = tm->tm_mday,
                               .hour = tm->tm_hour,
                               .minute = tm->tm_min,
                               .weekday = tm->tm_wday};
}

/* Lines that name no day within a year are refused, or come later. */
static void agrees_with_a_search(void **state)
{
    (void)state;
    struct dice dice = {UINT64_C(0x5e90e)};
    int compared = 0;

    for (int i = 0; i < 5000; i++) {
        struct made_line made = make_line(&dice);
        int64_t after = INT64_C(60) * (30000000 + roll(&dice, 20000000));
        struct tm start = utc_time(after);
        struct local_time from = local_of_tm(&start), next = {0};
        struct cron cron;
        struct err e;

        int64_t expected = search(&made, after);
        bool is_refused = cron_parse(made.text, &cron, NULL, &e) != 0;
        if (expected == 0 && is_refused)
            continue;
        if (is_refused)
            fail_msg("\"%s\": %s", made.text, e.text);
        assert_int_equal(cron_next(&cron, &from, &next), 0);
        struct tm wanted = utc_time(expected);
        struct local_time local = local_of_tm(&wanted);
        if (expected == 0)
            assert_true(next.year > from.year);
        else if (memcmp(&next, &local, sizeof next) != 0)
            fail_msg("\"%s\" after %d-%02d-%02d %02d:%02d: %d-%02d-%02d %02d:%02d", made.text,
                     from.year, from.month, from.day, from.hour, from.minute, next.year, next.month,
                     next.day, next.hour, next.minute);
        compared += expected != 0;
    }
    assert_true(compared > 4000);
}

static void says_it_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } rows[] = {
        {"* * * * *", "every minute"},
        {"*/15 * * * *", "every 15 minutes"},
        {"0-59/5 * * * *", "every 5 minutes"},
        {"0 * * * *", "every hour"},
        {"5 * * * *", "at minute 5 of every hour"},
        {"*/25 * * * *", "at minutes 0, 25 and 50 of every hour"},
        {"1-30 * * * *", "at minutes 1 to 30 of every hour"},
        {"*/10 * * * SUN", "every 10 minutes on Sunday"},
        {"0 2 * * *", "at 02:00 every day"},
        {"30 2 * * MON-FRI", "at 02:30 on Monday to Friday"},
        {"0,30 2,14 * * 6,0", "at 02:00, 02:30, 14:00 and 14:30 on Saturday and Sunday"},
        {"0 2 * * SUN,MON,TUE", "at 02:00 on Monday, Tuesday and Sunday"},
        {"0 9-17 * * *", "every hour from 09:00 to 17:00 every day"},
        {"*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:45 on Monday to Friday"},
        {"5,25 9-17 * * *", "at minutes 5 and 25 of every hour from 09:05 to 17:25 every day"},
        {"* 2 * * *", "every minute from 02:00 to 02:59 every day"},
        {"0 */2 * * *", "every 2 hours"},
        {"*/10 */2 * * *", "every 10 minutes of every 2nd hour"},
        {"*/10 */3 1 * *", "every 10 minutes of every 3rd hour on day 1 of the month"},
        {"*/20 1,5,9-17 * * *", "every 20 minutes in the hours 1, 5 and 9 to 17"},
        {"0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"},
        {"0 0 1 1 *", "at 00:00 on day 1 of January"},
        {"0 0 * 6-8 *", "at 00:00 every day in June to August"},
        {"0 0 * 6,9 MON", "at 00:00 on Monday in June and September"},
        {"0 0 L * *", "at 00:00 on the last day of the month"},
        {"0 0 L-1,L-3 * *", "at 00:00 on the day 1 day before the last and the day 3 days before "
                            "the last of the month"},
        {"0 0 15W,LW * *", "at 00:00 on the last weekday and the weekday nearest to day 15 of the "
                           "month"},
        {"0 0 1,L 3 ?", "at 00:00 on day 1 and the last day of March"},
        {"0 0 * * FRI#2,5L", "at 00:00 on the second Friday and the last Friday of the month"},
        {"0 0 * 2 MON,FRI#1", "at 00:00 on Monday and the first Friday of February"},
        {"0 0 13 * FRI", "at 00:00 on day 13 of the month or on Friday"},
        {"0 0 13 * */5", "at 00:00 on day 13 of the month, if that is Friday and Sunday"},
        {"0 0 1-31 * FRI", "at 00:00 every day"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf words = {0};
        struct cron cron = parsed(rows[i].line);
        cron_put_words(&cron, &words);
        assert_string_equal(buf_text(&words), rows[i].words);
    }
}

static void has_words_for_any_line(void **state)
{
    (void)state;
    struct dice dice = {77};

    for (int i = 0; i < 2000; i++) {
        auto_buf struct buf words = {0};
        struct made_line made = make_line(&dice);
        struct cron cron;
        struct err e;
        if (cron_parse(made.text, &cron, NULL, &e))
            continue;
        cron_put_words(&cron, &words);
        if (words.len == 0 || strstr(buf_text(&words), "  ") || strstr(buf_text(&words), ", ,"))
            fail_msg("\"%s\": %s", made.text, buf_text(&words));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_comes_next),  cmocka_unit_test(ends_with_the_calendar),
        cmocka_unit_test(refuses_with_the_place), cmocka_unit_test(refuses_a_long_line),
        cmocka_unit_test(agrees_with_a_search),   cmocka_unit_test(says_it_in_words),
        cmocka_unit_test(has_words_for_any_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
