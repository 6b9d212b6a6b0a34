#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/commands/jobs/job_options.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Options as getopt_long gives them; -p by its letter. */
struct given {
    int option;
    const char *value;
};

#define GIVEN_MOST 8

static void take_all(struct job_options *options, const struct given *given)
{
    for (size_t i = 0; i < GIVEN_MOST && given[i].option; i++) {
        if (given[i].option == 'p')
            params_add(&options->base, given[i].value);
        else
            job_options_take(options, given[i].option, given[i].value);
    }
}

static int put(const struct given *given, const struct pipeline *pipeline, const struct json *job,
               struct buf *out, struct err *e)
{
    struct job_options options = {0};

    take_all(&options, given);
    buf_putc(out, '{');
    int result = job_options_put(&options, pipeline, job, out, e);
    buf_putc(out, '}');
    job_options_clear(&options);
    return result;
}

/* The same document, however it is written. */
static void assert_json(const char *name, const char *text, const char *wanted)
{
    auto_json struct json doc = {0}, other = {0};
    auto_buf struct buf a = {0}, b = {0};
    struct err e;

    if (json_parse(&doc, str_of(text), JSON_STRICT, NULL, &e) < 0)
        fail_msg("%s: %s: %s", name, e.text, text);
    assert_int_equal(json_parse(&other, str_of(wanted), JSON_STRICT, NULL, &e), 0);
    json_write(&doc, 0, JSON_COMPACT, 0, &a);
    json_write(&other, 0, JSON_COMPACT, 0, &b);
    if (strcmp(buf_text(&a), buf_text(&b)) != 0)
        fail_msg("%s:\n%s\n%s", name, buf_text(&a), buf_text(&b));
}

static void options_become_the_body_of_a_request(void **state)
{
    static const struct {
        const char *name;
        struct given given[GIVEN_MOST];
        const char *json;
    } rows[] = {
        {"nothing", {{0}}, "{}"},
        {"a name", {{JOB_NAME, "a \"b\""}}, "{\"name\":\"a \\\"b\\\"\"}"},
        {"values with commas",
         {{JOB_GRID, "a=1,x,true,1.50,\"1\""}},
         "{\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a\":[1,\"x\",true,1.50,\"1\"]}}}}"},
        {"one value",
         {{JOB_GRID, "a=x y=z"}},
         "{\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a\":[\"x y=z\"]}}}}"},
        {"ranges are left to the service",
         {{JOB_GRID, "a=1..5"}, {JOB_GRID, "b=-0.1:1e0:0.1"}},
         "{\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a\":\"1..5\",\"b\":\"-0.1:1e0:0."
         "1\"}}}}"},
        {"two dots between words are none",
         {{JOB_GRID, "a=x..y,b:c:d"}},
         "{\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a\":[\"x..y\",\"b:c:d\"]}}}}"},
        {"JSON as it is",
         {{JOB_GRID, "a=[1, [2,3], \"x,y\"]"},
          {JOB_GRID, "b={\"log_uniform\":[1e-5,0.1]}"},
          {JOB_RANDOM, "20"},
          {JOB_SEED, "7"}},
         "{\"parameters\":{\"strategy\":\"random\",\"count\":20,\"seed\":7,\"grid\":"
         "{\"pipeline_parameters\":{\"a\":[1,[2,3],\"x,y\"],\"b\":{\"log_uniform\":[1e-5,0.1]}}}}"
         "}"},
        {"base, zip and exclude",
         {{'p', "c=1"}, {JOB_GRID, "a=1,2"}, {JOB_ZIP, NULL}, {JOB_EXCLUDE, "0,12"}},
         "{\"parameters\":{\"strategy\":\"zip\",\"base\":{\"pipeline_parameters\":{\"c\":1}},"
         "\"grid\":{\"pipeline_parameters\":{\"a\":[1,2]}},\"exclude\":[0,12]}}"},
        {"steps by title",
         {{'p', "one:c=1"}, {JOB_GRID, "one:a=1"}, {JOB_GRID, "two.py:a=2"}},
         "{\"parameters\":{\"base\":{\"u1\":{\"c\":1}},\"grid\":{\"u1\":{\"a\":[1]},"
         "\"u2\":{\"a\":[2]}}}}"},
        {"once",
         {{JOB_AT, "2026-12-01T06:00:00Z"}},
         "{\"schedule\":{\"at\":\"2026-12-01T06:00:00Z\"}}"},
        {"again and again",
         {{JOB_CRON, "@daily"},
          {JOB_TIMEZONE, "Europe/Berlin"},
          {JOB_CATCH_UP, "all:5"},
          {JOB_OVERLAP, "replace"},
          {JOB_JITTER, "2m"}},
         "{\"schedule\":{\"cron\":\"@daily\",\"timezone\":\"Europe/"
         "Berlin\",\"overlap\":\"replace\","
         "\"catch_up\":\"all\",\"catch_up_limit\":5,\"jitter\":120}}"},
        {"policy",
         {{JOB_PARALLEL, "3"},
          {JOB_TIMEOUT, "2h"},
          {JOB_RETRIES, "2:1m"},
          {JOB_STOP_AFTER_FAILURES, "10%"},
          {JOB_KEEP_RUNS, "10"},
          {JOB_OBJECTIVE, "a:b:min"}},
         "{\"policy\":{\"parallel\":3,\"timeout\":7200,\"stop_after_failures\":\"10%\","
         "\"retries\":{\"limit\":2,\"delay\":60},\"retention\":{\"runs\":10},"
         "\"objective\":{\"metric\":\"a:b\",\"goal\":\"min\"}}}"},
        {"policy, the other way",
         {{JOB_RETRIES, "1"},
          {JOB_STOP_AFTER_FAILURES, "1"},
          {JOB_KEEP_DAYS, "30"},
          {JOB_OBJECTIVE, "a:b"}},
         "{\"policy\":{\"stop_after_failures\":1,\"retries\":{\"limit\":1},\"retention\":{\"days\":"
         "30},"
         "\"objective\":{\"metric\":\"a:b\",\"goal\":\"max\"}}}"},
    };
    static const char text[] = "{\"steps\":{\"u1\":{\"title\":\"one\"},"
                               "\"u2\":{\"title\":\"two\",\"file_path\":\"two.py\"}}}";
    auto_problems struct problems problems = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    struct err e;

    (void)state;
    assert_int_equal(pipeline_parse(str_of(text), "x", &pipeline, &problems, &e), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        if (put(rows[i].given, pipeline, NULL, &out, &e) < 0)
            fail_msg("%s: %s", rows[i].name, e.text);
        assert_json(rows[i].name, buf_text(&out), rows[i].json);
    }
}

static void wrong_options_are_refused(void **state)
{
    static const struct {
        const char *name;
        struct given given[GIVEN_MOST];
        const char *said;
    } rows[] = {
        {"no equals sign", {{JOB_GRID, "a"}}, "--grid \"a\" is not"},
        {"no name", {{JOB_GRID, "=1"}}, "--grid \"=1\" is not"},
        {"a step without a name", {{JOB_GRID, "S:=1"}}, "--grid \"S:=1\" is not"},
        {"no value", {{JOB_GRID, "a="}}, "empty value"},
        {"an empty value", {{JOB_GRID, "a=1,,2"}}, "empty value"},
        {"an empty value at the end", {{JOB_GRID, "a=1,"}}, "empty value"},
        {"a broken list", {{JOB_GRID, "a=[1,"}}, "is no JSON"},
        {"a broken object", {{JOB_GRID, "a={\"uniform\":[0,1]"}}, "is no JSON"},
        {"base", {{'p', "a"}}, "is not NAME=VALUE"},
        {"zip and random",
         {{JOB_GRID, "a=1"}, {JOB_ZIP, NULL}, {JOB_RANDOM, "2"}},
         "exclude each other"},
        {"zip of nothing", {{JOB_ZIP, NULL}}, "--zip goes with"},
        {"random of nothing", {{JOB_RANDOM, "3"}}, "--random goes with"},
        {"a seed for nothing", {{JOB_GRID, "a=1"}, {JOB_SEED, "3"}}, "--seed goes with"},
        {"grid and sets", {{JOB_GRID, "a=1"}, {JOB_SETS, "x"}}, "exclude each other"},
        {"sets and a file", {{JOB_SETS, "x"}, {JOB_PARAMETERS_FILE, "x"}}, "exclude each other"},
        {"no file of sets", {{JOB_SETS, "/nowhere/sets.json"}}, "/nowhere/sets.json"},
        {"no file of parameters", {{JOB_PARAMETERS_FILE, "/nowhere/x.json"}}, "/nowhere/x.json"},
        {"exclude nothing", {{JOB_EXCLUDE, ""}}, "--exclude"},
        {"exclude a word", {{JOB_EXCLUDE, "1,x"}}, "--exclude"},
        {"exclude with a comma at the end", {{JOB_EXCLUDE, "1,"}}, "--exclude"},
        {"exclude with two commas", {{JOB_EXCLUDE, "1,,2"}}, "--exclude"},
        {"a negative count", {{JOB_GRID, "a=1"}, {JOB_RANDOM, "-1"}}, "--random"},
        {"at and cron", {{JOB_AT, "x"}, {JOB_CRON, "y"}}, "--at and --cron exclude"},
        {"catch-up", {{JOB_CATCH_UP, "all:x"}}, "--catch-up all:N"},
        {"jitter", {{JOB_JITTER, "soon"}}, "--jitter"},
        {"parallel", {{JOB_PARALLEL, "many"}}, "--parallel"},
        {"timeout", {{JOB_TIMEOUT, "31d"}}, "--timeout"},
        {"retries", {{JOB_RETRIES, "x"}}, "--retries"},
        {"the delay of retries", {{JOB_RETRIES, "2:x"}}, "--retries N:TIME"},
        {"failures", {{JOB_STOP_AFTER_FAILURES, ""}}, "--stop-after-failures"},
        {"keep runs", {{JOB_KEEP_RUNS, "1.5"}}, "--keep-runs"},
        {"keep days", {{JOB_KEEP_DAYS, "9999999999"}}, "--keep-days"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        struct err e = {0};
        if (put(rows[i].given, NULL, NULL, &out, &e) == 0)
            fail_msg("%s: taken: %s", rows[i].name, buf_text(&out));
        if (!strstr(e.text, rows[i].said))
            fail_msg("%s: %s", rows[i].name, e.text);
    }
}

static void an_unknown_step_is_refused(void **state)
{
    static const char text[] = "{\"steps\":{\"u1\":{\"title\":\"one\"}}}";
    static const struct given given[GIVEN_MOST] = {{JOB_GRID, "two:a=1"}};
    auto_problems struct problems problems = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    auto_buf struct buf out = {0};
    struct err e;

    (void)state;
    assert_int_equal(pipeline_parse(str_of(text), "x", &pipeline, &problems, &e), 0);
    assert_int_equal(put(given, pipeline, NULL, &out, &e), -1);
    assert_non_null(strstr(e.text, "\"two\""));
}

static void files_are_read(void **state)
{
    static const struct {
        const char *name;
        int option;
        const char *text, *json; /* NULL: refused */
    } rows[] = {
        {"sets", JOB_SETS, "[{\"u1\": {\"a\": 0.10}}]\n",
         "{\"parameters\":{\"sets\":[{\"u1\":{\"a\":0.10}}]}}"},
        {"a torn file", JOB_SETS, "[{\"u1\": ", NULL},
        {"as Orchest writes it", JOB_PARAMETERS_FILE,
         "{\"pipeline_parameters\":{\"a\":\"[1, 2]\"},\"u1\":{\"b\":\"[\\\"x\\\"]\"}}",
         "{\"parameters\":{\"grid\":{\"pipeline_parameters\":{\"a\":[1, "
         "2]},\"u1\":{\"b\":[\"x\"]}}}}"},
        {"no object", JOB_PARAMETERS_FILE, "[1]", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char path[] = "/tmp/test_job_options_XXXXXX";
        auto_close int fd = mkstemp(path);
        auto_buf struct buf out = {0};
        struct err e;
        assert_true(fd >= 0);
        assert_int_equal(write(fd, rows[i].text, strlen(rows[i].text)), strlen(rows[i].text));
        const struct given given[GIVEN_MOST] = {{rows[i].option, path}};
        int result = put(given, NULL, NULL, &out, &e);
        unlink(path);
        if (rows[i].json && result < 0)
            fail_msg("%s: %s", rows[i].name, e.text);
        else if (rows[i].json)
            assert_json(rows[i].name, buf_text(&out), rows[i].json);
        else if (result == 0 || !strstr(e.text, path))
            fail_msg("%s: %s", rows[i].name, result == 0 ? "taken" : e.text);
    }
}

static void a_change_keeps_what_it_does_not_name(void **state)
{
    static const char job_text[] =
        "{\"schedule\":{\"cron\":\"@daily\",\"timezone\":\"Europe/Berlin\",\"jitter\":5,"
        "\"words\":\"w\",\"next\":[]},"
        "\"policy\":{\"parallel\":2,\"retries\":{\"limit\":1},\"timeout\":60}}";
    static const struct {
        const char *name;
        struct given given[GIVEN_MOST];
        const char *json;
    } rows[] = {
        {"a name only", {{JOB_NAME, "n"}}, "{\"name\":\"n\"}"},
        {"policy",
         {{JOB_PARALLEL, "3"}, {JOB_RETRIES, "4:5"}},
         "{\"policy\":{\"parallel\":3,\"retries\":{\"limit\":4,\"delay\":5},\"timeout\":60}}"},
        {"jitter",
         {{JOB_JITTER, "9"}},
         "{\"schedule\":{\"jitter\":9,\"cron\":\"@daily\",\"timezone\":\"Europe/Berlin\"}}"},
        {"another line",
         {{JOB_CRON, "@hourly"}},
         "{\"schedule\":{\"cron\":\"@hourly\",\"timezone\":\"Europe/Berlin\",\"jitter\":5}}"},
        {"once instead",
         {{JOB_AT, "x"}},
         "{\"schedule\":{\"at\":\"x\",\"timezone\":\"Europe/Berlin\",\"jitter\":5}}"},
    };
    auto_json struct json job = {0};
    struct err e;

    (void)state;
    assert_int_equal(json_parse(&job, str_of(job_text), JSON_STRICT, NULL, &e), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_buf struct buf out = {0};
        if (put(rows[i].given, NULL, &job, &out, &e) < 0)
            fail_msg("%s: %s", rows[i].name, e.text);
        assert_json(rows[i].name, buf_text(&out), rows[i].json);
    }
}

static void it_knows_what_was_given(void **state)
{
    struct job_options none = {0}, zip = {0}, named = {0}, step = {0};

    (void)state;
    job_options_take(&zip, JOB_ZIP, NULL);
    job_options_take(&named, JOB_NAME, "n");
    job_options_take(&step, JOB_GRID, "one:a=1");
    assert_false(job_options_any(&none));
    assert_true(job_options_any(&zip) && job_options_any(&named) && job_options_any(&step));
    assert_false(job_options_name_steps(&named));
    assert_true(job_options_name_steps(&step));
    job_options_clear(&step);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_become_the_body_of_a_request),
        cmocka_unit_test(wrong_options_are_refused),
        cmocka_unit_test(an_unknown_step_is_refused),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(a_change_keeps_what_it_does_not_name),
        cmocka_unit_test(it_knows_what_was_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
