#include "runner/schedule/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct schedule *parsed(const char *text)
{
    struct schedule *schedule;
    struct err e;

    if (schedule_parse(text, &schedule, &e))
        fail_msg("%s: %s", text, e.text);
    return schedule;
}

static void fills_in_what_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *put;
        enum schedule_kind kind;
        enum schedule_overlap overlap;
    } rows[] = {
        {"{}",
         "{\"timezone\":\"UTC\",\"catch_up\":\"latest\",\"catch_up_limit\":10,"
         "\"overlap\":\"forbid\",\"jitter\":0}",
         SCHEDULE_NOW, OVERLAP_FORBID},
        {"{\"at\": \"2026-12-01T06:00:00.25+01:00\", \"timezone\": null, \"cron\": null}",
         "{\"at\":\"2026-12-01T05:00:00.250000Z\",\"timezone\":\"UTC\",\"catch_up\":\"latest\","
         "\"catch_up_limit\":10,\"overlap\":\"forbid\",\"jitter\":0}",
         SCHEDULE_AT, OVERLAP_FORBID},
        {"{\"cron\": \" 0 2 * * mon-FRI\", \"timezone\": \"Europe/Berlin\", \"catch_up\": \"all\", "
         "\"catch_up_limit\": 1000, \"overlap\": \"replace\", \"jitter\": 86400}",
         "{\"cron\":\" 0 2 * * mon-FRI\",\"timezone\":\"Europe/Berlin\",\"catch_up\":\"all\","
         "\"catch_up_limit\":1000,\"overlap\":\"replace\",\"jitter\":86400}",
         SCHEDULE_CRON, OVERLAP_REPLACE},
        {"{\"cron\": \"@daily\", \"catch_up\": \"none\", \"overlap\": \"allow\"}",
         "{\"cron\":\"@daily\",\"timezone\":\"UTC\",\"catch_up\":\"none\",\"catch_up_limit\":10,"
         "\"overlap\":\"allow\",\"jitter\":0}",
         SCHEDULE_CRON, OVERLAP_ALLOW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf put = {0}, again = {0};
        auto_schedule struct schedule *schedule = parsed(rows[i].text);
        assert_int_equal(schedule_kind(schedule), rows[i].kind);
        assert_int_equal(schedule_overlap(schedule), rows[i].overlap);
        schedule_put(schedule, &put);
        assert_string_equal(buf_text(&put), rows[i].put);
        auto_schedule struct schedule *second = parsed(buf_text(&put));
        schedule_put(second, &again);
        assert_string_equal(buf_text(&again), rows[i].put);
    }
}

static void is_now_when_absent(void **state)
{
    (void)state;
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    struct err e;

    assert_int_equal(json_parse(&doc, STR("{}"), JSON_STRICT, NULL, &e), 0);
    auto_schedule struct schedule *schedule = schedule_read(&doc, JSON_NONE, &problems);
    assert_non_null(schedule);
    assert_int_equal(schedule_kind(schedule), SCHEDULE_NOW);
    assert_int_equal(problems.total, 0);
}

/* As a member of a document, with pointers into it. */
static void names_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *schedule, *pointer, *detail;
    } rows[] = {
        {"5", "/schedule", "a schedule must be an object, is a number"},
        {"null", "/schedule", "a schedule must be an object, is null"},
        {"{\"crom\": \"@daily\"}", "/schedule/crom",
         "unknown field \"crom\"; did you mean \"cron\"?"},
        {"{\"every\": 5}", "/schedule/every", "unknown field \"every\""},
        {"{\"cron\": \"@daily\", \"cron\": \"@daily\"}", "/schedule/cron",
         "\"cron\" is there twice"},
        {"{\"cron\": 5}", "/schedule/cron", "must be a text, is a number"},
        {"{\"cron\": \"a\\u0000b\"}", "/schedule/cron", "must be a text, is a string"},
        {"{\"cron\": \"0 0 31 2 *\"}", "/schedule/cron",
         "\"0 0 31 2 *\", character 5: day of month: \"31\" never comes with month \"2\""},
        {"{\"cron\": \"\\u00e4\\u00e4 0\"}", "/schedule/cron",
         "\"\u00e4\u00e4 0\", character 5: day of month is missing: a line is minute, hour, day of "
         "month, month, day of week"},
        {"{\"cron\": \"@daily\", \"at\": \"2026-12-01T06:00:00Z\"}", "/schedule/cron",
         "\"at\" and \"cron\" exclude each other"},
        {"{\"at\": \"2026-12-01 6:00\"}", "/schedule/at",
         "\"2026-12-01 6:00\" is no time as \"2026-12-01T06:00:00+01:00\" (RFC 3339, after 1970)"},
        {"{\"at\": \"1969-12-31T23:59:59Z\"}", "/schedule/at",
         "\"1969-12-31T23:59:59Z\" is no time as \"2026-12-01T06:00:00+01:00\" (RFC 3339, after "
         "1970)"},
        {"{\"at\": 5}", "/schedule/at", "must be a text, is a number"},
        {"{\"timezone\": \"Europe/Berln\"}", "/schedule/timezone",
         "unknown time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?"},
        {"{\"timezone\": \"+02:00\"}", "/schedule/timezone",
         "unknown time zone \"+02:00\"; known are names as \"Europe/Berlin\""},
        {"{\"catch_up\": \"some\"}", "/schedule/catch_up",
         "unknown catch_up \"some\"; known are \"latest\", \"none\" and \"all\""},
        {"{\"overlap\": \"\"}", "/schedule/overlap",
         "unknown overlap \"\"; known are \"forbid\", \"allow\" and \"replace\""},
        {"{\"catch_up_limit\": 0}", "/schedule/catch_up_limit",
         "must be a whole number, 1 to 1000"},
        {"{\"catch_up_limit\": 1001}", "/schedule/catch_up_limit",
         "must be a whole number, 1 to 1000"},
        {"{\"jitter\": 86401}", "/schedule/jitter", "must be a whole number, 0 to 86400"},
        {"{\"jitter\": 0.5}", "/schedule/jitter", "must be a whole number, 0 to 86400"},
        {"{\"jitter\": \"5\"}", "/schedule/jitter", "must be a whole number, 0 to 86400"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_problems struct problems problems = {0};
        auto_json struct json doc = {0};
        auto_free char *text = mem_printf("{\"schedule\": %s}", rows[i].schedule);
        struct err e;
        assert_int_equal(json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e), 0);
        assert_null(schedule_read(&doc, json_get(&doc, 0, "schedule"), &problems));
        if (problems.total != 1)
            fail_msg("%s: %u problems", rows[i].schedule, problems.total);
        assert_string_equal(problems.items[0].pointer, rows[i].pointer);
        assert_string_equal(problems.items[0].detail, rows[i].detail);
    }
}

static void names_all_that_is_wrong(void **state)
{
    (void)state;
    struct schedule *schedule;
    struct err e;

    assert_int_equal(
        schedule_parse("{\"cron\": \"* *\", \"timezone\": \"X\", \"jitter\": -1}", &schedule, &e),
        -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_non_null(strstr(e.text, "schedule: line 1, column "));
    assert_non_null(strstr(e.text, "(and 2 more)"));
    assert_int_equal(schedule_parse("{", &schedule, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

static void says_it_in_words(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"{}", "now"},
        {"{\"at\": \"2026-12-01T06:00:00+01:00\"}", "once at 2026-12-01 05:00 (UTC)"},
        {"{\"at\": \"2026-12-01T05:00:59.9Z\", \"timezone\": \"Europe/Berlin\"}",
         "once at 2026-12-01 06:00 (Europe/Berlin)"},
        {"{\"cron\": \"0 2 * * MON-FRI\", \"timezone\": \"Europe/Berlin\"}",
         "at 02:00 on Monday to Friday (Europe/Berlin)"},
        {"{\"cron\": \"@hourly\"}", "every hour (UTC)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf words = {0};
        auto_schedule struct schedule *schedule = parsed(rows[i].text);
        schedule_put_words(schedule, &words);
        assert_string_equal(buf_text(&words), rows[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_what_is_left_out), cmocka_unit_test(is_now_when_absent),
        cmocka_unit_test(names_what_is_wrong),       cmocka_unit_test(names_all_that_is_wrong),
        cmocka_unit_test(says_it_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
