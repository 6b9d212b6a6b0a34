/* Making jobs, and what a change of one has in common with that: their rows and their snapshots. */
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/jobs/jobs_private.h"
#include "runner/snapshots/project_snapshot.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- rows --- */

static const char *keep(struct held_job *job, struct buf *text)
{
    return held_job_text(job, buf_text(text));
}

void job_put_schedule(struct held_job *job, const struct schedule *schedule)
{
    auto_buf struct buf text = {0};

    schedule_put(schedule, &text);
    job->row.schedule = keep(job, &text);
}

void job_put_policy(struct held_job *job, const struct job_policy *policy)
{
    auto_buf struct buf text = {0};

    job_policy_put(policy, &text);
    job->row.policy = keep(job, &text);
}

void job_put_sets(struct held_job *job, const struct parameter_sets *sets)
{
    auto_buf struct buf text = {0};

    parameter_sets_put(sets, &text);
    job->row.parameters = keep(job, &text);
    job->row.set_count = parameter_sets_count(sets);
}

struct str job_definition(const struct pipeline *pipeline)
{
    return (struct str){pipeline->doc.text, pipeline->doc.len};
}

/* In a transaction: the job begins, now or when it is due. */
int jobs_begin_job(struct jobs *jobs, struct held_job *job, struct err *e)
{
    auto_schedule struct schedule *schedule = NULL;
    struct job_row *row = &job->row;
    msec now = clock_wall();

    if (schedule_parse(row->schedule, &schedule, e) < 0)
        return -1;
    row->confirmed_time = now;
    switch (schedule_kind(schedule)) {
    case SCHEDULE_NOW:
        row->state = JOB_STARTED;
        if (jobs_add_fire(jobs, row, FIRE_TRIGGER, FIRE_OPEN, now, NULL, e) < 0)
            return -1;
        break;
    case SCHEDULE_AT:
        row->state = JOB_PENDING;
        row->next_due = schedule_next(schedule, 0);
        break;
    case SCHEDULE_CRON:
        row->state = JOB_STARTED;
        row->next_due = schedule_next(schedule, now);
        break;
    }
    return job_store_set(jobs->store, row, e);
}

/* --- making --- */

int jobs_take_snapshot(struct jobs *jobs, const char *project, struct held_job *job, struct err *e)
{
    struct project_snapshot_size size = {0};
    char name[17];

    random_hex(name, 8);
    job->row.snapshot = held_job_text(job, name);
    auto_free char *path = jobs_snapshot_dir(jobs, &job->row);
    if (project_snapshot_make(project, path, &size, e) < 0) {
        jobs_drop_snapshot(jobs, &job->row); /* it is there when only its last sync failed */
        return -1;
    }
    job->row.snapshot_files = size.files;
    job->row.snapshot_bytes = size.bytes;
    return 0;
}

void jobs_drop_snapshot(const struct jobs *jobs, const struct job_row *job)
{
    auto_free char *path = jobs_snapshot_dir(jobs, job);
    auto_free char *directory = fs_dirname(path);
    struct err ignored; /* then the next start removes it */

    project_snapshot_remove(path, &ignored);
    rmdir(directory); /* unless the job has another one in it */
}

static int add(struct jobs *jobs, struct held_job *job, const struct job_request *request,
               struct err *e)
{
    if (job_store_add(jobs->store, &job->row, job_definition(request->pipeline), request->key,
                      request->digest, &job->row.id, e) < 0)
        return -1;
    return request->is_draft ? 0 : jobs_begin_job(jobs, job, e);
}

static int count_job(void *user, const struct job_row *job, struct err *e)
{
    (void)job;
    (void)e;
    ++*(uint32_t *)user;
    return 0;
}

/* 1: the key was used before. */
static int look_up_key(struct jobs *jobs, const struct job_request *request, struct uuid *ret_job,
                       struct err *e)
{
    char digest[65];

    if (!request->key)
        return 0;
    int found = job_store_request(jobs->store, request->key, digest, ret_job, e);
    if (found > 0 && strcmp(digest, request->digest) != 0)
        return err_set(e, ERR_INVALID, "the key \"%s\" was used for another request", request->key);
    return found;
}

static int check_new(struct jobs *jobs, const struct job_request *request, struct uuid *ret_job,
                     struct err *e)
{
    const struct job_filter all = {0};
    uint32_t count = 0;
    JOBS_LOCKED(jobs);

    int known = look_up_key(jobs, request, ret_job, e);
    if (known != 0)
        return known;
    if (job_store_jobs(jobs->store, &all, count_job, &count, e) < 0)
        return -1;
    return count < LIMIT_JOBS
               ? 0
               : err_set(e, ERR_LIMIT, "there are %u jobs already: delete some", LIMIT_JOBS);
}

static void describe(struct held_job *job, const struct job_request *request)
{
    const struct pipeline *pipeline = request->pipeline;

    job->row.state = JOB_DRAFT;
    job->row.name = held_job_text(job, request->name);
    job->row.project = held_job_text(job, request->project_dir);
    job->row.pipeline_path = held_job_text(job, request->pipeline_path);
    job->row.pipeline_uuid = held_job_text(job, pipeline->uuid);
    job->row.pipeline_name = held_job_text(job, pipeline->name);
    job->row.duplicate_of = held_job_text(job, request->duplicate_of ? request->duplicate_of : "");
    job->row.created_time = clock_wall();
    job_put_sets(job, request->sets);
    job_put_schedule(job, request->schedule);
    job_put_policy(job, request->policy);
}

/* With the lock. The same key may have come with another request meanwhile. */
static int store_new(struct jobs *jobs, struct held_job *job, const struct job_request *request,
                     struct uuid *ret_job, struct err *e)
{
    JOBS_LOCKED(jobs);

    int known = look_up_key(jobs, request, ret_job, e);
    if (known != 0)
        return known;
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, add(jobs, job, request, e), e);
}

int jobs_create(struct jobs *jobs, const struct job_request *request, struct uuid *ret_job,
                bool *ret_is_repeated, struct err *e)
{
    auto_held_job struct held_job job = {0};
    struct uuid uuid = uuid_random();

    int known = check_new(jobs, request, ret_job, e);
    *ret_is_repeated = known > 0;
    if (known != 0)
        return known < 0 ? -1 : 0;
    job.row.uuid = held_job_text(&job, uuid.text);
    describe(&job, request);
    if (jobs_take_snapshot(jobs, request->project_dir, &job, e) < 0)
        return -1;
    known = store_new(jobs, &job, request, ret_job, e);
    *ret_is_repeated = known > 0;
    if (known != 0) {
        jobs_drop_snapshot(jobs, &job.row);
        return known < 0 ? -1 : 0;
    }
    *ret_job = uuid;
    jobs_tell(jobs, request->is_draft ? "job_drafted" : "job_confirmed", uuid.text, NULL,
              request->name);
    jobs_stir(jobs);
    return 0;
}
