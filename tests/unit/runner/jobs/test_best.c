#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/jobs/best.h"
#include "tests/unit/runner/jobs/jobs_fixture.c"

#define MAX "{\"objective\": {\"metric\": \"score\", \"goal\": \"max\"}}"
#define MIN "{\"objective\": {\"metric\": \"score\", \"goal\": \"min\"}}"

/* What one set comes to; NULL: nothing is reported. */
struct outcome {
    enum status status;
    const char *score;
};

static void report(struct fixture *f, const struct held_set *set, const char *step,
                   const char *name, const char *value, bool is_param)
{
    const struct metric_row metric = {
        .step_uuid = step, .name = name, .value = value, .is_param = is_param};

    WRITTEN(f, job_store_add_metric(f->jobs.store, set->row.id, &metric, e));
}

static int64_t job_with(struct fixture *f, const char *policy, const struct outcome *outcomes,
                        uint32_t count)
{
    int64_t job = add_job(f, (struct making){.policy = policy, .sets = count});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (uint32_t i = 0; i < count; i++) {
        begin_set(f, &sets.items[i]);
        if (outcomes[i].score)
            report(f, &sets.items[i], "s", "score", outcomes[i].score, false);
        enum cause cause = outcomes[i].status == STATUS_FAILURE ? CAUSE_EXIT_CODE : CAUSE_NONE;
        end_set(f, &sets.items[i], outcomes[i].status, cause);
    }
    return job;
}

#define JOB_WITH(f, policy, ...)                                                                   \
    job_with((f), (policy), (const struct outcome[]){__VA_ARGS__},                                 \
             sizeof((const struct outcome[]){__VA_ARGS__}) / sizeof(struct outcome))

#define S STATUS_SUCCESS
#define F STATUS_FAILURE

/* Number and value of the best of the job's first fire, as "number value"; "null". */
static void check_best(struct fixture *f, int64_t id, const char *expected)
{
    auto_held_job struct held_job job = job_of(f, id);
    auto_buf struct buf out = {0}, shown = {0};
    auto_json struct json doc = {0};
    int64_t number;
    double value;

    OK(best_put(f->jobs.store, &job.row, fire_at(f, id, 1).id, &out, e));
    OK(json_parse(&doc, (struct str){out.data, out.len}, JSON_STRICT, NULL, e));
    if (json_kind(&doc, 0) == JSON_NULL) {
        assert_string_equal("null", expected);
        return;
    }
    assert_true(json_int(&doc, json_get(&doc, 0, "number"), &number));
    assert_true(json_double(&doc, json_get(&doc, 0, "value"), &value));
    assert_true(json_is(&doc, json_get(&doc, 0, "metric"), "score"));
    buf_printf(&shown, "%lld %g", (long long)number, value);
    assert_string_equal(buf_text(&shown), expected);
}

static void the_goal_decides(void **state)
{
    struct fixture *f = *state;

    check_best(f, JOB_WITH(f, MAX, {S, "1"}, {S, "3.5"}, {S, "-2"}), "1 3.5");
    check_best(f, JOB_WITH(f, MIN, {S, "1"}, {S, "3.5"}, {S, "-2"}), "2 -2");
}

static void of_equals_the_first_is_best(void **state)
{
    struct fixture *f = *state;

    check_best(f, JOB_WITH(f, MAX, {S, "1"}, {S, "2"}, {S, "2.0"}, {S, "2e0"}), "1 2");
    check_best(f, JOB_WITH(f, MIN, {S, "0"}, {S, "-0.0"}), "0 0");
}

static void who_did_not_succeed_is_not_best(void **state)
{
    struct fixture *f = *state;

    check_best(f, JOB_WITH(f, MAX, {F, "9"}, {S, "1"}, {STATUS_ABORTED, "8"}), "1 1");
    check_best(f, JOB_WITH(f, MAX, {F, "9"}, {F, "8"}), "null");
}

static void what_is_no_number_does_not_count(void **state)
{
    struct fixture *f = *state;

    check_best(f, JOB_WITH(f, MAX, {S, "\"9\""}, {S, "NaN"}, {S, "0.5"}, {S, "1e999"}, {S, "null"}),
               "2 0.5");
    check_best(f, JOB_WITH(f, MIN, {S, "NaN"}, {S, "-Infinity"}, {S, "-1e999"}), "null");
    check_best(f, JOB_WITH(f, MIN, {S, "true"}, {S, NULL}), "null");
}

static void without_an_objective_nothing_is_best(void **state)
{
    struct fixture *f = *state;

    check_best(f, JOB_WITH(f, "{}", {S, "1"}), "null");
    check_best(f, JOB_WITH(f, "{\"objective\": {\"metric\": \"other\"}}", {S, "1"}), "null");
}

static void digits_are_kept(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf out = {0};
    int64_t id = JOB_WITH(f, MAX, {S, "0.1"}, {S, "0.30000000000000004"});
    auto_held_job struct held_job job = job_of(f, id);

    OK(best_put(f->jobs.store, &job.row, fire_at(f, id, 1).id, &out, e));
    assert_non_null(strstr(buf_text(&out), "\"value\":0.30000000000000004,"));
    assert_non_null(strstr(buf_text(&out), "\"parameters\":{\"pipeline_parameters\":{\"a\":2}}"));
}

static void of_several_steps_the_last_that_is_told_counts(void **state)
{
    struct fixture *f = *state;
    int64_t job = JOB_WITH(f, MAX, {S, "1"}, {S, "2"});
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);

    report(f, &sets.items[0], "z", "score", "7", false); /* behind "s" */
    report(f, &sets.items[1], "a", "score", "99", false);
    report(f, &sets.items[1], "z", "score", "100", true); /* a parameter of that name */
    report(f, &sets.items[1], "z", "scores", "101", false);
    check_best(f, job, "0 7");
}

static void each_fire_has_its_own(void **state)
{
    struct fixture *f = *state;
    int64_t id = JOB_WITH(f, MAX, {S, "5"}, {S, "4"});
    auto_held_job struct held_job job = job_of(f, id);
    auto_buf struct buf out = {0};

    fire_due(f, MONDAY + HOUR);
    run_sets(f, id, 2, STATUS_SUCCESS, CAUSE_NONE);
    OK(best_put(f->jobs.store, &job.row, fire_at(f, id, 2).id, &out, e));
    assert_string_equal(buf_text(&out), "null");
    check_best(f, id, "0 5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_goal_decides),
        TEST(of_equals_the_first_is_best),
        TEST(who_did_not_succeed_is_not_best),
        TEST(what_is_no_number_does_not_count),
        TEST(without_an_objective_nothing_is_best),
        TEST(digits_are_kept),
        TEST(of_several_steps_the_last_that_is_told_counts),
        TEST(each_fire_has_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
