#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/jobs/jobs_fixture.c"

static struct uuid uuid_of_id(struct fixture *f, int64_t id)
{
    auto_held_job struct held_job job = job_of(f, id);

    return uuid_of(job.row.uuid);
}

/* Runs the first set of the job's n-th fire, with a run in the engine's store; the set ends so many
 * days ago. Gives the run's uuid. */
static struct uuid run_one(struct fixture *f, int64_t job, uint32_t number, unsigned days_ago)
{
    struct uuid of = uuid_of_id(f, job);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, number).id);
    struct held_set *set = &sets.items[0];

    begin_set(f, set);
    add_ended_run(f, set->run_uuid, of.text, STATUS_SUCCESS, CAUSE_NONE);
    set->row.finished_time = clock_wall() - (msec)days_ago * DAY - MINUTE;
    end_set(f, set, STATUS_SUCCESS, CAUSE_NONE);
    return uuid_of(set->run_uuid);
}

static char *waste_of(struct fixture *f, int64_t job)
{
    struct uuid uuid = uuid_of_id(f, job);
    struct buf shown = {0};
    char **runs = NULL;

    OK(jobs_retention(&f->jobs, uuid.text, &runs, e));
    for (size_t i = 0; runs[i]; i++)
        buf_printf(&shown, "%s ", runs[i]);
    mem_free_texts(runs);
    return buf_take(&shown);
}

#define WASTE(f, job, expected)                                                                    \
    do {                                                                                           \
        auto_free char *waste_ = waste_of((f), (job));                                             \
        assert_string_equal(waste_ ? waste_ : "", expected);                                       \
    } while (0)

/* ---- retention ---- */

static void the_newest_runs_are_kept(void **state)
{
    struct fixture *f = *state;
    struct uuid runs[4];
    char expected[80];

    open_runs(f);
    int64_t job = add_job(f, (struct making){.policy = "{\"retention\": {\"runs\": 2}}"});
    for (unsigned i = 0; i < 4; i++) {
        fire_due(f, MONDAY + i * HOUR);
        runs[i] = run_one(f, job, i + 1, 0);
    }
    snprintf(expected, sizeof expected, "%s %s ", runs[1].text, runs[0].text);
    WASTE(f, job, expected);
}

static void runs_are_kept_for_days(void **state)
{
    struct fixture *f = *state;
    char expected[40];

    open_runs(f);
    int64_t job = add_job(f, (struct making){.policy = "{\"retention\": {\"days\": 3}}"});
    fire_due(f, MONDAY);
    struct uuid old = run_one(f, job, 1, 3);
    fire_due(f, MONDAY + HOUR);
    run_one(f, job, 2, 2);
    snprintf(expected, sizeof expected, "%s ", old.text);
    WASTE(f, job, expected);
}

static void without_a_bound_all_are_kept(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){0});
    fire_due(f, MONDAY);
    run_one(f, job, 1, 3000);
    WASTE(f, job, "");
}

static void what_goes_on_is_kept(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job =
        add_job(f, (struct making){.sets = 3, .policy = "{\"retention\": {\"runs\": 1}}"});
    struct uuid uuid = uuid_of_id(f, job);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (int i = 0; i < 2; i++) {
        begin_set(f, &sets.items[i]);
        add_ended_run(f, sets.items[i].run_uuid, uuid.text, STATUS_SUCCESS, CAUSE_NONE);
        end_set(f, &sets.items[i], STATUS_SUCCESS, CAUSE_NONE);
    }
    WASTE(f, job, "");
}

/* It has ended, and nobody here has heard of it: deleted now, it would never be heard of. */
static void a_run_that_is_not_taken_in_is_kept(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.policy = "{\"retention\": {\"runs\": 1}}"});
    struct uuid uuid = uuid_of_id(f, job);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    begin_set(f, &sets.items[0]);
    add_ended_run(f, sets.items[0].run_uuid, uuid.text, STATUS_SUCCESS, CAUSE_NONE);
    WRITTEN(f, jobs_abort_fires(&f->jobs, job, e));
    fire_due(f, MONDAY + HOUR);
    run_one(f, job, 2, 0);
    WASTE(f, job, "");
}

static void earlier_tries_go_with_the_set(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.policy = "{\"retention\": {\"runs\": 1}}"});
    struct uuid uuid = uuid_of_id(f, job);
    fire_due(f, MONDAY);
    add_ended_run(f, "first-try", uuid.text, STATUS_FAILURE, CAUSE_EXIT_CODE);
    run_one(f, job, 1, 0);
    WASTE(f, job, "first-try ");
}

static void only_who_has_a_bound_is_looked_at(void **state)
{
    struct fixture *f = *state;
    int64_t bound = add_job(f, (struct making){.policy = "{\"retention\": {\"days\": 1}}"});
    struct uuid uuid = uuid_of_id(f, bound);

    add_job(f, (struct making){0});
    OK(jobs_retain_all(&f->jobs, e));
    OK(jobs_retain_all(&f->jobs, e));
    assert_int_equal(f->jobs.to_retain.count, 1);
    assert_string_equal(f->jobs.to_retain.items[0].text, uuid.text);
}

/* ---- runs that somebody deleted ---- */

static void a_set_whose_run_is_gone_ends(void **state)
{
    struct fixture *f = *state;

    open_runs(f);
    int64_t job = add_job(f, (struct making){.sets = 3});
    struct uuid uuid = uuid_of_id(f, job);
    fire_due(f, MONDAY);
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, 1).id);
    for (int i = 0; i < 3; i++)
        begin_set(f, &sets.items[i]);
    int64_t run = add_ended_run(f, sets.items[0].run_uuid, uuid.text, STATUS_SUCCESS, CAUSE_NONE);
    add_ended_run(f, sets.items[1].run_uuid, uuid.text, STATUS_SUCCESS, CAUSE_NONE);
    sets.items[2].row.is_posted = false; /* it is yet to be made */
    WRITTEN(f, job_store_set_set(f->jobs.store, &sets.items[2].row, e));
    delete_run(f, run, sets.items[0].run_uuid);
    OK(jobs_end_lost(&f->jobs, e));
    SETS(f, job, 1, "ABORTED/cancelled STARTED STARTED ");
    auto_held_sets struct held_sets now = sets_of(f, fire_at(f, job, 1).id);
    assert_true(now.items[0].row.is_run_deleted);
    assert_true(now.items[0].row.finished_time > 0);
}

/* ---- snapshots ---- */

static bool has(struct fixture *f, const char *name)
{
    auto_free char *path = fs_join(f->jobs.directory, name);

    return fs_exists(path);
}

static void snapshots_of_nobody_are_removed(void **state)
{
    struct fixture *f = *state;
    struct uuid job = uuid_of_id(f, add_job(f, (struct making){0}));
    auto_free char *mine = mem_printf("%s/s/a.py", job.text);
    auto_free char *older = mem_printf("%s/older/a.py", job.text);
    auto_free char *half = mem_printf("%s/.making-1234/a.py", job.text);

    scratch_put(f->jobs.directory, mine, "x");
    scratch_put(f->jobs.directory, older, "x");
    scratch_put(f->jobs.directory, half, "x");
    scratch_put(f->jobs.directory, "22222222-0000-4000-8000-000000000000/s/a.py", "x");
    OK(jobs_clean_snapshots(&f->jobs, e));
    assert_true(has(f, mine));
    assert_false(has(f, older));
    assert_false(has(f, half));
    assert_false(has(f, "22222222-0000-4000-8000-000000000000"));
    OK(jobs_clean_snapshots(&f->jobs, e));
    assert_true(has(f, mine));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_runs_are_kept),           TEST(runs_are_kept_for_days),
        TEST(without_a_bound_all_are_kept),       TEST(what_goes_on_is_kept),
        TEST(a_run_that_is_not_taken_in_is_kept), TEST(earlier_tries_go_with_the_set),
        TEST(only_who_has_a_bound_is_looked_at),  TEST(a_set_whose_run_is_gone_ends),
        TEST(snapshots_of_nobody_are_removed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
