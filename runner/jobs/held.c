#include "runner/jobs/held.h"

#include "base/mem.h"

#include <assert.h>

const char *held_job_text(struct held_job *job, const char *text)
{
    assert(job->text_count < sizeof job->texts / sizeof *job->texts);
    job->texts[job->text_count] = mem_strdup(text);
    return job->texts[job->text_count++];
}

int held_job_take(void *user, const struct job_row *row, struct err *e)
{
    struct held_job *job = user;

    (void)e;
    held_job_clear(job);
    job->row = *row;
    job->row.uuid = held_job_text(job, row->uuid);
    job->row.name = held_job_text(job, row->name);
    job->row.project = held_job_text(job, row->project);
    job->row.pipeline_path = held_job_text(job, row->pipeline_path);
    job->row.pipeline_uuid = held_job_text(job, row->pipeline_uuid);
    job->row.pipeline_name = held_job_text(job, row->pipeline_name);
    job->row.parameters = held_job_text(job, row->parameters);
    job->row.schedule = held_job_text(job, row->schedule);
    job->row.policy = held_job_text(job, row->policy);
    job->row.duplicate_of = held_job_text(job, row->duplicate_of);
    job->row.snapshot = held_job_text(job, row->snapshot);
    return 0;
}

void held_job_clear(struct held_job *job)
{
    for (unsigned i = 0; i < job->text_count; i++)
        free(job->texts[i]);
    *job = (struct held_job){0};
}

int held_set_take(void *user, const struct set_row *row, struct err *e)
{
    struct held_set *set = user;

    (void)e;
    held_set_clear(set);
    set->row = *row;
    set->row.run_uuid = set->run_uuid = mem_strdup(row->run_uuid);
    set->row.parameters = set->parameters = mem_strdup(row->parameters);
    return 0;
}

void held_set_clear(struct held_set *set)
{
    free(set->run_uuid);
    free(set->parameters);
    *set = (struct held_set){0};
}

int held_sets_take(void *user, const struct set_row *row, struct err *e)
{
    struct held_sets *sets = user;

    mem_grow(sets->items, sets->count, sets->capacity);
    sets->items[sets->count] = (struct held_set){0};
    return held_set_take(&sets->items[sets->count++], row, e);
}

void held_sets_clear(struct held_sets *sets)
{
    for (size_t i = 0; i < sets->count; i++)
        held_set_clear(&sets->items[i]);
    free(sets->items);
    *sets = (struct held_sets){0};
}

int held_fire_take(void *user, const struct fire_row *row, struct err *e)
{
    (void)e;
    *(struct fire_row *)user = *row;
    return 0;
}

static int take_id(struct held_ids *ids, int64_t id)
{
    mem_grow(ids->items, ids->count, ids->capacity);
    ids->items[ids->count++] = id;
    return 0;
}

int held_ids_take_job(void *user, const struct job_row *row, struct err *e)
{
    (void)e;
    return take_id(user, row->id);
}

int held_ids_take_fire(void *user, const struct fire_row *row, struct err *e)
{
    (void)e;
    return take_id(user, row->id);
}

int held_ids_take_webhook(void *user, const struct webhook_row *row, struct err *e)
{
    (void)e;
    return take_id(user, row->id);
}

void held_ids_clear(struct held_ids *ids)
{
    free(ids->items);
    *ids = (struct held_ids){0};
}

void held_uuids_add(struct held_uuids *uuids, const char *uuid)
{
    mem_grow(uuids->items, uuids->count, uuids->capacity);
    uuids->items[uuids->count++] = uuid_of(uuid);
}

int held_uuids_take_run(void *user, const struct store_run *run, struct err *e)
{
    (void)e;
    held_uuids_add(user, run->uuid);
    return 0;
}

void held_uuids_clear(struct held_uuids *uuids)
{
    free(uuids->items);
    *uuids = (struct held_uuids){0};
}
