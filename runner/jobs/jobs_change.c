/* What people ask of jobs that are there. Each is one transaction; what follows from it is carried
 * out by the two threads. */
#include "base/mem.h"
#include "runner/jobs/jobs_private.h"

#include <stdio.h>
#include <string.h>

/* --- changing --- */

/* A job that is there; deleted ones are not, for anybody. */
static int find(struct jobs *jobs, const char *uuid, struct held_job *job, struct err *e)
{
    if (job_store_job(jobs->store, uuid, held_job_take, job, e) < 0)
        return -1;
    if (job->row.is_deleted)
        return err_set(e, ERR_NOT_FOUND, "there is no job \"%s\"", uuid);
    return 0;
}

static int refuse(const struct held_job *job, const char *what, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "the job is %s: %s", job_state_name(job->row.state), what);
}

typedef int change_fn(struct jobs *jobs, struct held_job *job, const void *data, struct err *e);

/* Finds the job and does `change` in a transaction, which writes the row. */
static int change_job(struct jobs *jobs, const char *uuid, change_fn *change, const void *data,
                      struct err *e)
{
    auto_held_job struct held_job job = {0};
    int result;

    pthread_mutex_lock(&jobs->lock);
    result = job_store_begin(jobs->store, e);
    if (result == 0) {
        result = find(jobs, uuid, &job, e);
        if (result == 0)
            result = change(jobs, &job, data, e);
        if (result == 0)
            result = job_store_set(jobs->store, &job.row, e);
        result = jobs_end_transaction(jobs, result, e);
    }
    pthread_mutex_unlock(&jobs->lock);
    if (result == 0)
        jobs_stir(jobs);
    return result;
}

static int is_cron(const struct held_job *job, bool *ret_is_cron, struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;

    if (schedule_parse(job->row.schedule, &schedule, e) < 0)
        return -1;
    *ret_is_cron = schedule_kind(schedule) == SCHEDULE_CRON;
    return 0;
}

/* When a job whose schedule was changed, or that was paused, is due from now on. */
static int set_next(struct held_job *job, struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;

    if (schedule_parse(job->row.schedule, &schedule, e) < 0)
        return -1;
    bool is_once = schedule_kind(schedule) == SCHEDULE_AT; /* also one whose time is past */
    job->row.next_due = schedule_next(schedule, is_once ? 0 : clock_wall());
    return 0;
}

static int change_schedule(struct held_job *job, const struct schedule *schedule, struct err *e)
{
    bool was_cron;

    if (is_cron(job, &was_cron, e) < 0)
        return -1;
    if (job->row.state == JOB_DRAFT) {
        job_put_schedule(job, schedule);
        return 0;
    }
    bool has_come = job->row.state == JOB_STARTED || job->row.next_due == 0;
    if (job_state_is_final(job->row.state) || (!was_cron && has_come))
        return refuse(job, "its schedule cannot be changed any more", e);
    if (schedule_kind(schedule) == SCHEDULE_NOW)
        return err_set(e, ERR_CONFLICT, "the job is confirmed: trigger it to run it now");
    job_put_schedule(job, schedule);
    if (set_next(job, e) < 0)
        return -1;
    if (job->row.state != JOB_PAUSED)
        job->row.state = schedule_kind(schedule) == SCHEDULE_CRON ? JOB_STARTED : JOB_PENDING;
    return 0;
}

/* What a change brings besides the row; `snapshot` is "" where the project stays as it was. */
struct whole_change {
    const struct job_change *asked;
    const struct held_job *fresh; /* of whose snapshot the row gets name and size; NULL: none */
};

static int has_open_fire(struct jobs *jobs, int64_t job, bool *ret_has, struct err *e)
{
    auto_held_ids struct held_ids open = {0};
    const struct fire_filter filter = {.job = job, .is_open = true, .limit = 1};

    int result = job_store_fires(jobs->store, &filter, held_ids_take_fire, &open, e);
    *ret_has = open.count > 0;
    return result < 0 ? -1 : 0;
}

static int apply_change(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    const struct whole_change *whole = data;
    const struct job_change *asked = whole->asked;
    bool cron, has_fire;

    if (is_cron(job, &cron, e) < 0 || has_open_fire(jobs, job->row.id, &has_fire, e) < 0)
        return -1;
    bool is_open = job->row.state == JOB_DRAFT || job->row.state == JOB_PENDING || cron;
    if ((asked->sets || asked->pipeline) && (!is_open || job_state_is_final(job->row.state)))
        return refuse(job, "what it runs cannot be changed any more; duplicate it", e);
    if (asked->pipeline && has_fire) /* all sets of a fire run the same */
        return refuse(job, "a fire of it goes on: refresh it when that has ended", e);
    if (asked->name)
        job->row.name = held_job_text(job, asked->name);
    if (asked->sets)
        job_put_sets(job, asked->sets);
    if (asked->policy)
        job_put_policy(job, asked->policy);
    if (asked->schedule && change_schedule(job, asked->schedule, e) < 0)
        return -1;
    if (!whole->fresh)
        return 0;
    job->row.snapshot = held_job_text(job, whole->fresh->row.snapshot);
    job->row.snapshot_files = whole->fresh->row.snapshot_files;
    job->row.snapshot_bytes = whole->fresh->row.snapshot_bytes;
    job->row.pipeline_name = held_job_text(job, asked->pipeline->name);
    return job_store_set_definition(jobs->store, job->row.id, job_definition(asked->pipeline), e);
}

static int read_job(struct jobs *jobs, const char *uuid, struct held_job *job, struct err *e)
{
    JOBS_LOCKED(jobs);

    return find(jobs, uuid, job, e);
}

/* With a new snapshot beside the old one, which goes when nobody copies it any more. */
static int renew(struct jobs *jobs, const char *job_uuid, const struct job_change *change,
                 struct err *e)
{
    auto_held_job struct held_job old = {0}, fresh = {0};

    if (read_job(jobs, job_uuid, &old, e) < 0)
        return -1;
    fresh.row.uuid = held_job_text(&fresh, old.row.uuid);
    if (jobs_take_snapshot(jobs, old.row.project, &fresh, e) < 0)
        return -1;
    struct whole_change whole = {.asked = change, .fresh = &fresh};
    pthread_mutex_lock(&jobs->copying);
    int result = change_job(jobs, job_uuid, apply_change, &whole, e);
    jobs_drop_snapshot(jobs, result < 0 ? &fresh.row : &old.row);
    pthread_mutex_unlock(&jobs->copying);
    return result;
}

int jobs_change(struct jobs *jobs, const char *job_uuid, const struct job_change *change,
                struct err *e)
{
    struct whole_change whole = {.asked = change};

    if (change->pipeline)
        return renew(jobs, job_uuid, change, e);
    return change_job(jobs, job_uuid, apply_change, &whole, e);
}

/* --- states --- */

static int apply_confirm(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    (void)data;
    if (job->row.state != JOB_DRAFT)
        return refuse(job, "only a draft can be confirmed", e);
    return jobs_begin_job(jobs, job, e);
}

int jobs_confirm(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    return change_job(jobs, job_uuid, apply_confirm, NULL, e);
}

static int apply_pause(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    (void)jobs;
    (void)data;
    if (job->row.state != JOB_PENDING && job->row.state != JOB_STARTED)
        return refuse(job, "only what is confirmed and has not ended can be paused", e);
    job->row.state = JOB_PAUSED;
    return 0;
}

int jobs_pause(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    return change_job(jobs, job_uuid, apply_pause, NULL, e);
}

/* Times that came while it was paused are not made up for; one that comes once is. */
static int apply_resume(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    bool cron, has_open;

    (void)data;
    if (job->row.state != JOB_PAUSED)
        return refuse(job, "only a paused one can be resumed", e);
    if (is_cron(job, &cron, e) < 0 || has_open_fire(jobs, job->row.id, &has_open, e) < 0)
        return -1;
    job->row.state = cron || has_open ? JOB_STARTED : JOB_PENDING;
    return cron ? set_next(job, e) : 0;
}

int jobs_resume(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    return change_job(jobs, job_uuid, apply_resume, NULL, e);
}

static int apply_trigger(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    uint32_t *const *ret_fire = data;
    bool cron;

    if (is_cron(job, &cron, e) < 0)
        return -1;
    if (cron && job_state_is_final(job->row.state))
        return refuse(job, "duplicate it to have it again", e);
    if (job->row.state == JOB_DRAFT)
        return refuse(job, "confirm it first", e);
    if (job->row.state == JOB_PAUSED)
        return refuse(job, "resume it first", e);
    job->row.state = JOB_STARTED;
    job->row.finished_time = 0;
    return jobs_add_fire(jobs, &job->row, FIRE_TRIGGER, FIRE_OPEN, clock_wall(), *ret_fire, e);
}

int jobs_trigger(struct jobs *jobs, const char *job_uuid, uint32_t *ret_fire, struct err *e)
{
    return change_job(jobs, job_uuid, apply_trigger, &ret_fire, e);
}

static int apply_abort(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    (void)data;
    if (job_state_is_final(job->row.state))
        return refuse(job, "it has ended", e);
    job->row.state = JOB_ABORTED;
    job->row.next_due = 0;
    job->row.finished_time = clock_wall();
    if (job_store_set(jobs->store, &job->row, e) < 0) /* what is told of its fires says so */
        return -1;
    return jobs_abort_fires(jobs, job->row.id, e);
}

int jobs_abort(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    return change_job(jobs, job_uuid, apply_abort, NULL, e);
}

static int apply_delete(struct jobs *jobs, struct held_job *job, const void *data, struct err *e)
{
    if (!job_state_is_final(job->row.state) && apply_abort(jobs, job, data, e) < 0)
        return -1;
    job->row.is_deleted = true;
    atomic_store(&jobs->has_deleted, true);
    return 0;
}

int jobs_delete(struct jobs *jobs, const char *job_uuid, struct err *e)
{
    return change_job(jobs, job_uuid, apply_delete, NULL, e);
}
