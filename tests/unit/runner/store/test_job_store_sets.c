#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/store/job_store_fixture.c"

/* ---- what is written can be read ---- */

static int copy_set(void *data, const struct set_row *set, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %lld %lld #%u %u %s '%s' %d %u %u %lld %lld %lld '%s' %s %d;",
               (long long)set->id, (long long)set->job, (long long)set->fire, set->fire_number,
               set->number, status_name(set->status), cause_name(set->cause), set->is_posted,
               set->tries_used, set->tries_lost, (long long)set->not_before,
               (long long)set->started_time, (long long)set->finished_time, set->run_uuid,
               set->parameters, set->is_run_deleted);
    return 0;
}

static void a_set_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), id = 0;

    add_fire(f, job, FIRE_OPEN);
    struct set_row set = set_of(job, add_fire(f, job, FIRE_OPEN), 17);
    set.parameters = "{\"s\": {\"x\": 0.1}}";
    set.not_before = 1700000000000;
    WRITTEN(f, job_store_add_set(f->store, &set, &id, e));
    reopen(f);
    LISTED("1 1 2 #2 17 PENDING '' 0 0 0 1700000000000 0 0 '' {\"s\": {\"x\": 0.1}} 0;",
           job_store_sets(f->store, &(struct set_filter){0}, copy_set, &got, e));
    const struct set_row changed = {
        .id = id,
        .job = 8,
        .fire = 8,
        .number = 8,
        .status = STATUS_FAILURE,
        .cause = CAUSE_TIMEOUT,
        .is_posted = true,
        .tries_used = 2,
        .tries_lost = 3,
        .not_before = 4,
        .started_time = 5,
        .finished_time = 6,
        .run_uuid = "r",
        .parameters = "no",
        .is_run_deleted = true,
    };
    WRITTEN(f, job_store_set_set(f->store, &changed, e));
    LISTED("1 1 2 #2 17 FAILURE 'timeout' 1 2 3 4 5 6 'r' {\"s\": {\"x\": 0.1}} 1;",
           job_store_set_of_run(f->store, "r", copy_set, &got, e));
}

static void sets_of_nothing_are_refused(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f), id = 0;
    struct set_row set = set_of(job, 1, 0);

    NOT_WRITTEN(f, ERR_CONFLICT, job_store_add_set(f->store, &set, &id, e)); /* no such fire */
    set.fire = add_fire(f, other, FIRE_OPEN);
    NOT_WRITTEN(f, ERR_CONFLICT, job_store_add_set(f->store, &set, &id, e)); /* of another job */
    assert_int_equal(id, 0);
    set.id = 1;
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_set_set(f->store, &set, e));
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_abort_pending(f->store, 9, CAUSE_CANCELLED, 1, e));
}

static void a_set_is_found_by_its_run(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), fire = add_fire(f, job, FIRE_OPEN);
    int64_t first = add_set(f, job, fire, 0), second = add_set(f, job, fire, 0);

    set_set(f, first, STATUS_STARTED, "r1");
    set_set(f, second, STATUS_STARTED, "r2");
    LISTED("2 ", job_store_set_of_run(f->store, "r2", list_set, &got, e));
    set_set(f, second, STATUS_STARTED, "r3"); /* the next try */
    LISTED("2 ", job_store_set_of_run(f->store, "r3", list_set, &got, e));
    REFUSED(ERR_NOT_FOUND, job_store_set_of_run(f->store, "r2", list_set, NULL, e));
    REFUSED(ERR_NOT_FOUND, job_store_set_of_run(f->store, "", list_set, NULL, e));
    struct set_row twice = {.id = second, .status = STATUS_STARTED, .run_uuid = "r1"};
    NOT_WRITTEN(f, ERR_CONFLICT, job_store_set_set(f->store, &twice, e));
}

static void sets_are_filtered(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f);
    int64_t fire = add_fire(f, job, FIRE_OPEN), second = add_fire(f, job, FIRE_OPEN);

    for (int i = 0; i < 3; i++)
        add_set(f, job, fire, 0); /* 1 2 3 */
    add_set(f, job, second, 0);   /* 4 */
    add_set(f, other, add_fire(f, other, FIRE_OPEN), 0);
    set_set(f, 2, STATUS_STARTED, "r2");
    set_set(f, 3, STATUS_SUCCESS, "r3");
    set_set(f, 5, STATUS_STARTED, "r5");
    const unsigned started = 1u << STATUS_STARTED;
    const struct {
        struct set_filter filter;
        const char *ids;
    } rows[] = {
        {{0}, "1 2 3 4 5 "},
        {{.job = job}, "1 2 3 4 "},
        {{.fire = fire}, "1 2 3 "},
        {{.job = job, .fire = second}, "4 "},
        {{.job = other, .fire = second}, ""},
        {{.job = job, .after = 1, .limit = 2}, "2 3 "},
        {{.statuses = started}, "2 5 "},
        {{.job = job, .statuses = started}, "2 "},
        {{.fire = fire, .statuses = 1u << STATUS_PENDING | 1u << STATUS_SUCCESS}, "1 3 "},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        LISTED(rows[i].ids, job_store_sets(f->store, &rows[i].filter, list_set, &got, e));
}

/* ---- counts ---- */

static int copy_counts(void *data, const struct fire_row *fire, struct err *e)
{
    (void)e;
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        buf_printf(data, "%u ", fire->counts[i]);
    return 0;
}

static void sets_are_counted_by_their_status(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    int64_t fire = add_fire(f, job, FIRE_OPEN), other = add_fire(f, job, FIRE_OPEN);

    for (int i = 0; i < 5; i++)
        add_set(f, job, fire, 0);
    add_set(f, job, other, 0);
    LISTED("5 0 0 0 0 ", job_store_fire(f->store, fire, copy_counts, &got, e));
    set_set(f, 1, STATUS_STARTED, "r1");
    set_set(f, 1, STATUS_STARTED, "r2"); /* the same again */
    set_set(f, 2, STATUS_SUCCESS, "r3");
    set_set(f, 3, STATUS_FAILURE, "r4");
    LISTED("2 1 1 1 0 ", job_store_fire(f->store, fire, copy_counts, &got, e));
    set_set(f, 1, STATUS_PENDING, "r2"); /* is tried again */
    LISTED("3 0 1 1 0 ", job_store_fire(f->store, fire, copy_counts, &got, e));
    WRITTEN(f, job_store_abort_pending(f->store, fire, CAUSE_CANCELLED, 9, e));
    LISTED("0 0 1 1 3 ", job_store_fire(f->store, fire, copy_counts, &got, e));
    WRITTEN(f, job_store_abort_pending(f->store, fire, CAUSE_CANCELLED, 10, e)); /* nothing */
    LISTED("0 0 1 1 3 ", job_store_fire(f->store, fire, copy_counts, &got, e));
    LISTED("1 0 0 0 0 ", job_store_fire(f->store, other, copy_counts, &got, e));
    LISTED("5 1 1 #1 0 ABORTED 'cancelled' 0 0 0 0 0 9 '' {} 0;",
           job_store_sets(f->store, &(struct set_filter){.fire = fire, .after = 4}, copy_set, &got,
                          e));
    OK(job_store_begin(f->store, e));
    struct set_row set = set_of(job, fire, 0);
    int64_t id;
    OK(job_store_add_set(f->store, &set, &id, e));
    job_store_rollback(f->store);
    LISTED("0 0 1 1 3 ", job_store_fire(f->store, fire, copy_counts, &got, e));
}

static void check_started(struct fixture *f, int64_t job, uint32_t expected)
{
    uint32_t count = 99;

    OK(job_store_started(f->store, job, &count, e));
    assert_int_equal(count, expected);
}

static void what_is_going_on_is_counted(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f);
    int64_t fire = add_fire(f, job, FIRE_OPEN);

    check_started(f, 0, 0);
    add_set(f, job, fire, 0);
    add_set(f, job, fire, 0);
    add_set(f, other, add_fire(f, other, FIRE_OPEN), 0);
    set_set(f, 1, STATUS_STARTED, "r1");
    set_set(f, 3, STATUS_STARTED, "r3");
    check_started(f, 0, 2);
    check_started(f, job, 1);
    set_set(f, 1, STATUS_FAILURE, "r1");
    check_started(f, job, 0);
    check_started(f, 0, 1);
}

/* ---- what is to be begun ---- */

static void check_next(struct fixture *f, int64_t job, msec now, const char *expected, msec wake)
{
    auto_buf struct buf got = {0};
    struct err e;
    msec at = -1;
    int found = job_store_next_set(f->store, job, now, list_set, &got, &at, &e);

    assert_int_equal(found, *expected ? 1 : 0);
    assert_string_equal(buf_text(&got), expected);
    assert_int_equal(at, wake);
}

static void sets_are_begun_in_the_order_of_ids(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f);
    int64_t fire = add_fire(f, job, FIRE_OPEN);

    check_next(f, job, 100, "", 0);
    add_set(f, other, add_fire(f, other, FIRE_OPEN), 0);
    for (int i = 0; i < 3; i++)
        add_set(f, job, fire, 50); /* 2 3 4 */
    check_next(f, job, 49, "", 50);
    check_next(f, job, 50, "2 ", 0);
    set_set(f, 2, STATUS_STARTED, "r2");
    check_next(f, job, 100, "3 ", 0);
    set_set(f, 3, STATUS_STARTED, "r3");
    set_set(f, 4, STATUS_STARTED, "r4");
    check_next(f, job, 100, "", 0);
}

static void retry_at(struct fixture *f, int64_t id, msec not_before)
{
    const struct set_row set = {.id = id,
                                .status = STATUS_PENDING,
                                .tries_used = 1,
                                .not_before = not_before,
                                .run_uuid = ""};

    WRITTEN(f, job_store_set_set(f->store, &set, e));
}

static void one_that_is_tried_again_goes_first_when_its_time_has_come(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), fire = add_fire(f, job, FIRE_OPEN);

    for (int i = 0; i < 4; i++)
        add_set(f, job, fire, 10);
    retry_at(f, 1, 200);
    retry_at(f, 2, 150);
    check_next(f, job, 149, "3 ", 0);
    check_next(f, job, 150, "2 ", 0);
    check_next(f, job, 300, "2 ", 0);
    set_set(f, 2, STATUS_STARTED, "r2");
    check_next(f, job, 300, "1 ", 0);
    set_set(f, 3, STATUS_STARTED, "r3");
    set_set(f, 4, STATUS_STARTED, "r4");
    check_next(f, job, 20, "", 200);
}

static void older_fires_go_first(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    int64_t first = add_fire(f, job, FIRE_OPEN), second = add_fire(f, job, FIRE_OPEN);

    add_set(f, job, second, 0); /* 1 */
    add_set(f, job, first, 0);  /* 2 */
    add_set(f, job, first, 90); /* 3 */
    check_next(f, job, 10, "2 ", 0);
    set_set(f, 2, STATUS_STARTED, "r2");
    check_next(f, job, 10, "1 ", 0); /* who waits holds nobody up */
    set_set(f, 1, STATUS_STARTED, "r1");
    check_next(f, job, 10, "", 90);
}

static void fires_that_wait_or_are_stopped_begin_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    int64_t fire = add_fire(f, job, FIRE_WAITING);

    add_set(f, job, fire, 0);
    check_next(f, job, 10, "", 0);
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_set_fire(f->store, fire, FIRE_OPEN, false, 0, e));
    check_next(f, job, 10, "1 ", 0);
    LISTED("1 ", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_set_fire(f->store, fire, FIRE_OPEN, true, 0, e));
    check_next(f, job, 10, "", 0);
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_set_fire(f->store, fire, FIRE_ABORTED, false, 9, e));
    check_next(f, job, 10, "", 0);
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
}

static int refuses(void *data, const struct set_row *set, struct err *e)
{
    (void)data, (void)set;
    return err_set(e, ERR_LIMIT, "not this one");
}

static void an_error_of_the_callback_is_given_on(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    msec wake;

    add_set(f, job, add_fire(f, job, FIRE_OPEN), 0);
    REFUSED(ERR_LIMIT, job_store_next_set(f->store, job, 1, refuses, NULL, &wake, e));
    REFUSED(ERR_LIMIT, job_store_sets(f->store, &(struct set_filter){0}, refuses, NULL, e));
}

static void jobs_are_hungry_until_their_sets_are_begun(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    int64_t first = add_fire(f, job, FIRE_OPEN), second = add_fire(f, job, FIRE_OPEN);

    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    add_set(f, job, first, 500); /* not due yet, but it will be */
    add_set(f, job, second, 0);
    LISTED("1 ", job_store_hungry(f->store, list_job, &got, e));
    set_set(f, 1, STATUS_STARTED, "r1");
    LISTED("1 ", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_abort_pending(f->store, second, CAUSE_CANCELLED, 9, e));
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    set_set(f, 1, STATUS_PENDING, "");
    LISTED("1 ", job_store_hungry(f->store, list_job, &got, e));
    struct job_row row = a_job;
    row.id = job;
    row.state = JOB_PAUSED;
    WRITTEN(f, job_store_set(f->store, &row, e));
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    row.state = JOB_STARTED;
    row.is_deleted = true;
    WRITTEN(f, job_store_set(f->store, &row, e));
    LISTED("", job_store_hungry(f->store, list_job, &got, e));
    row.is_deleted = false;
    WRITTEN(f, job_store_set(f->store, &row, e));
    LISTED("1 ", job_store_hungry(f->store, list_job, &got, e));
}

static void who_was_served_longest_ago_is_next(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        int64_t job = add_job(f);
        add_set(f, job, add_fire(f, job, FIRE_OPEN), 0);
    }
    LISTED("1 2 3 ", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_served(f->store, 1, 20, e));
    WRITTEN(f, job_store_served(f->store, 3, 10, e));
    LISTED("2 3 1 ", job_store_hungry(f->store, list_job, &got, e));
    WRITTEN(f, job_store_served(f->store, 2, 30, e));
    LISTED("3 1 2 ", job_store_hungry(f->store, list_job, &got, e));
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_served(f->store, 9, 1, e));
}

/* ---- retention ---- */

static void retention_is_about_ended_runs_that_are_there(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f);
    int64_t ended = add_fire(f, job, FIRE_OPEN), open = add_fire(f, job, FIRE_OPEN);

    for (int i = 0; i < 4; i++)
        add_set(f, job, ended, 0); /* 1 2 3 4 */
    add_set(f, job, open, 0);      /* 5 */
    int64_t elsewhere = add_fire(f, other, FIRE_OPEN);
    add_set(f, other, elsewhere, 0); /* 6 */
    set_set(f, 1, STATUS_SUCCESS, "r1");
    set_set(f, 2, STATUS_FAILURE, "r2");
    set_set(f, 3, STATUS_ABORTED, ""); /* was never begun */
    set_set(f, 5, STATUS_SUCCESS, "r5");
    set_set(f, 6, STATUS_SUCCESS, "r6");
    LISTED("", job_store_kept_sets(f->store, job, list_set, &got, e));
    WRITTEN(f, job_store_set_fire(f->store, ended, FIRE_FAILURE, false, 9, e));
    WRITTEN(f, job_store_set_fire(f->store, elsewhere, FIRE_SUCCESS, false, 9, e));
    LISTED("2 1 ", job_store_kept_sets(f->store, job, list_set, &got, e));
    struct set_row removed = {
        .id = 2, .status = STATUS_FAILURE, .run_uuid = "r2", .is_run_deleted = true};
    WRITTEN(f, job_store_set_set(f->store, &removed, e));
    LISTED("1 ", job_store_kept_sets(f->store, job, list_set, &got, e));
}

/* ---- metrics ---- */

static int copy_metric(void *data, int64_t set, const struct metric_row *metric, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s %s=%s%s;", (long long)set, metric->step_uuid, metric->name,
               metric->value, metric->is_param ? " (param)" : "");
    return 0;
}

static void add_metrics(struct fixture *f, int64_t set)
{
    static const struct metric_row metrics[] = {
        {.step_uuid = "t", .name = "loss", .value = "0.1"},
        {.step_uuid = "s", .name = "rows", .value = "150", .is_param = true},
        {.step_uuid = "s", .name = "rows", .value = "[1, 2]"},
        {.step_uuid = "s", .name = "f1", .value = "0.5"},
        {.step_uuid = "t", .name = "loss", .value = "0.2"}, /* replaces the first */
    };

    OK(job_store_begin(f->store, e));
    for (unsigned i = 0; i < sizeof metrics / sizeof *metrics; i++)
        OK(job_store_add_metric(f->store, set, &metrics[i], e));
    OK(job_store_commit(f->store, STORE_LAZY, e));
}

#define METRICS(set)                                                                               \
    set " s f1=0.5;" set " s rows=[1, 2];" set " s rows=150 (param);" set " t loss=0.2;"

static void metrics_come_in_the_order_of_sets(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f), other = add_job(f);
    int64_t first = add_fire(f, job, FIRE_OPEN), second = add_fire(f, job, FIRE_OPEN);

    add_set(f, job, first, 0);
    add_set(f, job, second, 0);
    add_set(f, job, first, 0);
    add_set(f, other, add_fire(f, other, FIRE_OPEN), 0);
    for (int64_t set = 4; set > 0; set--)
        add_metrics(f, set);
    LISTED(METRICS("1") METRICS("3"),
           job_store_metrics(f->store, job, first, copy_metric, &got, e));
    LISTED(METRICS("1") METRICS("2") METRICS("3"),
           job_store_metrics(f->store, job, 0, copy_metric, &got, e));
    WRITTEN(f, job_store_clear_metrics(f->store, 1, e));
    LISTED(METRICS("3"), job_store_metrics(f->store, job, first, copy_metric, &got, e));
    LISTED(METRICS("4"), job_store_metrics(f->store, other, 0, copy_metric, &got, e));
}

static void an_unknown_status_is_damage(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);
    struct set_row set = {.id = add_set(f, job, add_fire(f, job, FIRE_OPEN), 0), .run_uuid = ""};

    raw(f->path, "UPDATE sets SET status='LOST'");
    const char *text =
        REFUSED(ERR_IO, job_store_sets(f->store, &(struct set_filter){0}, list_set, NULL, e));
    assert_non_null(strstr(text, "is damaged"));
    NOT_WRITTEN(f, ERR_IO, job_store_set_set(f->store, &set, e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_comes_back_as_it_was),
        TEST(sets_of_nothing_are_refused),
        TEST(a_set_is_found_by_its_run),
        TEST(sets_are_filtered),
        TEST(sets_are_counted_by_their_status),
        TEST(what_is_going_on_is_counted),
        TEST(sets_are_begun_in_the_order_of_ids),
        TEST(one_that_is_tried_again_goes_first_when_its_time_has_come),
        TEST(older_fires_go_first),
        TEST(fires_that_wait_or_are_stopped_begin_nothing),
        TEST(an_error_of_the_callback_is_given_on),
        TEST(jobs_are_hungry_until_their_sets_are_begun),
        TEST(who_was_served_longest_ago_is_next),
        TEST(retention_is_about_ended_runs_that_are_there),
        TEST(metrics_come_in_the_order_of_sets),
        TEST(an_unknown_status_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
