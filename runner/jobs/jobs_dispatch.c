/* A set is begun in this order: its row says STARTED with the uuid of the run that is to be, which
 * is on the disk; the run's copy of the project is made; the engine is given the run; the row says
 * posted. Whoever finds a set that is STARTED and not posted looks whether the engine has that run,
 * and else makes it: nothing is run twice, and nothing is forgotten. */
#include "base/fs.h"
#include "base/mem.h"
#include "runner/jobs/jobs_private.h"
#include "runner/snapshots/project_snapshot.h"

#include <semaphore.h>
#include <string.h>
#include <time.h>

/* The wall clock may be set: nobody sleeps longer than this. */
#define LOOK_MS 10000

/* The store could not be written. */
#define RETRY_MS 1000

/* --- choosing --- */

static int has_room(struct jobs *jobs, const struct job_row *job, bool *ret_has_room, struct err *e)
{
    struct job_policy policy;
    uint32_t started;

    if (job_policy_parse(&policy, job->policy, e) < 0)
        return -1;
    uint32_t parallel = policy.parallel;
    job_policy_clear(&policy);
    *ret_has_room = true;
    if (parallel == 0)
        return 0;
    if (job_store_started(jobs->store, job->id, &started, e) < 0)
        return -1;
    *ret_has_room = started < parallel;
    return 0;
}

static msec earlier(msec a, msec b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* Jobs take turns. 1: `set` is to be begun, 0: none is before *ret_wake (0: before something
 * changes). */
static int choose(struct jobs *jobs, struct held_set *set, msec *ret_wake, struct err *e)
{
    auto_held_ids struct held_ids hungry = {0};
    uint32_t started;

    *ret_wake = 0;
    if (job_store_started(jobs->store, 0, &started, e) < 0)
        return -1;
    if (started >= jobs->options.parallel)
        return 0;
    if (job_store_hungry(jobs->store, held_ids_take_job, &hungry, e) < 0)
        return -1;
    for (size_t i = 0; i < hungry.count; i++) {
        auto_held_job struct held_job job = {0};
        bool is_free;
        msec wake = 0;
        if (job_store_job_by_id(jobs->store, hungry.items[i], held_job_take, &job, e) < 0 ||
            has_room(jobs, &job.row, &is_free, e) < 0)
            return -1;
        if (!is_free)
            continue;
        int found =
            job_store_next_set(jobs->store, job.row.id, clock_wall(), held_set_take, set, &wake, e);
        if (found != 0)
            return found;
        *ret_wake = earlier(*ret_wake, wake);
    }
    return 0;
}

/* In a transaction. */
static int claim(struct jobs *jobs, struct held_set *set, struct err *e)
{
    struct uuid run = uuid_random();

    free(set->run_uuid);
    set->row.run_uuid = set->run_uuid = mem_strdup(run.text);
    set->row.status = STATUS_STARTED;
    set->row.cause = CAUSE_NONE;
    set->row.is_posted = false;
    set->row.started_time = clock_wall();
    set->row.finished_time = 0;
    if (job_store_set_set(jobs->store, &set->row, e) < 0)
        return -1;
    return job_store_served(jobs->store, set->row.job, clock_wall(), e);
}

/* --- making its run --- */

struct making {
    struct held_job job;
    struct job_parts parts;
    char *snapshot;
    char *workspace;
    uint32_t timeout_s;
};

static void making_clear(struct making *making)
{
    held_job_clear(&making->job);
    job_parts_clear(&making->parts);
    free(making->snapshot);
    free(making->workspace);
}

static int read_job(struct jobs *jobs, const struct held_set *set, struct making *making,
                    struct err *e)
{
    struct job_policy policy;
    JOBS_LOCKED(jobs);

    if (job_store_job_by_id(jobs->store, set->row.job, held_job_take, &making->job, e) < 0 ||
        job_parts_read(jobs, &making->job.row, &making->parts, e) < 0 ||
        job_policy_parse(&policy, making->job.row.policy, e) < 0)
        return -1;
    making->timeout_s = policy.timeout_s;
    job_policy_clear(&policy);
    return 0;
}

static int copy_project(struct jobs *jobs, const struct held_set *set, struct making *making,
                        struct err *e)
{
    auto_free char *run = state_run_dir(jobs->options.state, set->run_uuid);

    making->snapshot = jobs_snapshot_dir(jobs, &making->job.row);
    making->workspace = fs_join(run, "project");
    if (fs_mkdirs(run, 0755, e) < 0 || project_snapshot_clean(run, e) < 0)
        return -1;
    pthread_mutex_lock(&jobs->copying);
    int result = project_snapshot_copy(making->snapshot, making->workspace, e);
    pthread_mutex_unlock(&jobs->copying);
    return result;
}

static int make_submission(const struct held_set *set, const struct making *making,
                           struct submission **ret_submission, struct err *e)
{
    auto_buf struct buf definition = {0};
    auto_problems struct problems problems = {0};
    struct project project = {.dir = (char *)making->job.row.project,
                              .pipeline_path = (char *)making->job.row.pipeline_path};
    auto_free char *directory = fs_dirname(project.pipeline_path);
    struct str parameters = str_of(set->parameters);

    project.pipeline_dir = directory;
    if (parameter_sets_apply(making->parts.pipeline, parameters, &definition, e) < 0)
        return -1;
    struct request request = {
        .project = &project,
        .definition = {buf_text(&definition), definition.len},
        .parameters = parameters,
        .run_type = RUN_FULL,
        .launcher = LAUNCHER_CHOICE_ENVIRONMENT,
        .job_uuid = making->job.row.uuid,
        .run_uuid = set->run_uuid,
        .workspace = making->workspace,
        .timeout_s = making->timeout_s,
    };
    return submission_make(&request, ret_submission, &problems, e);
}

struct answer {
    sem_t is_there;
    struct err error; /* ERR_NONE: done */
};

static void on_done(void *user, const struct engine_reply *reply)
{
    struct answer *answer = user;

    answer->error = reply->error ? *reply->error : (struct err){0};
    sem_post(&answer->is_there);
}

static int post(struct jobs *jobs, struct submission *take_submission, struct err *e)
{
    struct answer answer = {0};

    sem_init(&answer.is_there, 0, 0);
    if (engine_post_submit(jobs->options.engine, take_submission, NULL, on_done, &answer, e) < 0) {
        sem_destroy(&answer.is_there);
        return -1;
    }
    while (sem_wait(&answer.is_there) < 0)
        ; /* interrupted */
    sem_destroy(&answer.is_there);
    if (answer.error.code == ERR_NONE)
        return 0;
    *e = answer.error;
    return -1;
}

static int make_run(struct jobs *jobs, const struct held_set *set, struct err *e)
{
    __attribute__((cleanup(making_clear))) struct making making = {0};
    struct submission *submission;

    if (read_job(jobs, set, &making, e) < 0 || copy_project(jobs, set, &making, e) < 0 ||
        make_submission(set, &making, &submission, e) < 0)
        return -1;
    return post(jobs, submission, e);
}

int jobs_has_run(struct jobs *jobs, const char *run_uuid, struct err *e)
{
    struct store *reader = readers_lend(jobs->options.readers, e);
    const struct store_filter filter = {.uuid = run_uuid, .limit = 1};
    struct held_uuids found = {0};

    if (!reader)
        return -1;
    int result = store_runs(reader, &filter, held_uuids_take_run, &found, e);
    readers_give_back(jobs->options.readers, reader);
    int count = (int)found.count;
    held_uuids_clear(&found);
    return result < 0 ? -1 : count;
}

/* --- what came of it --- */

static enum cause cause_of_failure(const struct err *e)
{
    switch (e->code) {
    case ERR_INVALID:
    case ERR_NOT_FOUND:
        return CAUSE_INPUT_INVALID;
    case ERR_CANCELLED:
        return CAUSE_CANCELLED;
    case ERR_NONE:
    case ERR_PROTOCOL:
        return CAUSE_INTERNAL;
    case ERR_CONFLICT:
    case ERR_LIMIT:
    case ERR_IO:
    case ERR_NO_SPACE:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return CAUSE_STORAGE_FAILED; /* the machine's affair: it is tried again */
    }
    return CAUSE_INTERNAL;
}

/* In a transaction. */
static int give_up(struct jobs *jobs, struct held_set *set, const struct err *why, struct err *e)
{
    auto_held_job struct held_job job = {0};
    auto_free char *run = state_run_dir(jobs->options.state, set->run_uuid);
    struct err ignored;

    if (job_store_job_by_id(jobs->store, set->row.job, held_job_take, &job, e) < 0)
        return -1;
    jobs_tell(jobs, "job_run_failed_to_begin", job.row.uuid, set->run_uuid, why->text);
    project_snapshot_remove(run, &ignored);
    set->row.run_uuid = "";
    return jobs_end_try(jobs, &job.row, &set->row,
                        why->code == ERR_CANCELLED ? STATUS_ABORTED : STATUS_FAILURE,
                        cause_of_failure(why), e);
}

/* The run may have ended already, and its end have been taken in. */
static int settle(struct jobs *jobs, const char *run_uuid, const struct err *failure, struct err *e)
{
    auto_held_set struct held_set set = {0};
    JOBS_LOCKED(jobs);

    if (job_store_set_of_run(jobs->store, run_uuid, held_set_take, &set, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1;
    if (set.row.status != STATUS_STARTED)
        return 0;
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    if (failure)
        return jobs_end_transaction(jobs, give_up(jobs, &set, failure, e), e);
    set.row.is_posted = true;
    jobs->begun++;
    return jobs_end_transaction(jobs, job_store_set_set(jobs->store, &set.row, e), e);
}

/* The fire of a set that was claimed may have been ended before its run was made. */
static int is_wanted(struct jobs *jobs, const struct held_set *set, bool *ret_is_wanted,
                     struct err *e)
{
    struct fire_row fire;
    JOBS_LOCKED(jobs);

    if (job_store_fire(jobs->store, set->row.fire, held_fire_take, &fire, e) < 0)
        return -1;
    *ret_is_wanted = !fire_state_is_final(fire.state);
    return 0;
}

/* Makes the run of a set that is claimed, unless it is there. Should its fire be ended in this
 * moment, the run is cancelled as soon as it is there. */
static int begin(struct jobs *jobs, struct held_set *set, struct err *e)
{
    struct err failure;
    bool is_wanted_still = true, has_failed = false;
    int known = jobs_has_run(jobs, set->run_uuid, e);

    if (known < 0 || is_wanted(jobs, set, &is_wanted_still, e) < 0)
        return -1;
    if (!known && !is_wanted_still)
        has_failed = err_set(&failure, ERR_CANCELLED, "its fire was ended") < 0;
    else if (!known)
        has_failed = make_run(jobs, set, &failure) < 0;
    int result = settle(jobs, set->run_uuid, has_failed ? &failure : NULL, e);
    atomic_store(&jobs->has_orphans, true);
    jobs_wake(jobs);
    return result;
}

/* --- the thread --- */

/* With the lock held. */
static void sleep_for(struct jobs *jobs, msec delay)
{
    struct timespec until;
    msec at = clock_mono() + delay;

    until.tv_sec = at / 1000;
    until.tv_nsec = at % 1000 * 1000000;
    if (!jobs->is_closing)
        pthread_cond_timedwait(&jobs->work, &jobs->lock, &until);
}

static msec delay_until(msec wake)
{
    msec delay = wake > 0 ? wake - clock_wall() : LOOK_MS;

    return delay < 0 ? 0 : delay > LOOK_MS ? LOOK_MS : delay;
}

/* Claims the next set, or sleeps until there may be one. 1: `set` is claimed. */
static int claim_next(struct jobs *jobs, struct held_set *set, struct err *e)
{
    msec wake = 0;
    JOBS_LOCKED(jobs);

    int found = jobs->is_closing ? 0 : choose(jobs, set, &wake, e);
    if (found == 0)
        sleep_for(jobs, delay_until(wake));
    if (found <= 0)
        return found;
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, claim(jobs, set, e), e) < 0 ? -1 : 1;
}

static int read_started(struct jobs *jobs, struct held_sets *sets, struct err *e)
{
    const struct set_filter started = {.statuses = 1u << STATUS_STARTED};
    JOBS_LOCKED(jobs);

    return job_store_sets(jobs->store, &started, held_sets_take, sets, e);
}

/* What was claimed and not posted: by an earlier process, or before something failed. */
static int take_up(struct jobs *jobs, struct err *e)
{
    auto_held_sets struct held_sets sets = {0};

    if (read_started(jobs, &sets, e) < 0)
        return -1;
    for (size_t i = 0; i < sets.count; i++)
        if (!sets.items[i].row.is_posted && begin(jobs, &sets.items[i], e) < 0)
            return -1;
    return 0;
}

/* `has_loose`: sets may be claimed and not posted. */
static int work(struct jobs *jobs, bool *has_loose, struct err *e)
{
    auto_held_set struct held_set set = {0};

    if (*has_loose && take_up(jobs, e) < 0)
        return -1;
    *has_loose = true;
    int found = claim_next(jobs, &set, e);
    if (found < 0 || (found > 0 && begin(jobs, &set, e) < 0))
        return -1;
    *has_loose = false;
    return 0;
}

/* False: it is to end. Otherwise, after a failure, it is tried again in a while. */
static bool rest(struct jobs *jobs, bool has_failed)
{
    JOBS_LOCKED(jobs);

    if (has_failed)
        sleep_for(jobs, RETRY_MS);
    return !jobs->is_closing;
}

void *jobs_dispatch(void *user)
{
    struct jobs *jobs = user;
    bool has_loose = true, has_failed = false;
    struct err e;

    while (rest(jobs, has_failed)) {
        has_failed = work(jobs, &has_loose, &e) < 0;
        if (has_failed)
            jobs_tell(jobs, "jobs_failed", NULL, NULL, e.text);
    }
    return NULL;
}
