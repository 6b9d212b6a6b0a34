/* The dispatcher's thread, run by the test itself: it ends when its log says what the test waits
 * for. There is no engine: runs are there already, or cannot be made, as their snapshot is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/jobs/jobs_fixture.c"

/* The dispatcher is to end after so many failures. It tells of them with the lock held, in the
 * transaction that writes them down. */
struct listener {
    struct fixture *f;
    unsigned failures;
    struct held_set *ends_meanwhile; /* NULL: nothing does */
};

static void on_told(void *user, const struct jobs_news *news)
{
    struct listener *listener = user;

    if (strcmp(news->what, "jobs_failed") == 0)
        fail_msg("%s", news->detail);
    if (strcmp(news->what, "job_run_failed_to_begin") != 0)
        return;
    struct held_set *ends = listener->ends_meanwhile;
    if (ends) {
        ends->row.status = STATUS_SUCCESS;
        OK(job_store_set_set(listener->f->jobs.store, &ends->row, e));
        listener->ends_meanwhile = NULL;
    }
    listener->f->jobs.is_closing = --listener->failures == 0;
}

static void dispatch(struct listener *listener)
{
    struct jobs *jobs = &listener->f->jobs;

    jobs->options.told = on_told;
    jobs->options.user = listener;
    jobs->options.parallel = 4;
    jobs->is_closing = false;
    jobs_dispatch(jobs);
    assert_int_equal(listener->failures, 0);
}

static bool is_empty(struct fixture *f, const char *name)
{
    auto_free char *path = fs_join(f->dir, name);

    return rmdir(path) == 0;
}

static void claim(struct fixture *f, struct held_set *set)
{
    begin_set(f, set);
    set->row.is_posted = false;
    WRITTEN(f, job_store_set_set(f->jobs.store, &set->row, e));
}

static void what_cannot_be_made_fails(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t missing = add_job(f, (struct making){.sets = 3});
    int64_t waits = add_job(f, (struct making){0});
    fire_due(f, MONDAY);
    auto_held_job struct held_job paused = job_of(f, waits);
    paused.row.state = JOB_PAUSED;
    WRITTEN(f, job_store_set(f->jobs.store, &paused.row, e));
    auto_held_sets struct held_sets before = sets_of(f, fire_at(f, missing, 1).id);
    before.items[0].row.finished_time = 5; /* of an earlier try */
    WRITTEN(f, job_store_set_set(f->jobs.store, &before.items[0].row, e));
    dispatch(&(struct listener){f, 3, NULL});
    SETS(f, missing, 1, "FAILURE/input_invalid FAILURE/input_invalid FAILURE/input_invalid ");
    FIRES(f, missing, "schedule FAILURE 0; ");
    SETS(f, waits, 1, "PENDING ");
    assert_true(is_empty(f, "runs"));
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, missing, 1).id);
    assert_string_equal(sets.items[0].run_uuid, "");
    assert_true(sets.items[0].row.finished_time >= sets.items[0].row.started_time);
}

static void a_definition_that_cannot_be_read_fails(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){0});
    fire_due(f, MONDAY);
    WRITTEN(f, job_store_set_definition(f->jobs.store, job, STR("{\"steps\": 5}"), e));
    dispatch(&(struct listener){f, 1, NULL});
    SETS(f, job, 1, "FAILURE/input_invalid ");
}

static void what_was_begun_before_is_found_again(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.sets = 3});
    auto_held_job struct held_job row = job_of(f, job);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    claim(f, &sets.items[0]);
    claim(f, &sets.items[1]);
    add_ended_run(f, sets.items[0].run_uuid, row.row.uuid, STATUS_SUCCESS, CAUSE_NONE);
    dispatch(&(struct listener){f, 2, NULL});
    SETS(f, job, 1, "STARTED FAILURE/input_invalid FAILURE/input_invalid ");
    auto_held_sets struct held_sets now = sets_of(f, fire_at(f, job, 1).id);
    assert_true(now.items[0].row.is_posted);
    assert_string_equal(now.items[0].run_uuid, sets.items[0].run_uuid);
}

/* The run is faster than whoever writes down that it was begun. */
static void what_has_ended_meanwhile_stays_so(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.sets = 3});
    auto_held_job struct held_job row = job_of(f, job);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    claim(f, &sets.items[0]);
    claim(f, &sets.items[1]);
    add_ended_run(f, sets.items[1].run_uuid, row.row.uuid, STATUS_SUCCESS, CAUSE_NONE);
    dispatch(&(struct listener){f, 2, &sets.items[1]});
    SETS(f, job, 1, "FAILURE/input_invalid SUCCESS FAILURE/input_invalid ");
    FIRES(f, job, "schedule FAILURE 0; ");
}

static void nothing_is_made_for_a_fire_that_was_ended(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.sets = 2});
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    claim(f, &sets.items[0]);
    WRITTEN(f, jobs_abort_fires(&f->jobs, job, e));
    dispatch(&(struct listener){f, 1, NULL});
    SETS(f, job, 1, "ABORTED/cancelled ABORTED/cancelled ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_cannot_be_made_fails),
        TEST(a_definition_that_cannot_be_read_fails),
        TEST(what_was_begun_before_is_found_again),
        TEST(what_has_ended_meanwhile_stays_so),
        TEST(nothing_is_made_for_a_fire_that_was_ended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
