#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static const struct {
    int64_t us;
    const char *text;
} times[] = {
    {0, "1970-01-01T00:00:00.000000Z"},
    {1, "1970-01-01T00:00:00.000001Z"},
    {-1000, "1969-12-31T23:59:59.999000Z"},
    {951782400000000, "2000-02-29T00:00:00.000000Z"},
    {1795310984123456, "2026-11-22T01:29:44.123456Z"},
    {-62167219200000000, "0000-01-01T00:00:00.000000Z"},
    {253402300799999999, "9999-12-31T23:59:59.999999Z"},
};

static void writes_times(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_string_equal(time_text_of_us(times[i].us).text, times[i].text);
}

static void keeps_to_four_digit_years(void **state)
{
    (void)state;
    assert_string_equal(time_text_of_us(INT64_MAX).text, "9999-12-31T23:59:59.999999Z");
    assert_string_equal(time_text_of_us(INT64_MIN).text, "0000-01-01T00:00:00.000000Z");
}

static void reads_what_it_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        assert_int_equal(time_text_parse(times[i].text), times[i].us);
}

static void reads_other_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"1970-01-01T00:00:10Z", 10000000},         {"1970-01-01t00:00:10z", 10000000},
        {"1970-01-01 00:00:10Z", 10000000},         {"1970-01-01T00:00:00.5Z", 500000},
        {"1970-01-01T00:00:00.0000019999Z", 1},     {"1970-01-01T01:00:00+01:00", 0},
        {"1969-12-31T22:30:00-01:30", 0},           {"1970-01-01T00:00:00-00:00", 0},
        {"2016-12-31T23:59:60Z", 1483228800000000}, {"2000-02-29T00:00:00Z", 951782400000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(time_text_parse(rows[i].text), rows[i].us);
}

static void refuses_what_is_no_time(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "now",
        "1970",
        "1970-01-01",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00Z",
        "1970-1-01T00:00:00Z",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:61Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00+1:00",
        "1970-01-01T00:00:00+0100",
        "1970-01-01T00:00:00+24:00",
        "1970-01-01T00:00:00+01:60",
        "1970-01-01T00:00:00+01",
        "1970-01-01T00:00:00ZZ",
        "1970-01-01T00:00:00Z ",
        " 1970-01-01T00:00:00Z",
        "-970-01-01T00:00:00Z",
        "1970-01-01T00:00:0\xb2Z",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(time_text_parse(rows[i]), -1);
}

static void the_clocks_agree_with_the_system(void **state)
{
    (void)state;
    struct timespec t;
    int64_t before = clock_wall_us();
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t system = t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
    int64_t now = time_text_parse(time_text_now().text);
    assert_true(before <= system && system <= now);
    assert_true(clock_wall() >= before / 1000);

    clock_gettime(CLOCK_MONOTONIC, &t);
    assert_true(clock_mono() >= t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_times),
        cmocka_unit_test(keeps_to_four_digit_years),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(reads_other_forms),
        cmocka_unit_test(refuses_what_is_no_time),
        cmocka_unit_test(the_clocks_agree_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
