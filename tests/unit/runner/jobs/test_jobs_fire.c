#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/jobs/jobs_fixture.c"

#define CRON(more) "{\"cron\": \"0 * * * *\", " more "}"

static msec next_of(struct fixture *f, int64_t id)
{
    auto_held_job struct held_job job = job_of(f, id);

    return job.row.next_due;
}

/* ---- what is due ---- */

static void what_is_due_is_fired_once(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.sets = 3});

    assert_int_equal(fire_due(f, MONDAY - 1), MONDAY);
    FIRES(f, job, "");
    assert_int_equal(fire_due(f, MONDAY), MONDAY + HOUR);
    FIRES(f, job, "schedule STARTED 0; ");
    SETS(f, job, 1, "PENDING PENDING PENDING ");
    assert_int_equal(fire_due(f, MONDAY), MONDAY + HOUR);
    fire_due(f, MONDAY - DAY); /* the clock was set back */
    fire_due(f, MONDAY + 1);
    FIRES(f, job, "schedule STARTED 0; ");
    assert_int_equal(next_of(f, job), MONDAY + HOUR);
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
}

static void what_is_rolled_back_is_fired_again(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.sets = 2});
    msec wake;

    OK(job_store_begin(f->jobs.store, e));
    OK(jobs_fire_due(&f->jobs, MONDAY, &wake, e));
    job_store_rollback(f->jobs.store);
    FIRES(f, job, "");
    OK(job_store_begin(f->jobs.store, e));
    OK(jobs_fire_due(&f->jobs, MONDAY, &wake, e));
    reopen(f); /* killed */
    FIRES(f, job, "");
    fire_due(f, MONDAY);
    FIRES(f, job, "schedule STARTED 0; ");
    SETS(f, job, 1, "PENDING PENDING ");
}

static void who_is_not_confirmed_or_paused_or_gone_is_not_fired(void **state)
{
    struct fixture *f = *state;
    int64_t paused = add_job(f, (struct making){.state = JOB_PAUSED});
    int64_t ended = add_job(f, (struct making){.state = JOB_ABORTED});
    int64_t deleted = add_job(f, (struct making){0});
    auto_held_job struct held_job job = job_of(f, deleted);

    job.row.is_deleted = true;
    WRITTEN(f, job_store_set(f->jobs.store, &job.row, e));
    assert_int_equal(fire_due(f, MONDAY), 0);
    FIRES(f, paused, "");
    FIRES(f, ended, "");
    FIRES(f, deleted, "");
}

static void a_fire_may_begin_at_once_whatever_the_clock_says_later(void **state)
{
    struct fixture *f = *state;
    auto_held_set struct held_set set = {0};
    struct err err, *e = &err;
    msec wake;

    int64_t job = add_job(f, (struct making){0});
    fire_due(f, MONDAY);
    assert_int_equal(job_store_next_set(f->jobs.store, job, 1, held_set_take, &set, &wake, e), 1);
}

/* ---- a fire of the job goes on ---- */

static void overlap_forbid_skips(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.sets = 2});

    fire_due(f, MONDAY);
    fire_due(f, MONDAY + HOUR);
    FIRES(f, job, "schedule STARTED 0; schedule SKIPPED 60; ");
    SETS(f, job, 2, "");
    assert_true(fire_at(f, job, 2).finished_time > 0);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    fire_due(f, MONDAY + 2 * HOUR);
    FIRES(f, job, "schedule SUCCESS 0; schedule SKIPPED 60; schedule STARTED 120; ");
    assert_int_equal(next_of(f, job), MONDAY + 3 * HOUR);
}

static void overlap_allow_runs_beside(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = CRON("\"overlap\": \"allow\"")});

    fire_due(f, MONDAY);
    fire_due(f, MONDAY + HOUR);
    FIRES(f, job, "schedule STARTED 0; schedule STARTED 60; ");
    run_sets(f, job, 2, STATUS_SUCCESS, CAUSE_NONE);
    run_sets(f, job, 1, STATUS_FAILURE, CAUSE_EXIT_CODE);
    FIRES(f, job, "schedule FAILURE 0; schedule SUCCESS 60; ");
}

static void overlap_replace_ends_what_goes_on(void **state)
{
    struct fixture *f = *state;
    int64_t job =
        add_job(f, (struct making){.schedule = CRON("\"overlap\": \"replace\""), .sets = 2});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    begin_set(f, &sets.items[0]);
    f->jobs.has_orphans = false;
    fire_due(f, MONDAY + HOUR);
    FIRES(f, job, "schedule ABORTED 0 stopped; schedule STARTED 60; ");
    SETS(f, job, 1, "STARTED ABORTED/cancelled ");
    assert_true(f->jobs.has_orphans);
    /* Its run fails of being cancelled: it is not begun again, and changes nothing. */
    end_set(f, &sets.items[0], STATUS_FAILURE, CAUSE_STEP_LOST);
    SETS(f, job, 1, "FAILURE/step_lost ABORTED/cancelled ");
    FIRES(f, job, "schedule ABORTED 0 stopped; schedule STARTED 60; ");
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
}

static void of_several_that_replace_the_newest_is_left(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(
        f, (struct making){.schedule = CRON("\"overlap\": \"replace\", \"catch_up\": \"all\"")});

    fire_due(f, MONDAY);
    fire_due(f, MONDAY + 4 * HOUR + 5 * MINUTE);
    FIRES(f, job,
          "schedule ABORTED 0 stopped; catch_up SKIPPED 60; catch_up SKIPPED 120; "
          "catch_up SKIPPED 180; catch_up STARTED 240; ");
}

/* ---- what was missed ---- */

static void add_trigger(struct fixture *f, int64_t id)
{
    auto_held_job struct held_job job = job_of(f, id);

    job.row.state = JOB_STARTED;
    WRITTEN(f, job_store_set(f->jobs.store, &job.row, e));
    WRITTEN(f, jobs_add_fire(&f->jobs, &job.row, FIRE_TRIGGER, FIRE_OPEN, 5, NULL, e));
}

static void what_was_missed_is_made_up_for_one_after_the_other(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(
        f, (struct making){.schedule = CRON("\"catch_up\": \"all\", \"catch_up_limit\": 3")});
    msec now = MONDAY + 4 * HOUR + 5 * MINUTE;

    assert_int_equal(fire_due(f, now), MONDAY + 5 * HOUR);
    FIRES(f, job, "catch_up STARTED 120; catch_up WAITING 180; catch_up WAITING 240; ");
    auto_held_job struct held_job row = job_of(f, job);
    assert_int_equal(row.row.dropped, 2);
    fire_due(f, MONDAY + 5 * HOUR); /* on time: it does not queue up behind what was missed */
    run_sets(f, job, 1, STATUS_FAILURE, CAUSE_EXIT_CODE);
    FIRES(f, job,
          "catch_up FAILURE 120; catch_up STARTED 180; catch_up WAITING 240; "
          "schedule SKIPPED 300; ");
    run_sets(f, job, 2, STATUS_SUCCESS, CAUSE_NONE);
    run_sets(f, job, 3, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job,
          "catch_up FAILURE 120; catch_up SUCCESS 180; catch_up SUCCESS 240; "
          "schedule SKIPPED 300; ");
    fire_due(f, MONDAY + 6 * HOUR);
    assert_int_equal(fire_at(f, job, 5).state, FIRE_OPEN);
}

static void what_waits_comes_behind_a_fire_that_goes_on(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){0});

    fire_due(f, MONDAY);
    fire_due(f, MONDAY + 2 * HOUR + 5 * MINUTE); /* catch_up latest */
    FIRES(f, job, "schedule STARTED 0; catch_up WAITING 120; ");
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule SUCCESS 0; catch_up STARTED 120; ");
}

static void what_waits_lets_what_was_triggered_end(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){0});

    fire_due(f, MONDAY);
    fire_due(f, MONDAY + 65 * MINUTE);
    add_trigger(f, job);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule SUCCESS 0; catch_up WAITING 60; trigger STARTED; ");
    run_sets(f, job, 3, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule SUCCESS 0; catch_up STARTED 60; trigger SUCCESS; ");
}

static void what_is_not_made_up_for_is_counted(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = CRON("\"catch_up\": \"none\"")});

    fire_due(f, MONDAY + 30 * DAY + MINUTE);
    FIRES(f, job, "schedule STARTED 43200; ");
    auto_held_job struct held_job row = job_of(f, job);
    assert_int_equal(row.row.dropped, 30 * 24);
    assert_int_equal(row.row.next_due, MONDAY + 30 * DAY + HOUR);
}

/* ---- a job that is due once ---- */

#define ONCE_AT(s) "{\"at\": \"2026-01-05T00:00:" s "Z\"}"
#define ONCE       ONCE_AT("00")
#define NO_CATCHUP "{\"at\": \"2026-01-05T00:00:00Z\", \"catch_up\": \"none\"}"

static void a_job_is_due_once(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});

    assert_int_equal(fire_due(f, MONDAY - HOUR), MONDAY);
    assert_int_equal(fire_due(f, MONDAY + 3), 0);
    FIRES(f, job, "schedule STARTED 0; ");
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    auto_held_job struct held_job row = job_of(f, job);
    assert_int_equal(row.row.state, JOB_SUCCESS);
    assert_true(row.row.finished_time > 0 && row.row.next_due == 0);
    fire_due(f, MONDAY + DAY);
    FIRES(f, job, "schedule SUCCESS 0; ");
}

static void its_time_may_be_missed(void **state)
{
    struct fixture *f = *state;
    int64_t late = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});
    int64_t never = add_job(f, (struct making){.schedule = NO_CATCHUP, .state = JOB_PENDING});

    fire_due(f, MONDAY + DAY);
    FIRES(f, late, "catch_up STARTED 0; ");
    FIRES(f, never, "");
    auto_held_job struct held_job row = job_of(f, never);
    assert_int_equal(row.row.state, JOB_ABORTED);
    assert_int_equal(row.row.finished_time, MONDAY + DAY);
    assert_int_equal(row.row.dropped, 1);
}

static void a_missed_time_does_not_end_what_was_triggered(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = NO_CATCHUP, .state = JOB_PENDING});

    add_trigger(f, job);
    fire_due(f, MONDAY + DAY);
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "trigger SUCCESS; ");
    assert_int_equal(state_of_job(f, job), JOB_SUCCESS);
}

static void what_was_triggered_before_does_not_end_the_job(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});

    add_trigger(f, job);
    run_sets(f, job, 1, STATUS_FAILURE, CAUSE_EXIT_CODE);
    auto_held_job struct held_job row = job_of(f, job);
    assert_int_equal(row.row.state, JOB_PENDING);
    assert_int_equal(row.row.finished_time, 0);
    fire_due(f, MONDAY);
    FIRES(f, job, "trigger FAILURE; schedule STARTED 0; ");
}

static void pause_job(struct fixture *f, int64_t id)
{
    auto_held_job struct held_job job = job_of(f, id);

    job.row.state = JOB_PAUSED;
    WRITTEN(f, job_store_set(f->jobs.store, &job.row, e));
}

static void what_ends_while_it_is_paused_leaves_it_paused(void **state)
{
    struct fixture *f = *state;
    int64_t once = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});
    int64_t cron = add_job(f, (struct making){0});

    fire_due(f, MONDAY - 1);
    add_trigger(f, once);
    add_trigger(f, cron);
    pause_job(f, once);
    pause_job(f, cron);
    run_sets(f, once, 1, STATUS_SUCCESS, CAUSE_NONE);
    run_sets(f, cron, 1, STATUS_SUCCESS, CAUSE_NONE);
    assert_int_equal(state_of_job(f, once), JOB_PAUSED);
    assert_int_equal(state_of_job(f, cron), JOB_PAUSED);
    fire_due(f, MONDAY);
    FIRES(f, once, "trigger SUCCESS; ");
}

static void the_last_fire_ends_a_paused_job(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});

    fire_due(f, MONDAY);
    pause_job(f, job);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    assert_int_equal(state_of_job(f, job), JOB_SUCCESS);
}

/* ---- a clock that was set back ---- */

static void set_next(struct fixture *f, int64_t id, msec next)
{
    auto_held_job struct held_job job = job_of(f, id);

    job.row.next_due = next;
    WRITTEN(f, job_store_set(f->jobs.store, &job.row, e));
}

static void a_time_is_never_fired_twice(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){0});
    int64_t other = add_job(f, (struct making){0});

    fire_due(f, MONDAY);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    fire_due(f, MONDAY + HOUR);
    set_next(f, job, MONDAY); /* resumed after the clock was set back */
    fire_due(f, MONDAY + 1);
    FIRES(f, job, "schedule SUCCESS 0; schedule STARTED 60; ");
    run_sets(f, job, 2, STATUS_SUCCESS, CAUSE_NONE);
    fire_due(f, MONDAY + HOUR);
    fire_due(f, MONDAY + 2 * HOUR);
    FIRES(f, job, "schedule SUCCESS 0; schedule SUCCESS 60; schedule STARTED 120; ");
    FIRES(f, other, "schedule STARTED 0; schedule SKIPPED 60; schedule SKIPPED 120; ");
}

static void a_time_that_was_fired_already_ends_a_job_that_has_no_other(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .state = JOB_PENDING});

    fire_due(f, MONDAY);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    auto_held_job struct held_job row = job_of(f, job);
    row.row.state = JOB_PENDING;
    row.row.next_due = MONDAY;
    WRITTEN(f, job_store_set(f->jobs.store, &row.row, e));
    assert_int_equal(fire_due(f, MONDAY + 1), 0);
    FIRES(f, job, "schedule SUCCESS 0; ");
    assert_true(job_state_is_final(state_of_job(f, job)));
}

/* ---- many, and jitter ---- */

#define JITTER "{\"cron\": \"0 0 * * *\", \"jitter\": 3600}"

static void jitter_says_when_to_look_again(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = JITTER});
    int64_t soon = add_job(f, (struct making){.next_due = MONDAY + HOUR});

    msec wake = fire_due(f, MONDAY);
    assert_true(wake > MONDAY && wake < MONDAY + HOUR);
    FIRES(f, job, "");
    assert_int_equal(next_of(f, job), MONDAY);
    assert_int_equal(fire_due(f, wake - 1), wake);
    FIRES(f, job, "");
    assert_int_equal(fire_due(f, wake), MONDAY + HOUR);
    FIRES(f, job, "schedule STARTED 0; ");
    assert_int_equal(next_of(f, job), MONDAY + DAY);
    FIRES(f, soon, "");
}

static void who_waits_for_jitter_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    msec now = MONDAY + 1;

    for (int i = 0; i < 300; i++)
        add_job(f, (struct making){.schedule = JITTER});
    int64_t first = add_job(f, (struct making){.schedule = ONCE_AT("00.001")});
    int64_t second =
        add_job(f, (struct making){.schedule = ONCE_AT("00.003"), .next_due = MONDAY + 3});
    while (now < MONDAY + HOUR) {
        msec wake = fire_due(f, now);
        assert_true(wake > now); /* else it would turn and turn */
        if (now == MONDAY + 1)
            assert_int_equal(wake, MONDAY + 3);
        now = wake;
    }
    FIRES(f, first, "schedule STARTED 0; ");
    FIRES(f, second, "schedule STARTED 0; ");
}

static unsigned count_fires(struct fixture *f)
{
    const struct fire_filter all = {0};
    auto_held_ids struct held_ids ids = {0};

    OK(job_store_fires(f->jobs.store, &all, held_ids_take_fire, &ids, e));
    return (unsigned)ids.count;
}

static void a_thousand_are_fired_in_batches(void **state)
{
    struct fixture *f = *state;
    unsigned turns = 0, before;
    msec wake;

    for (int i = 0; i < 1000; i++)
        add_job(f, (struct making){0});
    do {
        before = count_fires(f);
        wake = fire_due(f, MONDAY);
        turns++;
        assert_true(count_fires(f) - before < 200);
    } while (wake <= MONDAY);
    assert_int_equal(count_fires(f), 1000);
    assert_int_equal(wake, MONDAY + HOUR);
    assert_in_range(turns, 6, 50);
}

/* ---- what cannot be fired ---- */

static void what_cannot_be_read_is_put_aside(void **state)
{
    struct fixture *f = *state;
    int64_t zone = add_job(
        f, (struct making){.schedule = "{\"cron\": \"0 * * * *\", \"timezone\": \"Mars/Base\"}"});
    int64_t pipeline = add_job(f, (struct making){.definition = "{\"steps\": 5}"});
    int64_t well = add_job(f, (struct making){0});

    fire_due(f, MONDAY);
    assert_int_equal(state_of_job(f, zone), JOB_PAUSED);
    assert_int_equal(state_of_job(f, pipeline), JOB_PAUSED);
    FIRES(f, pipeline, "");
    FIRES(f, well, "schedule STARTED 0; ");
    assert_int_equal(next_of(f, pipeline), MONDAY);
}

static void the_end_of_a_fire_needs_no_zone(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){0});

    fire_due(f, MONDAY);
    auto_held_job struct held_job row = job_of(f, job);
    row.row.schedule =
        held_job_text(&row, "{\"cron\": \"0 * * * *\", \"timezone\": \"Mars/Base\"}");
    WRITTEN(f, job_store_set(f->jobs.store, &row.row, e));
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule SUCCESS 0; ");
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
}

/* ---- the end of a fire ---- */

static void one_failed_set_makes_a_failure(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.sets = 3});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (size_t i = 0; i < sets.count; i++)
        begin_set(f, &sets.items[i]);
    end_set(f, &sets.items[1], STATUS_FAILURE, CAUSE_CELL_ERROR);
    end_set(f, &sets.items[0], STATUS_ABORTED, CAUSE_CANCELLED);
    FIRES(f, job, "schedule STARTED 0; ");
    assert_int_equal(f->jobs.to_retain.count, 0);
    end_set(f, &sets.items[2], STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule FAILURE 0; ");
    struct fire_row fire = fire_at(f, job, 1);
    assert_true(fire.finished_time > 0);
    assert_int_equal(f->jobs.to_retain.count, 1);
    assert_int_equal(state_of_job(f, job), JOB_STARTED);
}

static void one_aborted_set_makes_it_aborted(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .sets = 2});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    begin_set(f, &sets.items[0]);
    begin_set(f, &sets.items[1]);
    end_set(f, &sets.items[0], STATUS_SUCCESS, CAUSE_NONE);
    end_set(f, &sets.items[1], STATUS_ABORTED, CAUSE_CANCELLED);
    FIRES(f, job, "schedule ABORTED 0; ");
    assert_int_equal(state_of_job(f, job), JOB_ABORTED);
}

static void too_many_failures_stop_it(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE,
                                             .sets = 10,
                                             .policy = "{\"stop_after_failures\": \"20%\"}"});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (int i = 0; i < 4; i++)
        begin_set(f, &sets.items[i]);
    end_set(f, &sets.items[0], STATUS_FAILURE, CAUSE_EXIT_CODE);
    FIRES(f, job, "schedule STARTED 0; ");
    end_set(f, &sets.items[1], STATUS_FAILURE, CAUSE_EXIT_CODE);
    FIRES(f, job, "schedule STARTED 0 stopped; "); /* what runs goes on */
    struct fire_row fire = fire_at(f, job, 1);
    assert_int_equal(fire.counts[STATUS_ABORTED], 6);
    assert_int_equal(fire.counts[STATUS_STARTED], 2);
    end_set(f, &sets.items[2], STATUS_SUCCESS, CAUSE_NONE);
    end_set(f, &sets.items[3], STATUS_SUCCESS, CAUSE_NONE);
    FIRES(f, job, "schedule FAILURE 0 stopped; ");
    assert_int_equal(state_of_job(f, job), JOB_FAILURE);
}

static void a_stopped_fire_lets_the_next_one_in(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = CRON("\"catch_up\": \"all\""),
                                             .sets = 2,
                                             .policy = "{\"stop_after_failures\": 1}"});

    fire_due(f, MONDAY + 65 * MINUTE);
    FIRES(f, job, "catch_up STARTED 0; catch_up WAITING 60; ");
    run_sets(f, job, 1, STATUS_FAILURE, CAUSE_EXIT_CODE);
    SETS(f, job, 1, "FAILURE/exit_code ABORTED/upstream ");
    FIRES(f, job, "catch_up FAILURE 0 stopped; catch_up STARTED 60; ");
}

static void an_aborted_job_stays_so_when_its_runs_end(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f, (struct making){.schedule = ONCE, .sets = 2});

    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    begin_set(f, &sets.items[0]);
    auto_held_job struct held_job row = job_of(f, job);
    row.row.state = JOB_ABORTED;
    WRITTEN(f, job_store_set(f->jobs.store, &row.row, e));
    WRITTEN(f, jobs_abort_fires(&f->jobs, job, e));
    end_set(f, &sets.items[0], STATUS_SUCCESS, CAUSE_NONE); /* it was faster */
    FIRES(f, job, "schedule ABORTED 0 stopped; ");
    SETS(f, job, 1, "SUCCESS ABORTED/cancelled ");
    assert_int_equal(state_of_job(f, job), JOB_ABORTED);
}

static int take_body(void *user, const struct delivery_row *delivery,
                     const struct webhook_row *webhook, struct err *e)
{
    (void)webhook;
    (void)e;
    buf_puts(user, delivery->body);
    return 0;
}

static void the_notice_says_how_the_job_ended(void **state)
{
    struct fixture *f = *state;
    const struct webhook_row webhook = {.uuid = "w",
                                        .url = "https://example.org/",
                                        .secret = "",
                                        .events = "job_finished",
                                        .job_uuid = "",
                                        .project = ""};
    auto_buf struct buf body = {0};
    msec wake;

    WRITTEN(f, job_store_add_webhook(f->jobs.store, &webhook, e));
    int64_t job = add_job(f, (struct making){.schedule = ONCE});
    fire_due(f, MONDAY);
    run_sets(f, job, 1, STATUS_SUCCESS, CAUSE_NONE);
    OK(job_store_due_deliveries(f->jobs.store, clock_wall() + 1, 9, take_body, &body, &wake, e));
    assert_non_null(strstr(buf_text(&body), "\"name\":\"job\",\"status\":\"SUCCESS\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_due_is_fired_once),
        TEST(what_is_rolled_back_is_fired_again),
        TEST(who_is_not_confirmed_or_paused_or_gone_is_not_fired),
        TEST(a_fire_may_begin_at_once_whatever_the_clock_says_later),
        TEST(overlap_forbid_skips),
        TEST(overlap_allow_runs_beside),
        TEST(overlap_replace_ends_what_goes_on),
        TEST(of_several_that_replace_the_newest_is_left),
        TEST(what_was_missed_is_made_up_for_one_after_the_other),
        TEST(what_waits_comes_behind_a_fire_that_goes_on),
        TEST(what_waits_lets_what_was_triggered_end),
        TEST(what_is_not_made_up_for_is_counted),
        TEST(a_job_is_due_once),
        TEST(its_time_may_be_missed),
        TEST(a_missed_time_does_not_end_what_was_triggered),
        TEST(what_was_triggered_before_does_not_end_the_job),
        TEST(what_ends_while_it_is_paused_leaves_it_paused),
        TEST(the_last_fire_ends_a_paused_job),
        TEST(a_time_is_never_fired_twice),
        TEST(a_time_that_was_fired_already_ends_a_job_that_has_no_other),
        TEST(jitter_says_when_to_look_again),
        TEST(who_waits_for_jitter_holds_up_nobody),
        TEST(a_thousand_are_fired_in_batches),
        TEST(what_cannot_be_read_is_put_aside),
        TEST(the_end_of_a_fire_needs_no_zone),
        TEST(one_failed_set_makes_a_failure),
        TEST(one_aborted_set_makes_it_aborted),
        TEST(too_many_failures_stop_it),
        TEST(a_stopped_fire_lets_the_next_one_in),
        TEST(an_aborted_job_stays_so_when_its_runs_end),
        TEST(the_notice_says_how_the_job_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
