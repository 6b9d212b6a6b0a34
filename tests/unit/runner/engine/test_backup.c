#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/backup.h"
#include "runner/store/job_store.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"

#include <pthread.h>
#include <sys/stat.h>

#define RUN "11111111-0000-4000-8000-000000000000"

struct fixture {
    char *root;
    char *state, *copy;
    struct store *store; /* the engine's, that goes on */
};

static void add_run(struct store *store, const char *uuid)
{
    struct store_run run = {
        .uuid = uuid,
        .project = "/projects/one",
        .pipeline_path = "pipeline.json",
        .pipeline_uuid = "p1",
        .pipeline_name = "First",
        .run_type = "full",
        .uuids = "[]",
        .parameters = "{}",
        .images = "{}",
        .options = "{}",
        .job_uuid = "",
        .rerun_of = "",
        .created_time = 1700000000123,
    };
    struct store_frozen frozen = {.definition = STR("{}"), .environments = "[]"};
    int64_t id;
    struct err e;

    if (store_begin(store, &e) < 0 || store_add_run(store, &run, &frozen, &id, &e) < 0 ||
        store_commit(store, STORE_LAZY, &e) < 0)
        fail_msg("%s", e.text);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    struct err e;

    f->root = scratch_new();
    f->state = fs_join(f->root, "state");
    f->copy = fs_join(f->root, "copy");
    auto_free char *database = fs_join(f->state, "segue.db");
    assert_int_equal(fs_mkdirs(f->state, 0700, &e), 0);
    if (store_open(database, STORE_WRITE, &f->store, &e) < 0)
        fail_msg("%s", e.text);
    add_run(f->store, RUN);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    store_close(f->store);
    scratch_free(f->root);
    free(f->state);
    free(f->copy);
    free(f);
    return 0;
}

static void make(const struct fixture *f)
{
    struct err e;

    if (backup_make(f->state, f->copy, &e) < 0)
        fail_msg("%s", e.text);
}

static bool is_there(const char *directory, const char *name)
{
    auto_free char *path = fs_join(directory, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void check_text(const char *directory, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(directory, name);

    assert_string_equal(text, expected);
}

static int count(void *data, const struct store_run *run, struct err *e)
{
    (void)run, (void)e;
    ++*(int *)data;
    return 0;
}

static int runs_in(const char *directory)
{
    auto_free char *path = fs_join(directory, "segue.db");
    auto_store struct store *store = NULL;
    struct store_filter all = {0};
    int found = 0;
    struct err e;

    if (store_open(path, STORE_WRITE, &store, &e) < 0 ||
        store_runs(store, &all, count, &found, &e) < 0)
        fail_msg("%s", e.text);
    return found;
}

static void it_has_what_a_service_needs(void **state)
{
    struct fixture *f = *state;
    auto_free char *link = fs_join(f->state, "latest/key/step");

    scratch_put(f->state, "id", "the same");
    scratch_put(f->state, "data/shared.csv", "1,2");
    scratch_put(f->state, "runs/" RUN "/io/step/index.json", "[]");
    scratch_put(f->state, "latest/key/other", "");
    assert_int_equal(symlink("../../runs/" RUN "/io/step", link), 0);
    make(f);
    assert_int_equal(runs_in(f->copy), 1);
    check_text(f->copy, "id", "the same");
    check_text(f->copy, "data/shared.csv", "1,2");
    check_text(f->copy, "runs/" RUN "/io/step/index.json", "[]");
    struct err e;
    auto_free char *original = fs_join(f->state, "runs");
    assert_int_equal(fs_remove_tree(original, &e), 0);
    check_text(f->copy, "latest/key/step/index.json", "[]"); /* leads into the copy */
}

static void it_has_nothing_of_what_belongs_to_one_service(void **state)
{
    struct fixture *f = *state;

    scratch_put(f->state, "token", "secret");
    scratch_put(f->state, "lock", "");
    scratch_put(f->state, "k/abcdefghij/attempt", "");
    scratch_put(f->state, "cli/12345678/segue.db", "");
    scratch_put(f->state, "sdk/12345678/segue.py", "");
    make(f);
    assert_false(is_there(f->copy, "token"));
    assert_false(is_there(f->copy, "lock"));
    assert_false(is_there(f->copy, "k"));
    assert_false(is_there(f->copy, "cli"));
    assert_false(is_there(f->copy, "sdk"));
    assert_false(is_there(f->copy, "segue.db.part"));
}

static void only_the_owner_may_read_it(void **state)
{
    struct fixture *f = *state;
    auto_free char *database = fs_join(f->copy, "segue.db");
    struct stat st;

    make(f);
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(stat(database, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
}

/* With a transaction open at that. */
static void the_service_may_go_on(void **state)
{
    struct fixture *f = *state;
    struct err e;

    assert_int_equal(store_begin(f->store, &e), 0);
    make(f);
    store_rollback(f->store);
    add_run(f->store, "22222222-0000-4000-8000-000000000000");
    assert_int_equal(runs_in(f->copy), 1);
}

static void an_empty_directory_is_taken(void **state)
{
    struct fixture *f = *state;
    struct err e;

    assert_int_equal(fs_mkdirs(f->copy, 0700, &e), 0);
    make(f);
    assert_int_equal(runs_in(f->copy), 1);
}

static void refused(const char *state_dir, const char *target, enum err_code code, const char *says)
{
    struct err e;

    assert_int_equal(backup_make(state_dir, target, &e), -1);
    if (e.code != code || !strstr(e.text, says))
        fail_msg("%s: %s", err_name(e.code), e.text);
}

static void nothing_is_written_over(void **state)
{
    struct fixture *f = *state;

    scratch_put(f->copy, ".hidden", "precious");
    refused(f->state, f->copy, ERR_CONFLICT, "is not empty");
    check_text(f->copy, ".hidden", "precious");
    assert_false(is_there(f->copy, "segue.db"));
}

static void a_copy_in_the_original_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *runs = fs_join(f->state, "runs/copy");
    auto_free char *beside = fs_join(f->root, "state-copy"); /* only its name begins so */

    refused(f->state, runs, ERR_INVALID, "itself");
    assert_false(is_there(f->state, "runs/copy"));
    struct err e;
    assert_int_equal(backup_make(f->state, beside, &e), 0);
}

static void a_directory_without_a_state_is_refused(void **state)
{
    struct fixture *f = *state;
    auto_free char *nothing = fs_join(f->root, "nothing");

    refused(nothing, f->copy, ERR_NOT_FOUND, nothing);
    assert_false(is_there(f->root, "copy"));
    assert_false(is_there(f->root, "nothing"));
}

static void a_copy_that_was_cut_short_has_no_database(void **state)
{
    enum { BIG = 1 << 20 };
    struct fixture *f = *state;
    auto_free char *text = mem_alloc(BIG + 1);
    struct err e;

    memset(text, 'x', BIG);
    text[BIG] = 0;
    scratch_put(f->state, "runs/" RUN "/big", text);
    assert_int_equal(fs_mkdirs(f->copy, 0700, &e), 0);
    if (!scratch_small_disk(f->copy, 512 * 1024))
        skip();
    refused(f->state, f->copy, ERR_NO_SPACE, "big");
    assert_false(is_there(f->copy, "segue.db"));
    umount2(f->copy, MNT_DETACH);
}

/* ---- jobs ---- */

#define JOB  "22222222-0000-4000-8000-000000000000"
#define LOST "33333333-0000-4000-8000-000000000000"

static void okay(int result, const struct err *e)
{
    if (result != 0)
        fail_msg("%s", e->text);
}

static struct job_store *open_jobs(const char *directory)
{
    auto_free char *path = fs_join(directory, "jobs.db");
    struct job_store *jobs = NULL;
    struct err e;

    okay(job_store_open(path, STORE_WRITE, &jobs, &e), &e);
    return jobs;
}

static struct job_row job_with(const char *snapshot)
{
    return (struct job_row){.id = 1,
                            .uuid = JOB,
                            .name = "n",
                            .state = JOB_STARTED,
                            .project = "/projects/one",
                            .pipeline_path = "a.orchest",
                            .pipeline_uuid = "p1",
                            .pipeline_name = "First",
                            .parameters = "{}",
                            .schedule = "{}",
                            .policy = "{}",
                            .duplicate_of = "",
                            .snapshot = snapshot};
}

/* A job with one fire. */
static void add_job(struct job_store *jobs, const char *snapshot)
{
    struct job_row job = job_with(snapshot);
    struct fire_row fire = {.kind = FIRE_TRIGGER, .state = FIRE_OPEN};
    int64_t id;
    struct err e;

    okay(job_store_begin(jobs, &e), &e);
    okay(job_store_add(jobs, &job, STR("{}"), NULL, NULL, &fire.job, &e), &e);
    okay(job_store_add_fire(jobs, &fire, &id, &e), &e);
    okay(job_store_commit(jobs, STORE_LAZY, &e), &e);
}

static void set_job(struct job_store *jobs, const struct job_row *job)
{
    struct err e;

    okay(job_store_begin(jobs, &e), &e);
    okay(job_store_set(jobs, job, &e), &e);
    okay(job_store_commit(jobs, STORE_LAZY, &e), &e);
}

static void add_set(struct job_store *jobs, const char *run)
{
    struct set_row set = {.job = 1,
                          .fire = 1,
                          .status = STATUS_STARTED,
                          .is_posted = true,
                          .run_uuid = run,
                          .parameters = "{}"};
    int64_t id;
    struct err e;

    okay(job_store_begin(jobs, &e), &e);
    okay(job_store_add_set(jobs, &set, &id, &e), &e);
    okay(job_store_commit(jobs, STORE_LAZY, &e), &e);
}

static void set_cursor(struct job_store *jobs, int64_t event)
{
    struct err e;

    okay(job_store_begin(jobs, &e), &e);
    okay(job_store_set_cursor(jobs, event, &e), &e);
    okay(job_store_commit(jobs, STORE_LAZY, &e), &e);
}

static void add_event(struct store *store)
{
    const struct run_event event = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = 1};
    int64_t id;
    struct err e;

    okay(store_begin(store, &e), &e);
    okay(store_add_event(store, 1, &event, NULL, &id, &e), &e);
    okay(store_commit(store, STORE_LAZY, &e), &e);
}

static int put_set(void *data, const struct set_row *set, struct err *e)
{
    (void)e;
    buf_printf(data, "%s %s %d;", set->run_uuid, status_name(set->status), set->is_posted);
    return 0;
}

/* What the directory's jobs say of sets and of the cursor. */
static void check_jobs(const char *directory, const char *expected_sets, int64_t expected_cursor)
{
    auto_job_store struct job_store *jobs = open_jobs(directory);
    auto_buf struct buf got = {0};
    int64_t cursor;
    struct err e;

    okay(job_store_sets(jobs, &(struct set_filter){0}, put_set, &got, &e), &e);
    assert_string_equal(buf_text(&got), expected_sets);
    okay(job_store_cursor(jobs, &cursor, &e), &e);
    assert_int_equal(cursor, expected_cursor);
}

static void jobs_come_with_their_projects(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);
    auto_free char *sub = fs_join(f->state, "jobs/" JOB "/s1/sub");
    auto_free char *copied = fs_join(f->copy, "jobs/" JOB "/s1/sub");
    struct stat st;

    add_job(jobs, "s1");
    scratch_put(f->state, "jobs/" JOB "/s1/sub/a.ipynb", "{}");
    scratch_put(f->state, "jobs/" JOB "/.making-s2/a.ipynb", "{}");
    assert_int_equal(chmod(sub, 0555), 0);
    make(f);
    check_text(f->copy, "jobs/" JOB "/s1/sub/a.ipynb", "{}");
    assert_int_equal(stat(copied, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0555);
    assert_false(is_there(f->copy, "jobs/" JOB "/.making-s2"));
    check_jobs(f->copy, "", 0);
    assert_int_equal(chmod(sub, 0755), 0);
    assert_int_equal(chmod(copied, 0755), 0);
}

static void nothing_but_the_databases_lies_beside_them(void **state)
{
    static const char *const rests[] = {"segue.db-wal",      "segue.db-shm", "segue.db.part-wal",
                                        "segue.db.part-shm", "jobs.db-wal",  "jobs.db-shm"};
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);
    auto_free char *database = fs_join(f->copy, "jobs.db");
    struct stat st;

    add_job(jobs, "s1");
    make(f);
    for (unsigned i = 0; i < sizeof rests / sizeof *rests; i++)
        assert_false(is_there(f->copy, rests[i]));
    assert_int_equal(stat(database, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0); /* secrets of webhooks are in it */
}

static void a_run_that_is_not_in_the_copy_is_made_again(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);

    add_event(f->store);
    add_event(f->store);
    add_job(jobs, "s1");
    add_set(jobs, RUN);
    add_set(jobs, LOST);
    set_cursor(jobs, 7); /* as if the other had been copied a while before */
    make(f);
    check_jobs(f->copy, RUN " STARTED 1;" LOST " STARTED 0;", 2);
    check_jobs(f->state, RUN " STARTED 1;" LOST " STARTED 1;", 7);
}

static void events_that_were_not_taken_in_still_will_be(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);

    add_event(f->store);
    add_event(f->store);
    set_cursor(jobs, 1);
    make(f);
    check_jobs(f->copy, "", 1);
}

static void deleted_jobs_need_no_project(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);
    struct job_row job = job_with("s1");

    add_job(jobs, "s1");
    job.is_deleted = true;
    set_job(jobs, &job);
    scratch_put(f->state, "jobs/" JOB "/s1/a.ipynb", "{}");
    make(f);
    assert_true(is_there(f->copy, "jobs.db"));
    assert_false(is_there(f->copy, "jobs/" JOB));
}

static void a_job_without_its_project_is_copied_as_it_is(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);

    add_job(jobs, "s1");
    make(f);
    assert_false(is_there(f->copy, "jobs/" JOB "/s1"));
    assert_int_equal(runs_in(f->copy), 1);
}

enum { FILES = 30, CHANGES = 8 };

static void make_snapshot(const char *directory, const char *snapshot)
{
    for (int i = 0; i < FILES; i++) {
        auto_free char *name = mem_printf("jobs/" JOB "/%s/%d", snapshot, i);
        scratch_put(directory, name, snapshot);
    }
}

/* Gives the job another project again and again; the one before is removed. */
static void *change_job(void *data)
{
    const struct fixture *f = data;
    auto_job_store struct job_store *jobs = open_jobs(f->state);

    for (int i = 2; i < 2 + CHANGES; i++) {
        auto_free char *snapshot = mem_printf("s%d", i);
        auto_free char *old = mem_printf("%s/jobs/" JOB "/s%d", f->state, i - 1);
        struct job_row job = job_with(snapshot);
        struct err e;
        make_snapshot(f->state, snapshot);
        set_job(jobs, &job);
        okay(fs_remove_tree(old, &e), &e);
    }
    return NULL;
}

static int put_snapshot(void *data, const struct job_row *job, struct err *e)
{
    (void)e;
    buf_puts(data, job->snapshot);
    return 0;
}

static void the_project_of_a_job_is_whole_however_often_it_changes(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *jobs = open_jobs(f->state);
    auto_buf struct buf snapshot = {0};
    pthread_t thread;
    struct err e;

    add_job(jobs, "s1");
    make_snapshot(f->state, "s1");
    assert_int_equal(pthread_create(&thread, NULL, change_job, f), 0);
    make(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    auto_job_store struct job_store *copy = open_jobs(f->copy);
    okay(job_store_job(copy, JOB, put_snapshot, &snapshot, &e), &e);
    for (int i = 0; i < FILES; i++) {
        auto_free char *name = mem_printf("jobs/" JOB "/%s/%d", buf_text(&snapshot), i);
        check_text(f->copy, name, buf_text(&snapshot));
    }
}

static void a_state_without_jobs_gives_a_copy_without(void **state)
{
    struct fixture *f = *state;

    make(f);
    assert_false(is_there(f->copy, "jobs.db"));
    assert_false(is_there(f->state, "jobs.db"));
}

static void a_damaged_database_of_jobs_is_no_backup(void **state)
{
    struct fixture *f = *state;

    scratch_put(f->state, "jobs.db", "not a database, as long as its first page is read at all");
    refused(f->state, f->copy, ERR_IO, "jobs.db");
    assert_false(is_there(f->copy, "segue.db"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_has_what_a_service_needs),
        TEST(it_has_nothing_of_what_belongs_to_one_service),
        TEST(only_the_owner_may_read_it),
        TEST(the_service_may_go_on),
        TEST(an_empty_directory_is_taken),
        TEST(nothing_is_written_over),
        TEST(a_copy_in_the_original_is_refused),
        TEST(a_directory_without_a_state_is_refused),
        TEST(a_copy_that_was_cut_short_has_no_database),
        TEST(jobs_come_with_their_projects),
        TEST(nothing_but_the_databases_lies_beside_them),
        TEST(a_run_that_is_not_in_the_copy_is_made_again),
        TEST(events_that_were_not_taken_in_still_will_be),
        TEST(deleted_jobs_need_no_project),
        TEST(a_job_without_its_project_is_copied_as_it_is),
        TEST(the_project_of_a_job_is_whole_however_often_it_changes),
        TEST(a_state_without_jobs_gives_a_copy_without),
        TEST(a_damaged_database_of_jobs_is_no_backup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
