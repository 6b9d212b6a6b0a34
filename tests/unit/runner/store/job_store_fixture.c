/* A job store in a directory of its own for each test, and rows to put in. Included by the tests of
 * the job store. */
#include "base/buf.h"
#include "base/fs.h"
#include "runner/store/job_store.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/store/store_checks.c"

struct fixture {
    char *dir, *path;
    struct job_store *store;
    unsigned made; /* for names */
};

static const struct job_row a_job = {
    .uuid = "11111111-0000-4000-8000-000000000000",
    .name = "Nightly",
    .state = JOB_PENDING,
    .project = "/projects/one",
    .pipeline_path = "a.orchest",
    .pipeline_uuid = "p1",
    .pipeline_name = "First",
    .parameters = "{\"grid\": {}}",
    .schedule = "{\"cron\": \"0 3 * * *\"}",
    .policy = "{}",
    .duplicate_of = "",
    .snapshot = "s1",
    .set_count = 6,
    .snapshot_files = 12,
    .snapshot_bytes = UINT64_C(5000000000),
    .created_time = 1700000000001,
    .confirmed_time = 1700000000002,
    .next_due = 1700000000003,
    .dropped = 4,
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->dir = scratch_new();
    f->path = fs_join(f->dir, "jobs.db");
    OK(job_store_open(f->path, STORE_WRITE, &f->store, e));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    job_store_close(f->store);
    scratch_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static inline void reopen(struct fixture *f)
{
    job_store_close(take_ptr(&f->store));
    OK(job_store_open(f->path, STORE_WRITE, &f->store, e));
}

/* One call in a transaction of its own. */
#define WRITTEN(f, call)                                                                           \
    do {                                                                                           \
        OK(job_store_begin((f)->store, e));                                                        \
        OK(call);                                                                                  \
        OK(job_store_commit((f)->store, STORE_LAZY, e));                                           \
    } while (0)

/* The same for one that is refused; what it did is kept. */
#define NOT_WRITTEN(f, wanted, call)                                                               \
    do {                                                                                           \
        OK(job_store_begin((f)->store, e));                                                        \
        REFUSED(wanted, call);                                                                     \
        OK(job_store_commit((f)->store, STORE_LAZY, e));                                           \
    } while (0)

/* A job like a_job, with a uuid of its own. */
static inline int64_t add_job_in(struct fixture *f, enum job_state state, msec next_due)
{
    struct job_row job = a_job;
    char uuid[40];
    int64_t id = 0;

    snprintf(uuid, sizeof uuid, "job-%u", ++f->made);
    job.uuid = uuid;
    job.state = state;
    job.next_due = next_due;
    WRITTEN(f, job_store_add(f->store, &job, STR("{}"), NULL, NULL, &id, e));
    return id;
}

static inline int64_t add_job(struct fixture *f)
{
    return add_job_in(f, JOB_STARTED, 0);
}

static inline struct fire_row fire_of(int64_t job, enum fire_state state)
{
    return (struct fire_row){.job = job, .kind = FIRE_TRIGGER, .state = state, .created_time = 7};
}

static inline int64_t add_fire(struct fixture *f, int64_t job, enum fire_state state)
{
    struct fire_row fire = fire_of(job, state);
    int64_t id = 0;

    WRITTEN(f, job_store_add_fire(f->store, &fire, &id, e));
    return id;
}

static inline struct set_row set_of(int64_t job, int64_t fire, uint32_t number)
{
    return (struct set_row){
        .job = job, .fire = fire, .number = number, .run_uuid = "", .parameters = "{}"};
}

static inline int64_t add_set(struct fixture *f, int64_t job, int64_t fire, msec not_before)
{
    struct set_row set = set_of(job, fire, 0);
    int64_t id = 0;

    set.not_before = not_before;
    WRITTEN(f, job_store_add_set(f->store, &set, &id, e));
    return id;
}

/* Changes everything of a set but what it belongs to. */
static inline void set_set(struct fixture *f, int64_t id, enum status status, const char *run_uuid)
{
    struct set_row set = {.id = id, .status = status, .run_uuid = run_uuid};

    set.finished_time = status_is_final(status) ? 100 + id : 0;
    WRITTEN(f, job_store_set_set(f->store, &set, e));
}

static inline int list_job(void *data, const struct job_row *job, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)job->id);
    return 0;
}

static inline int list_fire(void *data, const struct fire_row *fire, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)fire->id);
    return 0;
}

static inline int list_set(void *data, const struct set_row *set, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)set->id);
    return 0;
}

#define LISTED(expected, call)                                                                     \
    do {                                                                                           \
        auto_buf struct buf got = {0};                                                             \
        OK(call);                                                                                  \
        assert_string_equal(buf_text(&got), expected);                                             \
    } while (0)
