#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/jobs/jobs_cli.h"
#include "base/mem.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void parse(struct json *doc, const char *text)
{
    struct err e;

    if (json_parse(doc, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s", e.text, text);
}

static void sets_are_counted_and_named(void **state)
{
    static const struct {
        const char *axes, *said;
        int64_t count;
    } rows[] = {
        {"[]", "1 set", 1},
        {"[]", "0 sets", 0},
        {"[{\"title\":null,\"name\":\"a\"}]", "3 sets: a", 3},
        {"[{\"title\":\"T\",\"name\":\"a\"},{\"name\":\"b\"}]", "4 sets: T:a, b", 4},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        auto_buf struct buf out = {0};
        parse(&doc, rows[i].axes);
        job_text_put_sets(&doc, 0, rows[i].count, &out);
        assert_string_equal(buf_text(&out), rows[i].said);
    }
}

static void counts_of_a_fire(void **state)
{
    static const struct {
        const char *fire, *said;
    } rows[] = {
        {"{\"set_count\":3,\"counts\":{\"PENDING\":2,\"STARTED\":1}}", "0 of 3 sets"},
        {"{\"set_count\":3,\"counts\":{\"SUCCESS\":3,\"FAILURE\":0}}", "3 of 3 sets"},
        {"{\"set_count\":9,\"counts\":{\"SUCCESS\":3,\"FAILURE\":2,\"ABORTED\":1,\"STARTED\":3}}",
         "6 of 9 sets, 2 failed, 1 aborted"},
        {"{}", "0 of 0 sets"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        auto_buf struct buf out = {0};
        parse(&doc, rows[i].fire);
        job_text_put_counts(&doc, 0, " sets", &out);
        assert_string_equal(buf_text(&out), rows[i].said);
    }
}

static void values_are_short(void **state)
{
    static const struct {
        const char *json, *said; /* NULL: none */
    } rows[] = {
        {"null", NULL},      {"1", "1"},
        {"0.10", "0.10"},    {"0.3333333333333333", "0.333333"},
        {"1e-12", "1e-12"},  {"\"a b\"", "a b"},
        {"\"\"", ""},        {"true", "true"},
        {"[1, 2]", "[1,2]"}, {"{\"a\": 0.1234567890}", "{\"a\":0.1234567890}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_json struct json doc = {0};
        parse(&doc, rows[i].json);
        auto_free char *text = job_text_value(&doc, 0);
        if (rows[i].said)
            assert_string_equal(text, rows[i].said);
        else
            assert_null(text);
    }
}

static void a_job_is_said_in_lines(void **state)
{
    static const char job[] =
        "{\"uuid\":\"u\",\"name\":\"n\\u001b[2J\\nx\",\"status\":\"STARTED\",\"project\":\"p\","
        "\"pipeline_path\":\"a.json\",\"set_count\":2,\"axes\":[{\"title\":null,\"name\":\"a\"}],"
        "\"schedule\":{\"words\":\"every day\",\"next\":[{\"local\":\"2026-12-01T02:00:00+01:00\"},"
        "{\"local\":\"2026-12-02T02:00:00+01:00\"}]},"
        "\"policy\":{\"parallel\":2,\"timeout\":90,\"stop_after_failures\":\"10%\","
        "\"retries\":{\"limit\":2,\"delay\":30},\"retention\":{\"runs\":10},"
        "\"objective\":{\"metric\":\"loss\",\"goal\":\"min\"}},"
        "\"latest_fire\":{\"number\":4,\"status\":\"FAILURE\",\"set_count\":2,"
        "\"counts\":{\"SUCCESS\":1,\"FAILURE\":1}},\"dropped\":3,\"retention\":{\"runs\":7}}";
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};

    (void)state;
    parse(&doc, job);
    job_text_put(&doc, 0, &out);
    assert_string_equal(buf_text(&out), "job         u\n"
                                        "name        n?[2J?x\n"
                                        "status      STARTED\n"
                                        "project     p\n"
                                        "pipeline    a.json\n"
                                        "sets        2 sets: a\n"
                                        "runs        every day\n"
                                        "next        2026-12-01 02:00\n"
                                        "            2026-12-02 02:00\n"
                                        "parallel    2 at a time\n"
                                        "timeout     1:30 min\n"
                                        "retries     2, the first after 30.0 s\n"
                                        "stops       when 10% failed\n"
                                        "keeps       the newest 10 runs\n"
                                        "best        the lowest loss\n"
                                        "latest fire 4, FAILURE, 2 of 2 sets, 1 failed\n"
                                        "missed      3 times, not made up for\n"
                                        "to delete   7 older runs, after the next fire\n");
}

static void what_is_missing_is_not_said(void **state)
{
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};

    (void)state;
    parse(&doc, "{\"uuid\":\"u\",\"policy\":{},\"latest_fire\":null,\"dropped\":0}");
    job_text_put(&doc, 0, &out);
    assert_string_equal(buf_text(&out), "job         u\nsets        0 sets\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_counted_and_named),
        cmocka_unit_test(counts_of_a_fire),
        cmocka_unit_test(values_are_short),
        cmocka_unit_test(a_job_is_said_in_lines),
        cmocka_unit_test(what_is_missing_is_not_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
