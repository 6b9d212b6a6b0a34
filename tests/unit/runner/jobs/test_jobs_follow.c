#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/jobs/jobs_fixture.c"

/* A fire with one set, which has begun. */
static struct held_set begun(struct fixture *f, struct making making)
{
    int64_t job = add_job(f, making);

    fire_due(f, MONDAY);
    struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    struct held_set set = sets.items[0];
    sets.items[0] = (struct held_set){0};
    held_sets_clear(&sets);
    begin_set(f, &set);
    return set;
}

static struct held_set set_again(struct fixture *f, const struct held_set *set)
{
    const struct set_filter filter = {.after = set->row.id - 1, .limit = 1};
    struct held_set found = {0};

    OK(job_store_sets(f->jobs.store, &filter, held_set_take, &found, e));
    return found;
}

/* ---- tries ---- */

static void failures_use_up_the_tries(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set set = begun(
        f,
        (struct making){.policy = "{\"retries\": {\"limit\": 2, \"delay\": 30, \"factor\": 3}}"});

    msec before = clock_wall();
    end_set(f, &set, STATUS_FAILURE, CAUSE_EXIT_CODE);
    SETS(f, set.row.job, 1, "PENDING/exit_code ");
    assert_true(set.row.not_before >= before + 30000 && set.row.not_before < before + 80000);
    assert_false(set.row.is_posted);
    FIRES(f, set.row.job, "schedule STARTED 0; ");
    begin_set(f, &set);
    end_set(f, &set, STATUS_FAILURE, CAUSE_TIMEOUT);
    assert_true(set.row.not_before >= before + 90000);
    begin_set(f, &set);
    end_set(f, &set, STATUS_FAILURE, CAUSE_CELL_ERROR);
    SETS(f, set.row.job, 1, "FAILURE/cell_error ");
    FIRES(f, set.row.job, "schedule FAILURE 0; ");
    assert_true(set.row.finished_time >= before);
    assert_int_equal(f->jobs.retried, 2);
}

static void no_policy_means_one_try(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set set = begun(f, (struct making){0});

    end_set(f, &set, STATUS_FAILURE, CAUSE_EXIT_CODE);
    FIRES(f, set.row.job, "schedule FAILURE 0; ");
}

static void what_the_machine_did_uses_up_none(void **state)
{
    static const enum cause causes[] = {CAUSE_STORAGE_FAILED, CAUSE_STEP_LOST,
                                        CAUSE_ENVIRONMENT_MISSING, CAUSE_LAUNCHER_UNAVAILABLE};
    struct fixture *f = *state;
    auto_held_set struct held_set set =
        begun(f, (struct making){.policy = "{\"retries\": {\"limit\": 1, \"delay\": 0}}"});

    for (unsigned i = 0; i < 20; i++) {
        end_set(f, &set, STATUS_FAILURE, causes[i % 4]);
        assert_int_equal(set.row.status, STATUS_PENDING);
        begin_set(f, &set);
    }
    end_set(f, &set, STATUS_FAILURE, CAUSE_EXIT_CODE);
    assert_int_equal(set.row.status, STATUS_PENDING);
    begin_set(f, &set);
    end_set(f, &set, STATUS_FAILURE, CAUSE_EXIT_CODE);
    assert_int_equal(set.row.status, STATUS_FAILURE);
}

static void a_machine_that_never_recovers_ends_it(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set set = begun(f, (struct making){0});
    unsigned tries = 0;

    for (; set.row.status == STATUS_STARTED && tries < 1000; tries++) {
        end_set(f, &set, STATUS_FAILURE, CAUSE_STORAGE_FAILED);
        if (set.row.status == STATUS_PENDING)
            begin_set(f, &set);
    }
    assert_int_equal(tries, JOB_LOST_TRIES_MAX + 1);
    FIRES(f, set.row.job, "schedule FAILURE 0; ");
}

#define MANY_TRIES "{\"retries\": {\"limit\": 9, \"delay\": 0}}"

static void what_somebody_ended_is_not_tried_again(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set one = begun(f, (struct making){.policy = MANY_TRIES});
    auto_held_set struct held_set other = begun(f, (struct making){.policy = MANY_TRIES});

    end_set(f, &one, STATUS_ABORTED, CAUSE_CANCELLED);
    FIRES(f, one.row.job, "schedule ABORTED 0; ");
    end_set(f, &other, STATUS_FAILURE, CAUSE_CANCELLED);
    FIRES(f, other.row.job, "schedule FAILURE 0; ");
}

static void nothing_is_tried_again_in_a_fire_that_was_ended(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set set = begun(f, (struct making){.policy = MANY_TRIES});

    WRITTEN(f, jobs_abort_fires(&f->jobs, set.row.job, e));
    end_set(f, &set, STATUS_FAILURE, CAUSE_STEP_LOST);
    SETS(f, set.row.job, 1, "FAILURE/step_lost ");
}

static void nothing_is_tried_again_in_a_fire_that_was_stopped(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.sets = 3,
                                             .policy = "{\"stop_after_failures\": 1, \"retries\": "
                                                       "{\"limit\": 1, \"delay\": 0}}"});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    begin_set(f, &sets.items[0]);
    begin_set(f, &sets.items[1]);
    end_set(f, &sets.items[0], STATUS_FAILURE, CAUSE_EXIT_CODE);
    SETS(f, job, 1, "PENDING/exit_code STARTED PENDING ");
    begin_set(f, &sets.items[0]);
    end_set(f, &sets.items[0], STATUS_FAILURE, CAUSE_EXIT_CODE);
    SETS(f, job, 1, "FAILURE/exit_code STARTED ABORTED/upstream ");
    end_set(f, &sets.items[1], STATUS_FAILURE, CAUSE_EXIT_CODE);
    SETS(f, job, 1, "FAILURE/exit_code FAILURE/exit_code ABORTED/upstream ");
    FIRES(f, job, "schedule FAILURE 0 stopped; ");
}

/* ---- the engine's log ---- */

static bool follow(struct fixture *f)
{
    bool has_more;

    OK(jobs_follow(&f->jobs, &has_more, e));
    return has_more;
}

static const char *uuid_of_job(struct fixture *f, int64_t id, struct uuid *uuid)
{
    auto_held_job struct held_job job = job_of(f, id);

    *uuid = uuid_of(job.row.uuid);
    return uuid->text;
}

static void write_report(struct fixture *f, const char *run, const char *text)
{
    auto_free char *name = mem_printf("runs/%s/io/s/report.jsonl", run);

    scratch_put(f->dir, name, text);
}

static int show_metric(void *data, int64_t set, const struct metric_row *metric, struct err *e)
{
    (void)set;
    (void)e;
    buf_printf(data, "%s%s=%s ", metric->is_param ? "param " : "", metric->name, metric->value);
    return 0;
}

#define METRICS(f, of, expected)                                                                   \
    do {                                                                                           \
        auto_buf struct buf shown_ = {0};                                                          \
        OK(job_store_metrics((f)->jobs.store, (of), 0, show_metric, &shown_, e));                  \
        assert_string_equal(buf_text(&shown_), expected);                                          \
    } while (0)

static void ends_are_taken_in_once(void **state)
{
    struct fixture *f = *state;
    struct uuid job;

    open_runs(f);
    auto_held_set struct held_set set = begun(f, (struct making){.policy = MANY_TRIES});
    uuid_of_job(f, set.row.job, &job);
    write_report(f, set.run_uuid,
                 "{\"kind\":\"metric\",\"name\":\"score\",\"value\":0.25}\n"
                 "{\"kind\":\"param\",\"name\":\"depth\",\"value\":3}\n");
    add_ended_run(f, set.run_uuid, job.text, STATUS_FAILURE, CAUSE_EXIT_CODE);
    assert_false(follow(f));
    SETS(f, set.row.job, 1, "PENDING/exit_code ");
    METRICS(f, set.row.job, "score=0.25 param depth=3 ");
    f->jobs.cursor = 0; /* another process */
    assert_false(follow(f));
    SETS(f, set.row.job, 1, "PENDING/exit_code ");
    auto_held_set struct held_set now = set_again(f, &set);
    assert_int_equal(now.row.tries_used, 1);
    assert_int_equal(now.row.started_time, MONDAY + 1);
    /* What the next try reports takes the place of it. */
    begin_set(f, &now);
    write_report(f, now.run_uuid, "{\"kind\":\"metric\",\"name\":\"loss\",\"value\":1}\n");
    add_ended_run(f, now.run_uuid, job.text, STATUS_SUCCESS, CAUSE_NONE);
    follow(f);
    SETS(f, set.row.job, 1, "SUCCESS ");
    METRICS(f, set.row.job, "loss=1 ");
    FIRES(f, set.row.job, "schedule SUCCESS 0; ");
}

static void a_process_that_dies_takes_it_in_again(void **state)
{
    struct fixture *f = *state;
    struct uuid job;
    struct err error;
    bool has_more;

    open_runs(f);
    auto_held_set struct held_set set = begun(f, (struct making){0});
    uuid_of_job(f, set.row.job, &job);
    add_ended_run(f, set.run_uuid, job.text, STATUS_SUCCESS, CAUSE_NONE);
    /* A store that can only be read stands for a disk that cannot be written. */
    job_store_close(take_ptr(&f->jobs.store));
    OK(job_store_open(f->jobs.path, STORE_READ, &f->jobs.store, e));
    assert_int_equal(jobs_follow(&f->jobs, &has_more, &error), -1);
    assert_int_equal(f->jobs.cursor, 0);
    reopen(f);
    SETS(f, set.row.job, 1, "STARTED ");
    follow(f);
    SETS(f, set.row.job, 1, "SUCCESS ");
}

static void a_report_that_cannot_be_read_holds_up_nothing(void **state)
{
    struct fixture *f = *state;
    struct uuid job;

    open_runs(f);
    auto_held_set struct held_set set = begun(f, (struct making){0});
    uuid_of_job(f, set.row.job, &job);
    write_report(f, set.run_uuid, "\xff\xfe{{{\n\n[1,2]\n\"x\"\n");
    add_ended_run(f, set.run_uuid, job.text, STATUS_SUCCESS, CAUSE_NONE);
    follow(f);
    SETS(f, set.row.job, 1, "SUCCESS ");
    METRICS(f, set.row.job, "");
}

static void what_is_no_affair_of_jobs_is_passed_over(void **state)
{
    struct fixture *f = *state;
    struct uuid job;

    open_runs(f);
    auto_held_set struct held_set set = begun(f, (struct making){0});
    uuid_of_job(f, set.row.job, &job);
    add_ended_run(f, "r1", "", STATUS_FAILURE, CAUSE_EXIT_CODE);         /* nobody's */
    add_ended_run(f, "r2", job.text, STATUS_FAILURE, CAUSE_EXIT_CODE);   /* an earlier try */
    add_ended_run(f, "r3", "gone-job", STATUS_FAILURE, CAUSE_EXIT_CODE); /* was removed */
    int64_t deleted = add_ended_run(f, "r4", job.text, STATUS_SUCCESS, CAUSE_NONE);
    delete_run(f, deleted, "r4");
    assert_false(follow(f));
    SETS(f, set.row.job, 1, "STARTED ");
    add_ended_run(f, set.run_uuid, job.text, STATUS_SUCCESS, CAUSE_NONE);
    assert_false(follow(f));
    SETS(f, set.row.job, 1, "SUCCESS ");
}

static void a_set_that_has_ended_stays_so(void **state)
{
    struct fixture *f = *state;
    struct uuid job;

    open_runs(f);
    auto_held_set struct held_set set = begun(f, (struct making){0});
    uuid_of_job(f, set.row.job, &job);
    end_set(f, &set, STATUS_ABORTED, CAUSE_CANCELLED);
    add_ended_run(f, set.run_uuid, job.text, STATUS_SUCCESS, CAUSE_NONE);
    follow(f);
    SETS(f, set.row.job, 1, "ABORTED/cancelled ");
}

static void many_are_taken_in_by_and_by(void **state)
{
    struct fixture *f = *state;
    struct uuid job_uuid;
    char run[16];
    unsigned turns = 1;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.sets = 150});
    uuid_of_job(f, job, &job_uuid);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (unsigned i = 0; i < sets.count; i++) {
        begin_set(f, &sets.items[i]);
        add_ended_run(f, sets.items[i].run_uuid, job_uuid.text, STATUS_SUCCESS, CAUSE_NONE);
        snprintf(run, sizeof run, "other-%u", i);
        add_ended_run(f, run, "", STATUS_SUCCESS, CAUSE_NONE);
    }
    while (follow(f))
        turns++;
    assert_in_range(turns, 2, 20);
    FIRES(f, job, "schedule SUCCESS 0; ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(failures_use_up_the_tries),
        TEST(no_policy_means_one_try),
        TEST(what_the_machine_did_uses_up_none),
        TEST(a_machine_that_never_recovers_ends_it),
        TEST(what_somebody_ended_is_not_tried_again),
        TEST(nothing_is_tried_again_in_a_fire_that_was_ended),
        TEST(nothing_is_tried_again_in_a_fire_that_was_stopped),
        TEST(ends_are_taken_in_once),
        TEST(a_process_that_dies_takes_it_in_again),
        TEST(a_report_that_cannot_be_read_holds_up_nothing),
        TEST(what_is_no_affair_of_jobs_is_passed_over),
        TEST(a_set_that_has_ended_stays_so),
        TEST(many_are_taken_in_by_and_by),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
