#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/jobs/job.h"
#include "tests/unit/runner/notebook/quoted.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The policy of a text with ' for "; of "absent" what holds without one. */
static struct job_policy policy_of(const char *text)
{
    auto_problems struct problems problems = {0};
    struct job_policy policy;

    if (strcmp(text, "absent") == 0)
        job_policy_read(&policy, quoted_json("{}"), JSON_NONE, &problems);
    else
        job_policy_read(&policy, quoted_json(text), 0, &problems);
    if (problems.total > 0)
        fail_msg("%s: %s", text, problems.items[0].detail);
    return policy;
}

static void defaults_hold_where_nothing_is_said(void **state)
{
    static const char *const texts[] = {"absent", "null", "{}",
                                        "{'parallel': null, 'retries': {}, 'retention': {}, "
                                        "'stop_after_failures': null, 'timeout': 0}"};

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct job_policy policy = policy_of(texts[i]);
        assert_int_equal(policy.parallel, 0);
        assert_int_equal(policy.timeout_s, 0);
        assert_int_equal(policy.failures, 0);
        assert_true(policy.failure_share == 0);
        assert_int_equal(policy.retry_limit, 0);
        assert_int_equal(policy.retry_delay_s, 30);
        assert_true(policy.retry_factor == 2);
        assert_int_equal(policy.retry_max_delay_s, 3600);
        assert_int_equal(policy.keep_runs, 0);
        assert_int_equal(policy.keep_days, 0);
        assert_null(policy.metric);
        job_policy_clear(&policy);
    }
}

/* What was read, as it is written. */
static void every_field_is_kept(void **state)
{
    static const struct {
        const char *text, *put;
    } rows[] = {
        {"{}", "{}"},
        {"{'parallel': 4, 'timeout': 3600}", "{'parallel':4,'timeout':3600}"},
        {"{'stop_after_failures': 3}", "{'stop_after_failures':3}"},
        {"{'stop_after_failures': '10%'}", "{'stop_after_failures':'10%'}"},
        {"{'stop_after_failures': '2.5%'}", "{'stop_after_failures':'2.5%'}"},
        {"{'stop_after_failures': '7%'}", "{'stop_after_failures':'7%'}"},
        {"{'stop_after_failures': '100%'}", "{'stop_after_failures':'100%'}"},
        {"{'retries': {'limit': 2}}",
         "{'retries':{'limit':2,'delay':30,'factor':2,'max_delay':3600}}"},
        {"{'retries': {'limit': 100, 'delay': 0, 'factor': 1.1, 'max_delay': 5}}",
         "{'retries':{'limit':100,'delay':0,'factor':1.1,'max_delay':5}}"},
        {"{'retries': {'limit': 1, 'delay': 7200}}",
         "{'retries':{'limit':1,'delay':7200,'factor':2,'max_delay':7200}}"},
        {"{'retention': {'runs': 10}}", "{'retention':{'runs':10}}"},
        {"{'retention': {'days': 30}}", "{'retention':{'days':30}}"},
        {"{'objective': {'metric': 'a \\\"b\\\"'}}",
         "{'objective':{'metric':'a \\'b\\'','goal':'max'}}"},
        {"{'objective': {'metric': 'loss', 'goal': 'min'}}",
         "{'objective':{'metric':'loss','goal':'min'}}"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct job_policy policy = policy_of(rows[i].text), again;
        auto_free char *expected = quoted(rows[i].put);
        auto_buf struct buf put = {0}, twice = {0};
        struct err e;
        job_policy_put(&policy, &put);
        assert_string_equal(buf_text(&put), expected);
        assert_int_equal(job_policy_parse(&again, buf_text(&put), &e), 0);
        job_policy_put(&again, &twice);
        assert_string_equal(buf_text(&twice), expected);
        job_policy_clear(&policy);
        job_policy_clear(&again);
    }
}

static void what_is_wrong_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *pointer, *detail;
    } rows[] = {
        {"[]", "", "must be an object, is an array"},
        {"{'paralel': 4}", "/paralel", "unknown field \"paralel\"; did you mean \"parallel\"?"},
        {"{'colour': 4}", "/colour", "unknown field \"colour\""},
        {"{'parallel': 1, 'parallel': 2}", "/parallel", "\"parallel\" is there twice"},
        {"{'parallel': 0}", "/parallel", "must be a whole number from 1 to 20000"},
        {"{'parallel': 1.5}", "/parallel", "must be a whole number from 1 to 20000"},
        {"{'parallel': '4'}", "/parallel", "must be a number, is a string"},
        {"{'timeout': -1}", "/timeout", "must be a whole number from 0 to 2592000"},
        {"{'timeout': 2592001}", "/timeout", "must be a whole number from 0 to 2592000"},
        {"{'stop_after_failures': 0}", "/stop_after_failures",
         "must be a number of sets, 1 to 20000, or a share of all such as \"10%\""},
        {"{'stop_after_failures': 1.5}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': '0%'}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': '101%'}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': '10'}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': '10 %'}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': 'nan%'}", "/stop_after_failures", "must be a number of sets"},
        {"{'stop_after_failures': true}", "/stop_after_failures", "must be a number of sets"},
        {"{'retries': 3}", "/retries", "must be an object, is a number"},
        {"{'retries': {'limits': 3}}", "/retries/limits", "did you mean \"limit\"?"},
        {"{'retries': {'limit': 101}}", "/retries/limit", "must be a whole number from 0 to 100"},
        {"{'retries': {'delay': 86401}}", "/retries/delay", "from 0 to 86400"},
        {"{'retries': {'factor': 0.5}}", "/retries/factor", "must be from 1 to 10"},
        {"{'retries': {'factor': 11}}", "/retries/factor", "must be from 1 to 10"},
        {"{'retries': {'max_delay': -1}}", "/retries/max_delay", "from 0 to 86400"},
        {"{'retention': {'runs': 0}}", "/retention/runs", "must be a whole number from 1"},
        {"{'retention': {'days': 0}}", "/retention/days", "must be a whole number from 1"},
        {"{'retention': {'runs': 1, 'days': 1}}", "/retention", "either \"runs\" or \"days\""},
        {"{'objective': {}}", "/objective", "\"metric\" is missing"},
        {"{'objective': {'metric': ''}}", "/objective/metric", "must be the name of a metric"},
        {"{'objective': {'metric': 'a\\u0000'}}", "/objective/metric", "must be the name"},
        {"{'objective': {'metric': 'a', 'goal': 'least'}}", "/objective/goal",
         "must be \"max\" or \"min\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_problems struct problems problems = {0};
        auto_free char *text = quoted(rows[i].text);
        struct job_policy policy;
        struct err e = {0};
        job_policy_read(&policy, quoted_json(rows[i].text), 0, &problems);
        job_policy_clear(&policy);
        if (problems.total != 1)
            fail_msg("%s: %u problems", rows[i].text, problems.total);
        assert_string_equal(problems.items[0].pointer, rows[i].pointer);
        if (!strstr(problems.items[0].detail, rows[i].detail))
            fail_msg("%s: %s", rows[i].text, problems.items[0].detail);
        assert_int_equal(job_policy_parse(&policy, text, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void everything_wrong_is_said_at_once(void **state)
{
    auto_problems struct problems problems = {0};
    struct job_policy policy;

    (void)state;
    job_policy_read(&policy,
                    quoted_json("[{'parallel': 0,\n 'retries': {'limit': -1, 'factor': 0},"
                                "'objective': {'goal': 'x'}}]"),
                    1, &problems);
    job_policy_clear(&policy);
    assert_int_equal(problems.total, 5);
    assert_string_equal(problems.items[0].pointer, "/0/parallel");
    assert_string_equal(problems.items[1].pointer, "/0/retries/limit");
    assert_int_equal(problems.items[1].line, 2);
}

static void no_json_is_no_policy(void **state)
{
    struct job_policy policy;
    struct err e;

    (void)state;
    assert_int_equal(job_policy_parse(&policy, "{", &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

/* --- retries --- */

static void tries_that_count_wait_longer_each_time(void **state)
{
    struct job_policy policy =
        policy_of("{'retries': {'limit': 5, 'delay': 10, 'factor': 3, 'max_delay': 100}}");
    static const int64_t delays[] = {10000, 30000, 90000, 100000, 100000, -1, -1};
    struct job_tries tries = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(delays); i++)
        assert_int_equal(job_retry_in(&policy, CAUSE_CELL_ERROR, &tries), delays[i]);
    job_policy_clear(&policy);
}

static void without_retries_a_failure_is_the_end(void **state)
{
    struct job_policy policy = policy_of("{}");
    struct job_tries tries = {0};

    (void)state;
    assert_int_equal(job_retry_in(&policy, CAUSE_EXIT_CODE, &tries), -1);
    assert_int_equal(tries.used, 1);
}

static void infrastructure_uses_up_no_tries(void **state)
{
    struct job_policy policy = policy_of("{'retries': {'limit': 1, 'delay': 1}}");
    static const enum cause causes[] = {CAUSE_STEP_LOST, CAUSE_LAUNCHER_UNAVAILABLE,
                                        CAUSE_ENVIRONMENT_MISSING, CAUSE_STORAGE_FAILED};
    struct job_tries tries = {0};

    (void)state;
    for (size_t i = 0; i < COUNT(causes); i++)
        assert_int_equal(job_retry_in(&policy, causes[i], &tries), 10000 << i);
    assert_int_equal(tries.used, 0);
    assert_int_equal(job_retry_in(&policy, CAUSE_KERNEL_DIED, &tries), 1000);
    assert_int_equal(tries.lost, 0);
    assert_int_equal(job_retry_in(&policy, CAUSE_STEP_LOST, &tries), 10000);
    assert_int_equal(job_retry_in(&policy, CAUSE_CELL_ERROR, &tries), -1);
}

static void infrastructure_is_given_up_at_last(void **state)
{
    struct job_policy policy = policy_of("{}");
    struct job_tries tries = {0};

    (void)state;
    for (unsigned i = 0; i < JOB_LOST_TRIES_MAX; i++) {
        int64_t delay = job_retry_in(&policy, CAUSE_STEP_LOST, &tries);
        assert_int_equal(delay, i < 6 ? 10000 << i : 600000);
    }
    assert_int_equal(job_retry_in(&policy, CAUSE_STEP_LOST, &tries), -1);
}

static void what_was_cancelled_is_not_tried_again(void **state)
{
    struct job_policy policy = policy_of("{'retries': {'limit': 9}}");
    struct job_tries tries = {0};

    (void)state;
    assert_int_equal(job_retry_in(&policy, CAUSE_CANCELLED, &tries), -1);
}

/* --- the end of sets --- */

static void failures_stop_a_job(void **state)
{
    static const struct {
        const char *policy;
        uint32_t failed, count;
        bool is_stopped;
    } rows[] = {
        {"{}", 0, 10, false},
        {"{}", 10, 10, false},
        {"{'stop_after_failures': 1}", 0, 10, false},
        {"{'stop_after_failures': 1}", 1, 10, true},
        {"{'stop_after_failures': 3}", 2, 10, false},
        {"{'stop_after_failures': 3}", 4, 10, true},
        {"{'stop_after_failures': '10%'}", 0, 24, false},
        {"{'stop_after_failures': '10%'}", 2, 24, false},
        {"{'stop_after_failures': '10%'}", 3, 24, true},
        {"{'stop_after_failures': '7%'}", 6, 100, false},
        {"{'stop_after_failures': '7%'}", 7, 100, true},
        {"{'stop_after_failures': '0.1%'}", 0, 5, false},
        {"{'stop_after_failures': '0.1%'}", 1, 5, true},
        {"{'stop_after_failures': '100%'}", 4, 5, false},
        {"{'stop_after_failures': '100%'}", 5, 5, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct job_policy policy = policy_of(rows[i].policy);
        if (job_is_stopped(&policy, rows[i].failed, rows[i].count) != rows[i].is_stopped)
            fail_msg("%s: %u of %u", rows[i].policy, rows[i].failed, rows[i].count);
    }
}

/* Every share in percent is reached by exactly that number of a hundred. */
static void shares_are_exact(void **state)
{
    (void)state;
    for (uint32_t percent = 1; percent <= 100; percent++) {
        auto_free char *text = mem_printf("{'stop_after_failures': '%u%%'}", percent);
        struct job_policy policy = policy_of(text);
        assert_false(job_is_stopped(&policy, percent - 1, 100));
        assert_true(job_is_stopped(&policy, percent, 100));
        assert_true(job_is_stopped(&policy, percent * 200, 20000));
        assert_false(job_is_stopped(&policy, percent * 200 - 1, 20000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_where_nothing_is_said),
        cmocka_unit_test(every_field_is_kept),
        cmocka_unit_test(what_is_wrong_is_refused_with_its_place),
        cmocka_unit_test(everything_wrong_is_said_at_once),
        cmocka_unit_test(no_json_is_no_policy),
        cmocka_unit_test(tries_that_count_wait_longer_each_time),
        cmocka_unit_test(without_retries_a_failure_is_the_end),
        cmocka_unit_test(infrastructure_uses_up_no_tries),
        cmocka_unit_test(infrastructure_is_given_up_at_last),
        cmocka_unit_test(what_was_cancelled_is_not_tried_again),
        cmocka_unit_test(failures_stop_a_job),
        cmocka_unit_test(shares_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
