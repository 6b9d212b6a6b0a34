#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/runner/store/job_store_fixture.c"

/* ---- what is written can be read ---- */

static int copy_job(void *data, const struct job_row *job, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s '%s' %s %d %s %s %s %s|%s|%s|%s|%s|%s %u %llu %llu %lld %lld %lld",
               (long long)job->id, job->uuid, job->name, job_state_name(job->state),
               job->is_deleted, job->project, job->pipeline_path, job->pipeline_uuid,
               job->pipeline_name, job->parameters, job->schedule, job->policy, job->duplicate_of,
               job->snapshot, job->set_count, (unsigned long long)job->snapshot_files,
               (unsigned long long)job->snapshot_bytes, (long long)job->created_time,
               (long long)job->confirmed_time, (long long)job->finished_time);
    buf_printf(data, " %lld %llu;", (long long)job->next_due, (unsigned long long)job->dropped);
    return 0;
}

static int64_t add_with_key(struct fixture *f, const struct job_row *job, const char *key)
{
    int64_t id = 0;

    WRITTEN(f, job_store_add(f->store, job, STR("{\"a\"\0: 1}\xff"), key, "digest", &id, e));
    return id;
}

static void a_job_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    const char *expected = "1 11111111-0000-4000-8000-000000000000 'Nightly' PENDING 0 "
                           "/projects/one a.orchest p1 First|{\"grid\": {}}|"
                           "{\"cron\": \"0 3 * * *\"}|{}||s1 6 12 5000000000 1700000000001 "
                           "1700000000002 0 1700000000003 4;";

    assert_int_equal(add_with_key(f, &a_job, NULL), 1);
    reopen(f);
    LISTED(expected, job_store_job(f->store, a_job.uuid, copy_job, &got, e));
    LISTED(expected, job_store_job_by_id(f->store, 1, copy_job, &got, e));
    LISTED(expected, job_store_jobs(f->store, &(struct job_filter){0}, copy_job, &got, e));
    REFUSED(ERR_NOT_FOUND, job_store_job(f->store, "none", copy_job, NULL, e));
    REFUSED(ERR_NOT_FOUND, job_store_job_by_id(f->store, 2, copy_job, NULL, e));
}

static void everything_but_its_identity_can_be_changed(void **state)
{
    struct fixture *f = *state;
    struct job_row job = {
        .id = add_with_key(f, &a_job, NULL),
        .uuid = "another",
        .name = "n",
        .state = JOB_FAILURE,
        .is_deleted = true,
        .project = "/p",
        .pipeline_path = "",
        .pipeline_uuid = "u",
        .pipeline_name = "",
        .parameters = "{\"a\": 1}",
        .schedule = "{\"b\": 2}",
        .policy = "{\"c\": 3}",
        .duplicate_of = "d",
        .snapshot = "s2",
        .set_count = 7,
        .snapshot_files = 8,
        .snapshot_bytes = 9,
        .created_time = 99,
        .confirmed_time = 10,
        .finished_time = 11,
        .next_due = 12,
        .dropped = 13,
    };

    WRITTEN(f, job_store_set(f->store, &job, e));
    LISTED("1 11111111-0000-4000-8000-000000000000 'n' FAILURE 1 /p  u |{\"a\": 1}|{\"b\": 2}|"
           "{\"c\": 3}|d|s2 7 8 9 1700000000001 10 11 12 13;",
           job_store_job(f->store, a_job.uuid, copy_job, &got, e));
    job.id = 2;
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_set(f->store, &job, e));
}

static void no_uuid_is_there_twice(void **state)
{
    struct fixture *f = *state;
    int64_t id = 0;

    add_with_key(f, &a_job, NULL);
    NOT_WRITTEN(f, ERR_CONFLICT, job_store_add(f->store, &a_job, STR("{}"), NULL, NULL, &id, e));
    assert_int_equal(id, 0);
}

static void its_definition_comes_back_to_the_byte(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_with_key(f, &a_job, NULL);
    auto_buf struct buf got = {0};

    OK(job_store_definition(f->store, job, &got, e));
    assert_int_equal(got.len, 10);
    assert_memory_equal(got.data, "{\"a\"\0: 1}\xff", 10);
    WRITTEN(f, job_store_set_definition(f->store, job, STR("{}"), e));
    buf_reset(&got);
    OK(job_store_definition(f->store, job, &got, e));
    assert_string_equal(buf_text(&got), "{}");
    REFUSED(ERR_NOT_FOUND, job_store_definition(f->store, 9, &got, e));
    NOT_WRITTEN(f, ERR_NOT_FOUND, job_store_set_definition(f->store, 9, STR("{}"), e));
}

static void states_have_names(void **state)
{
    (void)state;
    for (int i = JOB_DRAFT; i <= JOB_ABORTED; i++) {
        enum job_state got = JOB_DRAFT;
        OK(job_state_parse(job_state_name((enum job_state)i), &got, e));
        assert_int_equal(got, i);
        assert_int_equal(job_state_is_final((enum job_state)i), i >= JOB_SUCCESS);
    }
    enum job_state untouched = JOB_PAUSED;
    REFUSED(ERR_INVALID, job_state_parse("paused", &untouched, e));
    assert_int_equal(untouched, JOB_PAUSED);
}

static void an_unknown_state_is_damage(void **state)
{
    struct fixture *f = *state;

    add_with_key(f, &a_job, NULL);
    raw(f->path, "UPDATE jobs SET state='RUNNING'");
    const char *text = REFUSED(ERR_IO, job_store_job(f->store, a_job.uuid, list_job, NULL, e));
    assert_non_null(strstr(text, "is damaged"));
    assert_non_null(strstr(text, "RUNNING"));
}

/* ---- requests ---- */

static void check_request(struct fixture *f, const char *key, const char *expected)
{
    struct uuid job = {0};
    char digest[65] = "";
    struct err e;

    assert_int_equal(job_store_request(f->store, key, digest, &job, &e), expected ? 1 : 0);
    assert_string_equal(job.text, expected ? expected : "");
    assert_string_equal(digest, expected ? "digest" : "");
}

static void requests_are_known_by_their_keys(void **state)
{
    struct fixture *f = *state;
    struct job_row job = a_job;
    int64_t id = 0;

    add_with_key(f, &a_job, "key");
    check_request(f, "key", a_job.uuid);
    check_request(f, "other", NULL);
    job.uuid = "22222222-0000-4000-8000-000000000000";
    OK(job_store_begin(f->store, e));
    REFUSED(ERR_CONFLICT, job_store_add(f->store, &job, STR("{}"), "key", "digest", &id, e));
    job_store_rollback(f->store);
    assert_int_equal(id, 0);
    REFUSED(ERR_NOT_FOUND, job_store_job(f->store, job.uuid, list_job, NULL, e));
}

static void the_key_of_a_deleted_job_is_free(void **state)
{
    struct fixture *f = *state;
    struct job_row job = a_job;

    job.id = add_with_key(f, &a_job, "key");
    job.is_deleted = true;
    WRITTEN(f, job_store_set(f->store, &job, e));
    check_request(f, "key", NULL);
    job.uuid = "22222222-0000-4000-8000-000000000000";
    add_with_key(f, &job, "key");
    check_request(f, "key", job.uuid);
}

/* ---- lists ---- */

static void jobs_are_filtered(void **state)
{
    struct fixture *f = *state;
    struct job_row job = a_job;

    for (int i = 0; i < 4; i++)
        add_job_in(f, i % 2 ? JOB_DRAFT : JOB_STARTED, 0);
    job.project = "/projects/two";
    job.state = JOB_SUCCESS;
    add_with_key(f, &job, NULL);
    job = a_job;
    job.id = 4;
    job.is_deleted = true;
    WRITTEN(f, job_store_set(f->store, &job, e));
    const struct {
        struct job_filter filter;
        const char *ids;
    } rows[] = {
        {{0}, "5 3 2 1 "},
        {{.limit = 2}, "5 3 "},
        {{.before = 3}, "2 1 "},
        {{.before = 3, .limit = 1}, "2 "},
        {{.project = "/projects/two"}, "5 "},
        {{.project = "/projects/one", .pipeline_uuid = "p1"}, "3 2 1 "},
        {{.pipeline_uuid = "p2"}, ""},
        {{.states = 1u << JOB_DRAFT}, "2 "},
        {{.states = 1u << JOB_DRAFT | 1u << JOB_SUCCESS}, "5 2 "},
        {{.project = "' OR 1=1 --"}, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
        LISTED(rows[i].ids, job_store_jobs(f->store, &rows[i].filter, list_job, &got, e));
}

static int enough(void *data, const struct job_row *job, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)job->id);
    return job->id == 2 ? 1 : 0;
}

static int refuses(void *data, const struct job_row *job, struct err *e)
{
    (void)data, (void)job;
    return err_set(e, ERR_LIMIT, "not this one");
}

static void a_reader_may_have_enough(void **state)
{
    struct fixture *f = *state;
    const struct job_filter all = {0};
    auto_buf struct buf got = {0};
    struct err ignored;

    for (int i = 0; i < 3; i++)
        add_job(f);
    assert_int_equal(job_store_jobs(f->store, &all, enough, &got, &ignored), 1);
    assert_string_equal(buf_text(&got), "3 2 ");
    REFUSED(ERR_LIMIT, job_store_jobs(f->store, &all, refuses, NULL, e));
    REFUSED(ERR_LIMIT, job_store_job_by_id(f->store, 1, refuses, NULL, e));
}

static void ids_are_never_given_twice(void **state)
{
    struct fixture *f = *state;

    add_job(f);
    int64_t last = add_job(f);
    WRITTEN(f, job_store_remove(f->store, last, e));
    reopen(f);
    assert_int_equal(add_job(f), last + 1);
}

/* ---- what is due ---- */

static void jobs_are_due_in_the_order_of_their_times(void **state)
{
    struct fixture *f = *state;
    msec due = -1;

    OK(job_store_next_due(f->store, 0, &due, e));
    assert_int_equal(due, 0);
    add_job_in(f, JOB_STARTED, 300);
    add_job_in(f, JOB_PENDING, 100);
    add_job_in(f, JOB_STARTED, 200);
    add_job_in(f, JOB_STARTED, 0);
    add_job_in(f, JOB_DRAFT, 50);
    add_job_in(f, JOB_PAUSED, 50);
    add_job_in(f, JOB_SUCCESS, 50);
    struct job_row deleted = a_job;
    deleted.id = add_job_in(f, JOB_STARTED, 50);
    deleted.is_deleted = true;
    WRITTEN(f, job_store_set(f->store, &deleted, e));
    LISTED("2 3 ", job_store_due(f->store, 200, list_job, &got, e));
    LISTED("2 3 1 ", job_store_due(f->store, 1000, list_job, &got, e));
    LISTED("", job_store_due(f->store, 99, list_job, &got, e));
    OK(job_store_next_due(f->store, 0, &due, e));
    assert_int_equal(due, 100);
    OK(job_store_next_due(f->store, 100, &due, e));
    assert_int_equal(due, 200);
    OK(job_store_next_due(f->store, 300, &due, e));
    assert_int_equal(due, 0);
}

/* ---- the end of jobs ---- */

static void deleted_jobs_are_known_until_they_are_removed(void **state)
{
    struct fixture *f = *state;
    struct job_row job = a_job;

    add_job(f);
    job.id = add_job(f);
    job.is_deleted = true;
    WRITTEN(f, job_store_set(f->store, &job, e));
    LISTED("2 ", job_store_deleted(f->store, list_job, &got, e));
    LISTED("2 ", job_store_job(f->store, "job-2", list_job, &got, e));
    WRITTEN(f, job_store_remove(f->store, job.id, e));
    WRITTEN(f, job_store_remove(f->store, job.id, e)); /* twice is fine */
    LISTED("", job_store_deleted(f->store, list_job, &got, e));
    REFUSED(ERR_NOT_FOUND, job_store_job(f->store, "job-2", list_job, NULL, e));
    LISTED("1 ", job_store_jobs(f->store, &(struct job_filter){0}, list_job, &got, e));
}

static unsigned rows_in(const struct fixture *f, const char *table)
{
    auto_free char *sql = mem_printf("SELECT count(*) FROM %s", table);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    unsigned count = (unsigned)sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

static void nothing_is_left_of_a_removed_job(void **state)
{
    static const char *const tables[] = {"jobs",  "definitions", "requests",
                                         "fires", "sets",        "metrics"};
    const struct metric_row metric = {.step_uuid = "s", .name = "n", .value = "1"};
    struct fixture *f = *state;
    struct job_row job = a_job;

    for (int i = 0; i < 2; i++) {
        char uuid[8], key[8];
        snprintf(uuid, sizeof uuid, "j%d", i);
        snprintf(key, sizeof key, "k%d", i);
        job.uuid = uuid;
        job.id = add_with_key(f, &job, key);
        int64_t set = add_set(f, job.id, add_fire(f, job.id, FIRE_OPEN), 0);
        WRITTEN(f, job_store_add_metric(f->store, set, &metric, e));
    }
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++)
        assert_int_equal(rows_in(f, tables[i]), 2);
    WRITTEN(f, job_store_remove(f->store, 1, e));
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++)
        assert_int_equal(rows_in(f, tables[i]), 1);
    LISTED("2 ", job_store_hungry(f->store, list_job, &got, e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_comes_back_as_it_was),
        TEST(everything_but_its_identity_can_be_changed),
        TEST(no_uuid_is_there_twice),
        TEST(its_definition_comes_back_to_the_byte),
        cmocka_unit_test(states_have_names),
        TEST(an_unknown_state_is_damage),
        TEST(requests_are_known_by_their_keys),
        TEST(the_key_of_a_deleted_job_is_free),
        TEST(jobs_are_filtered),
        TEST(a_reader_may_have_enough),
        TEST(ids_are_never_given_twice),
        TEST(jobs_are_due_in_the_order_of_their_times),
        TEST(deleted_jobs_are_known_until_they_are_removed),
        TEST(nothing_is_left_of_a_removed_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
