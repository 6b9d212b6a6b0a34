#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/store/job_store_inner.h"
#include "tests/unit/runner/store/faulty_disk.c"
#include "tests/unit/runner/store/job_store_fixture.c"

#include <sys/stat.h>

static int set_up_disk(void **state)
{
    memset(&disk, 0, sizeof disk);
    return set_up(state);
}

static int tear_down_disk(void **state)
{
    memset(&disk, 0, sizeof disk);
    return tear_down(state);
}

/* ---- the cursor ---- */

static void the_cursor_is_kept(void **state)
{
    struct fixture *f = *state;
    int64_t event = -1;

    OK(job_store_cursor(f->store, &event, e));
    assert_int_equal(event, 0);
    WRITTEN(f, job_store_set_cursor(f->store, INT64_C(6000000000), e));
    OK(job_store_begin(f->store, e));
    OK(job_store_set_cursor(f->store, 7, e));
    job_store_rollback(f->store);
    reopen(f);
    OK(job_store_cursor(f->store, &event, e));
    assert_int_equal(event, INT64_C(6000000000));
}

/* ---- transactions ---- */

/* A fire with a set, in one transaction. */
static int try_fire(struct job_store *store, int64_t job, enum store_sync sync, struct err *e)
{
    struct fire_row fire = fire_of(job, FIRE_OPEN);
    struct set_row set = set_of(job, 0, 0);
    int64_t id;

    if (job_store_begin(store, e) < 0 || job_store_add_fire(store, &fire, &set.fire, e) < 0 ||
        job_store_add_set(store, &set, &id, e) < 0)
        return -1;
    return job_store_commit(store, sync, e);
}

static int count_fire(void *data, const struct fire_row *fire, struct err *e)
{
    (void)e;
    ++*(unsigned *)data;
    assert_int_equal(fire->counts[STATUS_PENDING], 1);
    return 0;
}

static unsigned fires_in(struct job_store *store)
{
    unsigned count = 0;

    OK(job_store_fires(store, &(struct fire_filter){0}, count_fire, &count, e));
    return count;
}

static void what_is_not_committed_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct fire_row fire = fire_of(add_job(f), FIRE_OPEN);
    int64_t id;

    OK(job_store_begin(f->store, e));
    OK(job_store_add_fire(f->store, &fire, &id, e));
    job_store_rollback(f->store);
    job_store_rollback(f->store); /* nothing */
    assert_int_equal(fires_in(f->store), 0);
    OK(job_store_begin(f->store, e));
    OK(job_store_add_fire(f->store, &fire, &id, e));
    reopen(f);
    assert_int_equal(fires_in(f->store), 0);
}

static void readers_see_whole_transactions(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *reader = NULL;
    int64_t job = add_job(f), id = 0;
    struct fire_row fire = fire_of(job, FIRE_OPEN);
    struct set_row set = set_of(job, 0, 0);

    OK(job_store_open(f->path, STORE_READ, &reader, e));
    OK(job_store_begin(f->store, e));
    OK(job_store_add_fire(f->store, &fire, &set.fire, e));
    assert_int_equal(fires_in(reader), 0);
    OK(job_store_add_set(f->store, &set, &id, e));
    LISTED("", job_store_hungry(reader, list_job, &got, e));
    OK(job_store_commit(f->store, STORE_LAZY, e));
    assert_int_equal(fires_in(reader), 1);
    LISTED("1 ", job_store_hungry(reader, list_job, &got, e));
    REFUSED(ERR_IO, try_fire(reader, job, STORE_LAZY, e)); /* it can only read */
    job_store_rollback(reader);
    assert_int_equal(fires_in(f->store), 1);
}

static void reading_can_be_about_one_moment(void **state)
{
    struct fixture *f = *state;
    auto_job_store struct job_store *reader = NULL;
    int64_t job = add_job(f);

    OK(job_store_open(f->path, STORE_READ, &reader, e));
    OK(job_store_begin_reading(reader, e));
    assert_int_equal(fires_in(reader), 0);
    OK(try_fire(f->store, job, STORE_LAZY, e));
    assert_int_equal(fires_in(reader), 0);
    job_store_end_reading(reader);
    assert_int_equal(fires_in(reader), 1);
    job_store_end_reading(reader); /* nothing */
}

static void durable_commits_sync_and_lazy_ones_do_not(void **state)
{
    struct fixture *f = *state;
    int64_t job = add_job(f);

    disk.syncs = 0;
    OK(try_fire(f->store, job, STORE_LAZY, e));
    assert_int_equal(disk.syncs, 0);
    OK(try_fire(f->store, job, STORE_DURABLE, e));
    assert_int_equal(disk.syncs, 1);
    disk.fail_syncs = true;
    REFUSED(ERR_IO, try_fire(f->store, job, STORE_DURABLE, e));
}

/* The n-th write fails, for every n that there is. */
static void fail_every_write(struct fixture *f, int code, enum err_code expected)
{
    int64_t job = add_job(f);

    for (unsigned n = 1;; n++) {
        struct err why = {0};
        unsigned before = fires_in(f->store);
        memset(&disk, 0, sizeof disk);
        disk.fail_write = n;
        disk.fail_code = code;
        int result = try_fire(f->store, job, STORE_LAZY, &why);
        bool reached = disk.writes >= n;
        memset(&disk, 0, sizeof disk);
        if (!reached) {
            assert_int_equal(result, 0);
            assert_true(n > 3); /* else this has tested nothing */
            return;
        }
        assert_int_equal(result, -1);
        assert_int_equal(why.code, expected);
        job_store_rollback(f->store);
        assert_int_equal(fires_in(f->store), before);
        OK(try_fire(f->store, job, STORE_DURABLE, e));
        reopen(f);
        assert_int_equal(fires_in(f->store), before + 1);
    }
}

static void a_full_disk_refuses_and_recovers(void **state)
{
    fail_every_write(*state, SQLITE_FULL, ERR_NO_SPACE);
}

static void a_failing_disk_refuses_and_recovers(void **state)
{
    fail_every_write(*state, SQLITE_IOERR_WRITE, ERR_IO);
}

/* ---- the file ---- */

static void a_new_file_is_private(void **state)
{
    struct fixture *f = *state;
    struct stat info;

    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void a_newer_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct job_store *store = NULL;

    raw(f->path, "PRAGMA user_version=1000");
    for (int mode = STORE_WRITE; mode <= STORE_READ; mode++) {
        const char *text =
            REFUSED(ERR_INVALID, job_store_open(f->path, (enum store_mode)mode, &store, e));
        assert_non_null(strstr(text, "newer Segue"));
        assert_null(store);
    }
}

static void a_damaged_file_is_refused(void **state)
{
    struct fixture *f = *state;

    job_store_close(take_ptr(&f->store));
    overwrite(f->path, 0, 100);
    for (int mode = STORE_WRITE; mode <= STORE_READ; mode++) {
        const char *text =
            REFUSED(ERR_IO, job_store_open(f->path, (enum store_mode)mode, &f->store, e));
        assert_non_null(strstr(text, "is damaged"));
    }
}

static void a_reader_makes_no_file(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = fs_join(f->dir, "other.db");
    struct job_store *store = NULL;

    REFUSED(ERR_NOT_FOUND, job_store_open(path, STORE_READ, &store, e));
    assert_false(fs_exists(path));
    raw(path, "CREATE TABLE t(x)");
    REFUSED(ERR_INVALID, job_store_open(path, STORE_READ, &store, e));
}

static void a_copy_is_the_file_as_of_now(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = fs_join(f->dir, "copy.db");
    auto_job_store struct job_store *copy = NULL;
    int64_t job = add_job(f);

    OK(try_fire(f->store, job, STORE_LAZY, e));
    OK(job_store_copy(f->store, path, e));
    OK(try_fire(f->store, job, STORE_LAZY, e));
    OK(job_store_open(path, STORE_WRITE, &copy, e));
    assert_int_equal(fires_in(copy), 1);
    OK(try_fire(copy, job, STORE_DURABLE, e)); /* it can be gone on with */
    assert_int_equal(fires_in(copy), 2);
    REFUSED(ERR_IO, job_store_copy(f->store, f->path, e)); /* over nothing that is there */
}

/* ---- how statements find their rows ---- */

/* Walks that are meant: lists of everything, in the order of an index or of ids. */
static bool may_walk(const char *name)
{
    static const char *const names[] = {"SQL_CURSOR", "SQL_SET_CURSOR", "SQL_WEBHOOKS",
                                        "SQL_DUE_DELIVERIES", NULL};
    unsigned i = 0;

    while (names[i] && strcmp(names[i], name) != 0)
        i++;
    return names[i] != NULL;
}

static bool is_bad_step(const char *step, const char *name)
{
    if (strstr(step, "TEMP B-TREE"))
        return strcmp(name, "SQL_FEW") != 0 && strcmp(name, "SQL_DUE_DELIVERIES") != 0;
    if (strstr(step, "AUTOMATIC"))
        return true; /* an index of the statement's own */
    bool walks = strncmp(step, "SCAN ", 5) == 0 && !strstr(step, " INDEX ") &&
                 !strstr(step, "CONSTANT") && !strstr(step, "SCAN (") && !strstr(step, "subquery");
    return walks && !may_walk(name);
}

/* One line for each step. */
static void put_plan(sqlite3 *db, const char *text, struct buf *out)
{
    auto_free char *sql = mem_printf("EXPLAIN QUERY PLAN %s", text);
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW)
        buf_printf(out, "%s\n", sqlite3_column_text(statement, 3));
    sqlite3_finalize(statement);
}

static void check_plan(sqlite3 *db, const char *name, const char *text)
{
    auto_buf struct buf plan = {0};
    char *rest = NULL;

    put_plan(db, text, &plan);
    auto_free char *steps = mem_strdup(buf_text(&plan));
    for (char *step = strtok_r(steps, "\n", &rest); step; step = strtok_r(NULL, "\n", &rest))
        if (is_bad_step(step, name))
            fail_msg("%s: %s\n%s", name, text, buf_text(&plan));
}

static void no_statement_walks_through_everything(void **state)
{
    struct fixture *f = *state;
    sqlite3 *db = f->store->database.connection;

#define X(name, text) check_plan(db, #name, text);
    JOB_STORE_STATEMENTS(X)
#undef X
}

/* Those that are put together for a filter: as they come by. */
struct tracing {
    sqlite3 *db;
    const char *index; /* that is to be used */
};

static int check_traced(unsigned type, void *data, void *statement, void *text)
{
    const struct tracing *tracing = data;
    const char *sql = sqlite3_sql(statement);

    (void)type, (void)text;
    check_plan(tracing->db, strstr(sql, "INDEXED BY") ? "SQL_FEW" : "SQL_MANY", sql);
    auto_buf struct buf plan = {0};
    put_plan(tracing->db, sql, &plan);
    if (!strstr(buf_text(&plan), tracing->index))
        fail_msg("%s: not by %s\n%s", sql, tracing->index, buf_text(&plan));
    return 0;
}

static void lists_go_by_indexes(void **state)
{
    static const struct {
        struct fire_filter filter;
        const char *index;
    } fires[] = {
        {{.job = 1}, "INDEX fires_job"},
        {{.job = 1, .number = 1}, "INDEX sqlite_autoindex_fires_1"},
        {{.job = 1, .is_open = true}, "INDEX fires_open"},
        {{.is_open = true}, "INDEX fires_open"},
    };
    static const struct {
        struct set_filter filter;
        const char *index;
    } sets[] = {
        {{.job = 1}, "INDEX sets_job"},
        {{.fire = 1}, "INDEX sets_fire"},
        {{.fire = 1, .after = 7, .limit = 5}, "INDEX sets_fire"},
        {{.fire = 1, .statuses = 1u << STATUS_FAILURE}, "INDEX sets_fire"},
        {{.job = 1, .statuses = 1u << STATUS_STARTED}, "INDEX sets_started"},
        {{.statuses = 1u << STATUS_STARTED}, "INDEX sets_started"},
    };
    static const struct {
        struct job_filter filter;
        const char *index;
    } jobs[] = {
        {{.limit = 5}, "PRIMARY KEY"},
        {{.project = "p"}, "INDEX jobs_project"},
        {{.pipeline_uuid = "u"}, "INDEX jobs_pipeline"},
    };
    struct fixture *f = *state;
    struct tracing tracing = {0};
    assert_int_equal(sqlite3_open(f->path, &tracing.db), SQLITE_OK);
    sqlite3_trace_v2(f->store->database.connection, SQLITE_TRACE_STMT, check_traced, &tracing);
    for (unsigned i = 0; i < sizeof fires / sizeof *fires; i++) {
        tracing.index = fires[i].index;
        LISTED("", job_store_fires(f->store, &fires[i].filter, list_fire, &got, e));
    }
    for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++) {
        tracing.index = sets[i].index;
        LISTED("", job_store_sets(f->store, &sets[i].filter, list_set, &got, e));
    }
    for (unsigned i = 0; i < sizeof jobs / sizeof *jobs; i++) {
        tracing.index = jobs[i].index;
        LISTED("", job_store_jobs(f->store, &jobs[i].filter, list_job, &got, e));
    }
    sqlite3_trace_v2(f->store->database.connection, 0, NULL, NULL);
    sqlite3_close(tracing.db);
}

/* ---- much of everything ---- */

/* How many virtual instructions SQLite needs for a call says more than a clock: what grows with the
 * number of rows is seen in it, whatever else the machine does. */
static int count_step(void *data)
{
    ++*(uint64_t *)data;
    return 0;
}

#define WORK(f, call)                                                                              \
    __extension__({                                                                                \
        uint64_t steps_ = 0;                                                                       \
        sqlite3_progress_handler((f)->store->database.connection, 1, count_step, &steps_);         \
        OK(call);                                                                                  \
        sqlite3_progress_handler((f)->store->database.connection, 0, NULL, NULL);                  \
        steps_;                                                                                    \
    })

static int next_set(struct fixture *f, int64_t job, msec now, int64_t *ret_wake, struct err *e)
{
    auto_buf struct buf got = {0};

    return job_store_next_set(f->store, job, now, list_set, &got, ret_wake, e) < 0 ? -1 : 0;
}

static int first_only(void *data, const struct job_row *job, struct err *e)
{
    (void)job, (void)e;
    ++*(unsigned *)data;
    return 1;
}

static int first_hungry(struct fixture *f, unsigned *count, struct err *e)
{
    return job_store_hungry(f->store, first_only, count, e) < 0 ? -1 : 0;
}

static void add_many_sets(struct fixture *f, int64_t job, int64_t fire, uint32_t count, msec at)
{
    struct set_row set = set_of(job, fire, 0);
    int64_t id;

    set.not_before = at;
    OK(job_store_begin(f->store, e));
    for (set.number = 0; set.number < count; set.number++)
        OK(job_store_add_set(f->store, &set, &id, e));
    OK(job_store_commit(f->store, STORE_LAZY, e));
}

static void many_sets_make_nothing_slow(void **state)
{
    enum { MANY = 20000, FEW = 1000 };
    struct fixture *f = *state;
    int64_t job = add_job(f), waits = add_job(f), wake;
    uint32_t count;

    add_many_sets(f, job, add_fire(f, job, FIRE_OPEN), MANY, 5);
    add_many_sets(f, waits, add_fire(f, waits, FIRE_OPEN), MANY, 500);
    assert_true(WORK(f, next_set(f, job, 10, &wake, e)) < FEW);
    assert_true(WORK(f, next_set(f, waits, 10, &wake, e)) < FEW);
    assert_int_equal(wake, 500);
    set_set(f, 1, STATUS_STARTED, "r1");
    assert_true(WORK(f, job_store_started(f->store, 0, &count, e)) < FEW);
    assert_true(WORK(f, job_store_started(f->store, job, &count, e)) < FEW);
    assert_int_equal(count, 1);
    struct set_row set = {.id = 2, .status = STATUS_STARTED, .run_uuid = "r2"};
    OK(job_store_begin(f->store, e));
    assert_true(WORK(f, job_store_set_set(f->store, &set, e)) < FEW);
    OK(job_store_commit(f->store, STORE_LAZY, e));
}

static void many_jobs_make_nothing_slow(void **state)
{
    enum { MANY = 10000, FEW = 1000 };
    struct fixture *f = *state;
    struct job_row job = a_job;
    msec due;
    unsigned found = 0;

    OK(job_store_begin(f->store, e));
    for (int i = 0; i < MANY; i++) {
        char uuid[16];
        struct fire_row fire = fire_of(0, FIRE_OPEN);
        struct set_row set = set_of(0, 0, 0);
        int64_t id;
        snprintf(uuid, sizeof uuid, "j%d", i);
        job.uuid = uuid;
        job.next_due = 1000 + i;
        OK(job_store_add(f->store, &job, STR("{}"), NULL, NULL, &fire.job, e));
        set.job = fire.job;
        OK(job_store_add_fire(f->store, &fire, &set.fire, e));
        OK(job_store_add_set(f->store, &set, &id, e));
    }
    OK(job_store_commit(f->store, STORE_LAZY, e));
    assert_true(WORK(f, first_hungry(f, &found, e)) < FEW);
    assert_int_equal(found, 1);
    assert_true(WORK(f, job_store_next_due(f->store, 0, &due, e)) < FEW);
    assert_int_equal(due, 1000);
    auto_buf struct buf got = {0};
    assert_true(WORK(f, job_store_due(f->store, 1001, list_job, &got, e)) < FEW);
    assert_string_equal(buf_text(&got), "1 2 ");
    assert_true(WORK(f, job_store_deleted(f->store, list_job, &got, e)) < FEW);
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_disk, tear_down_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(the_cursor_is_kept),
        DISK_TEST(what_is_not_committed_is_not_there),
        DISK_TEST(readers_see_whole_transactions),
        DISK_TEST(reading_can_be_about_one_moment),
        DISK_TEST(durable_commits_sync_and_lazy_ones_do_not),
        DISK_TEST(a_full_disk_refuses_and_recovers),
        DISK_TEST(a_failing_disk_refuses_and_recovers),
        DISK_TEST(a_new_file_is_private),
        DISK_TEST(a_newer_file_is_refused),
        DISK_TEST(a_damaged_file_is_refused),
        DISK_TEST(a_reader_makes_no_file),
        DISK_TEST(a_copy_is_the_file_as_of_now),
        DISK_TEST(no_statement_walks_through_everything),
        DISK_TEST(lists_go_by_indexes),
        DISK_TEST(many_sets_make_nothing_slow),
        DISK_TEST(many_jobs_make_nothing_slow),
    };

    return cmocka_run_group_tests(tests, faulty_disk_install, NULL);
}
