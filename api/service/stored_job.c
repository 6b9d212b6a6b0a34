#include "api/service/stored_job.h"

#include "base/mem.h"

int stored_job_read_row(struct job_store *store, const char *job_uuid, struct held_job *ret_held,
                        struct err *e)
{
    if (job_store_job(store, job_uuid, held_job_take, ret_held, e) < 0)
        return -1;
    if (ret_held->row.is_deleted)
        return err_set(e, ERR_NOT_FOUND, "no job \"%s\"", job_uuid);
    return 0;
}

/* What was written once and cannot be read is no fault of whoever asks. */
static int broken(struct err *e)
{
    err_prefix(e, "what is stored of the job cannot be read");
    e->code = ERR_IO;
    return -1;
}

static int read_pipeline(struct job_store *store, struct stored_job *job, struct err *e)
{
    auto_buf struct buf definition = {0};
    auto_problems struct problems problems = {0};

    if (job_store_definition(store, job->held.row.id, &definition, e) < 0)
        return -1;
    /* Its uuid stands in the row: what it would get one from does not matter. */
    if (pipeline_parse((struct str){buf_text(&definition), definition.len}, "", &job->pipeline,
                       &problems, e) < 0)
        return broken(e);
    return 0;
}

int stored_job_read(struct job_store *store, const char *job_uuid, struct stored_job *ret_job,
                    struct err *e)
{
    const struct job_row *row = &ret_job->held.row;

    if (stored_job_read_row(store, job_uuid, &ret_job->held, e) < 0 ||
        read_pipeline(store, ret_job, e) < 0)
        return -1;
    if (parameter_sets_parse(str_of(row->parameters), ret_job->pipeline, &ret_job->sets, e) < 0 ||
        schedule_parse(row->schedule, &ret_job->schedule, e) < 0 ||
        job_policy_parse(&ret_job->policy, row->policy, e) < 0)
        return broken(e);
    return 0;
}

void stored_job_clear(struct stored_job *job)
{
    held_job_clear(&job->held);
    parameter_sets_free(job->sets);
    pipeline_free(job->pipeline);
    schedule_free(job->schedule);
    job_policy_clear(&job->policy);
    *job = (struct stored_job){0};
}
