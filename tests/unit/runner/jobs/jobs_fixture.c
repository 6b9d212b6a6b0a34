/* The core of jobs without its threads: a struct jobs made by hand, with a real job store in a
 * directory of its own for each test. Included by the tests of jobs_*.c. */
#include "base/fs.h"
#include "runner/jobs/jobs_private.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/store/store_checks.c"

/* A Monday, 00:00 in UTC. */
#define MONDAY INT64_C(1767571200000)
#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define HOURLY "{\"cron\": \"0 * * * *\"}"

struct fixture {
    char *dir;
    struct state state;
    struct jobs jobs;
    struct store *runs; /* of the engine: see open_runs */
    unsigned made;
};

static inline void open_store(struct fixture *f)
{
    OK(job_store_open(f->jobs.path, STORE_WRITE, &f->jobs.store, e));
}

static inline void reopen(struct fixture *f)
{
    job_store_close(take_ptr(&f->jobs.store));
    open_store(f);
}

static inline int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);

    f->dir = scratch_new();
    f->state.dir = f->dir;
    f->jobs = (struct jobs){.options = {.state = &f->state, .projects = "/projects"},
                            .path = fs_join(f->dir, "jobs.db"),
                            .directory = fs_join(f->dir, "jobs"),
                            .wake_fd = -1};
    pthread_mutex_init(&f->jobs.lock, NULL);
    open_store(f);
    OK(fs_mkdirs(f->jobs.directory, 0700, e));
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;

    readers_free(f->jobs.options.readers);
    store_close(f->runs);
    job_store_close(f->jobs.store);
    held_uuids_clear(&f->jobs.to_retain);
    pthread_mutex_destroy(&f->jobs.lock);
    free(f->jobs.path);
    free(f->jobs.directory);
    scratch_free(f->dir);
    free(f);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* One call in a transaction of its own. */
#define WRITTEN(f, call)                                                                           \
    do {                                                                                           \
        OK(job_store_begin((f)->jobs.store, e));                                                   \
        OK(call);                                                                                  \
        OK(job_store_commit((f)->jobs.store, STORE_LAZY, e));                                      \
    } while (0)

/* --- rows --- */

struct making {
    const char *schedule; /* HOURLY */
    const char *policy;   /* none */
    uint32_t sets;        /* 1 */
    enum job_state state; /* STARTED */
    msec next_due;        /* MONDAY */
    const char *uuid;
    const char *definition;
};

static inline int64_t add_job(struct fixture *f, struct making making)
{
    char uuid[40], parameters[80] = "{}";
    int64_t id = 0;

    snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", ++f->made * 2654435761u);
    if (making.sets > 1)
        snprintf(parameters, sizeof parameters,
                 "{\"grid\": {\"pipeline_parameters\": {\"a\": \"1..%u\"}}}", making.sets);
    struct job_row job = {
        .uuid = making.uuid ? making.uuid : uuid,
        .name = "job",
        .state = making.state == JOB_DRAFT ? JOB_STARTED : making.state,
        .project = "/projects/p",
        .pipeline_path = "p.json",
        .pipeline_uuid = "p",
        .pipeline_name = "P",
        .parameters = parameters,
        .schedule = making.schedule ? making.schedule : HOURLY,
        .policy = making.policy ? making.policy : "{}",
        .duplicate_of = "",
        .snapshot = "s",
        .set_count = making.sets > 0 ? making.sets : 1,
        .created_time = 1,
        .confirmed_time = 1,
        .next_due = making.next_due ? making.next_due : MONDAY,
    };
    struct str definition =
        str_of(making.definition ? making.definition : "{\"uuid\": \"p\", \"steps\": {}}");
    WRITTEN(f, job_store_add(f->jobs.store, &job, definition, NULL, NULL, &id, e));
    return id;
}

static inline struct held_job job_of(struct fixture *f, int64_t id)
{
    struct held_job job = {0};

    OK(job_store_job_by_id(f->jobs.store, id, held_job_take, &job, e));
    return job;
}

static inline enum job_state state_of_job(struct fixture *f, int64_t id)
{
    auto_held_job struct held_job job = job_of(f, id);

    return job.row.state;
}

static inline struct fire_row fire_at(struct fixture *f, int64_t job, uint32_t number)
{
    const struct fire_filter filter = {.job = job, .number = number};
    struct fire_row fire = {0};

    OK(job_store_fires(f->jobs.store, &filter, held_fire_take, &fire, e));
    assert_int_equal(fire.number, number);
    return fire;
}

static inline struct held_sets sets_of(struct fixture *f, int64_t fire)
{
    const struct set_filter filter = {.fire = fire};
    struct held_sets sets = {0};

    OK(job_store_sets(f->jobs.store, &filter, held_sets_take, &sets, e));
    return sets;
}

/* --- what happens to them --- */

/* *ret_wake of jobs_fire_due. */
static inline msec fire_due(struct fixture *f, msec now)
{
    msec wake = -1;

    WRITTEN(f, jobs_fire_due(&f->jobs, now, &wake, e));
    return wake;
}

static inline void begin_set(struct fixture *f, struct held_set *set)
{
    struct uuid run = uuid_random();

    free(set->run_uuid);
    set->row.run_uuid = set->run_uuid = mem_strdup(run.text);
    set->row.status = STATUS_STARTED;
    set->row.is_posted = true;
    set->row.finished_time = 0;
    WRITTEN(f, job_store_set_set(f->jobs.store, &set->row, e));
}

static inline void end_set(struct fixture *f, struct held_set *set, enum status status,
                           enum cause cause)
{
    auto_held_job struct held_job job = job_of(f, set->row.job);

    WRITTEN(f, jobs_end_try(&f->jobs, &job.row, &set->row, status, cause, e));
}

/* Begins what is PENDING of the job's n-th fire, and ends all that has begun. */
static inline void run_sets(struct fixture *f, int64_t job, uint32_t number, enum status status,
                            enum cause cause)
{
    auto_held_sets struct held_sets sets = sets_of(f, fire_at(f, job, number).id);

    for (size_t i = 0; i < sets.count; i++) {
        struct fire_row fire = fire_at(f, job, number);
        auto_held_sets struct held_sets now = sets_of(f, fire.id);
        if (now.items[i].row.status == STATUS_PENDING)
            begin_set(f, &now.items[i]);
        if (now.items[i].row.status == STATUS_STARTED)
            end_set(f, &now.items[i], status, cause);
    }
}

/* --- the engine's runs --- */

static inline void open_runs(struct fixture *f)
{
    auto_free char *path = fs_join(f->dir, "segue.db");

    OK(store_open(path, STORE_WRITE, &f->runs, e));
    f->jobs.options.readers = readers_new(path);
}

/* A run of one step that has ended; JOB_UUID "": of no job. Gives its id. */
static inline int64_t add_ended_run(struct fixture *f, const char *uuid, const char *job_uuid,
                                    enum status status, enum cause cause)
{
    const struct store_run run = {.uuid = uuid,
                                  .project = "/projects/p",
                                  .pipeline_path = "p.json",
                                  .pipeline_uuid = "p",
                                  .pipeline_name = "P",
                                  .run_type = "full",
                                  .uuids = "[]",
                                  .parameters = "{}",
                                  .images = "{}",
                                  .options = "{}",
                                  .job_uuid = job_uuid,
                                  .rerun_of = "",
                                  .created_time = MONDAY,
                                  .step_count = 1};
    const struct store_frozen frozen = {.definition = STR("{}"), .environments = "[]"};
    const struct store_step step = {.uuid = "s",
                                    .title = "Train",
                                    .file_path = "a.py",
                                    .status = status,
                                    .cause = cause,
                                    .attempt = 1,
                                    .failure = ""};
    const struct run_event finished = {.kind = EVENT_RUN_FINISHED,
                                       .status = status,
                                       .cause = cause,
                                       .step = STEP_NONE,
                                       .time = MONDAY + 5};
    int64_t id = 0, event;

    OK(store_begin(f->runs, e));
    OK(store_add_run(f->runs, &run, &frozen, &id, e));
    OK(store_add_step(f->runs, id, &step, e));
    OK(store_set_run(f->runs, id, status, cause, MONDAY + 1, MONDAY + 5, e));
    OK(store_add_event(f->runs, id, &finished, NULL, &event, e));
    OK(store_commit(f->runs, STORE_LAZY, e));
    return id;
}

static inline void delete_run(struct fixture *f, int64_t id, const char *uuid)
{
    int64_t event;

    OK(store_begin(f->runs, e));
    OK(store_delete_run(f->runs, id, uuid, MONDAY, &event, e));
    OK(store_commit(f->runs, STORE_LAZY, e));
}

/* --- what they look like --- */

static inline int show_fire(void *data, const struct fire_row *fire, struct err *e)
{
    (void)e;
    buf_printf(data, "%s %s", fire_kind_name(fire->kind), fire_state_name(fire->state));
    if (fire->kind != FIRE_TRIGGER)
        buf_printf(data, " %lld", (long long)((fire->due_time - MONDAY) / MINUTE));
    if (fire->is_stopped)
        buf_puts(data, " stopped");
    buf_puts(data, "; ");
    return 0;
}

/* The job's fires, oldest first, as "kind state minutes-after-MONDAY; ". */
#define FIRES(f, of, expected)                                                                     \
    do {                                                                                           \
        auto_buf struct buf shown_ = {0};                                                          \
        const struct fire_filter filter_ = {.job = (of), .is_oldest_first = true};                 \
        OK(job_store_fires((f)->jobs.store, &filter_, show_fire, &shown_, e));                     \
        assert_string_equal(buf_text(&shown_), expected);                                          \
    } while (0)

static inline int show_set(void *data, const struct set_row *set, struct err *e)
{
    (void)e;
    buf_printf(data, "%s%s%s ", status_name(set->status), set->cause == CAUSE_NONE ? "" : "/",
               cause_name(set->cause));
    return 0;
}

/* The sets of a job's n-th fire, as "status/cause ". */
#define SETS(f, of, number, expected)                                                              \
    do {                                                                                           \
        auto_buf struct buf shown_ = {0};                                                          \
        const struct set_filter filter_ = {.fire = fire_at((f), (of), (number)).id};               \
        OK(job_store_sets((f)->jobs.store, &filter_, show_set, &shown_, e));                       \
        assert_string_equal(buf_text(&shown_), expected);                                          \
    } while (0)
