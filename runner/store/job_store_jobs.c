/* Jobs, what they are made of, and the requests that made them. */
#include "runner/store/job_store_inner.h"

#include "base/mem.h"

#include <stdio.h>

static const char *const state_names[] = {
#define X(state, name) [state] = name,
    JOB_STATES(X)
#undef X
};

#define STATE_COUNT (sizeof state_names / sizeof *state_names)

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

int job_state_parse(const char *name, enum job_state *ret_state, struct err *e)
{
    for (unsigned i = 0; i < STATE_COUNT; i++) {
        if (strcmp(name, state_names[i]) == 0) {
            *ret_state = (enum job_state)i;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "\"%s\" is no status of a job", name);
}

bool job_state_is_final(enum job_state state)
{
    return state == JOB_SUCCESS || state == JOB_FAILURE || state == JOB_ABORTED;
}

/* ---- writing ---- */

/* What job_store_add and job_store_set both write, in the order of their statements. */
static void put_job(struct row *row, const struct job_row *job)
{
    row_put_text(row, job->name);
    row_put_text(row, job_state_name(job->state));
    row_put(row, job->is_deleted);
    row_put_text(row, job->project);
    row_put_text(row, job->pipeline_path);
    row_put_text(row, job->pipeline_uuid);
    row_put_text(row, job->pipeline_name);
    row_put_text(row, job->schedule);
    row_put_text(row, job->policy);
    row_put_text(row, job->duplicate_of);
    row_put_text(row, job->snapshot);
    row_put(row, job->set_count);
    row_put(row, (int64_t)job->snapshot_files);
    row_put(row, (int64_t)job->snapshot_bytes);
    row_put(row, job->confirmed_time);
    row_put(row, job->finished_time);
    row_put(row, job->next_due);
    row_put(row, (int64_t)job->dropped);
}

static int add_job(struct job_store *store, const struct job_row *job, int64_t *ret_job,
                   struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_JOB);

    row_put_text(&row, job->uuid);
    row_put(&row, job->created_time);
    put_job(&row, job);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_job = database_last_id(&store->database);
    return 0;
}

static int add_definition(struct job_store *store, int64_t job, const char *parameters,
                          struct str definition, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_DEFINITION);

    row_put(&row, job);
    row_put_text(&row, parameters);
    row_put_blob(&row, definition);
    return row_run(&row, e);
}

static int add_request(struct job_store *store, const char *key, const char *digest, int64_t job,
                       struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_REQUEST);

    row_put_text(&row, key);
    row_put_text(&row, digest);
    row_put(&row, job);
    return row_run(&row, e);
}

int job_store_add(struct job_store *store, const struct job_row *job, struct str definition,
                  const char *key, const char *digest, int64_t *ret_job, struct err *e)
{
    int64_t id;

    if (add_job(store, job, &id, e) < 0 ||
        add_definition(store, id, job->parameters, definition, e) < 0 ||
        (key && add_request(store, key, digest, id, e) < 0))
        return -1;
    *ret_job = id;
    return 0;
}

static int set_parameters(struct job_store *store, int64_t job, const char *parameters,
                          struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_PARAMETERS);

    row_put(&row, job);
    row_put_text(&row, parameters);
    return row_run(&row, e);
}

static int set_job(struct job_store *store, const struct job_row *job, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_JOB);

    row_put(&row, job->id);
    put_job(&row, job);
    return row_update(&row, "job", e);
}

int job_store_set(struct job_store *store, const struct job_row *job, struct err *e)
{
    if (set_job(store, job, e) < 0 || set_parameters(store, job->id, job->parameters, e) < 0)
        return -1;
    if (!job->is_deleted)
        return 0;
    /* Asked again, the request makes a new job. */
    return database_change(&store->database, SQL_REMOVE_REQUESTS, job->id, e) < 0 ? -1 : 0;
}

int job_store_set_definition(struct job_store *store, int64_t job, struct str definition,
                             struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_DEFINITION);

    row_put(&row, job);
    row_put_blob(&row, definition);
    return row_update(&row, "job", e);
}

int job_store_remove(struct job_store *store, int64_t job, struct err *e)
{
    static const enum job_store_statement all[] = {SQL_REMOVE_METRICS,  SQL_REMOVE_SETS,
                                                   SQL_REMOVE_FIRES,    SQL_REMOVE_DEFINITION,
                                                   SQL_REMOVE_REQUESTS, SQL_REMOVE_JOB};

    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (database_change(&store->database, all[i], job, e) < 0)
            return -1;
    return 0;
}

int job_store_served(struct job_store *store, int64_t job, msec time, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SERVED);

    row_put(&row, job);
    row_put(&row, time);
    return row_update(&row, "job", e);
}

int job_store_set_hungry(struct job_store *store, int64_t job, struct err *e)
{
    return database_change(&store->database, SQL_SET_HUNGRY, job, e) < 0 ? -1 : 0;
}

/* ---- reading ---- */

static int read_job(struct row *row, struct job_row *job, struct err *e)
{
    *job = (struct job_row){.id = row_int(row), .uuid = row_text(row), .name = row_text(row)};
    if (job_state_parse(row_text(row), &job->state, e) < 0)
        return database_damaged(row->database, job->uuid, e);
    job->is_deleted = row_int(row) != 0;
    job->project = row_text(row);
    job->pipeline_path = row_text(row);
    job->pipeline_uuid = row_text(row);
    job->pipeline_name = row_text(row);
    job->duplicate_of = row_text(row);
    job->snapshot = row_text(row);
    job->set_count = (uint32_t)row_int(row);
    job->snapshot_files = (uint64_t)row_int(row);
    job->snapshot_bytes = (uint64_t)row_int(row);
    job->created_time = row_int(row);
    job->confirmed_time = row_int(row);
    job->finished_time = row_int(row);
    job->next_due = row_int(row);
    job->dropped = (uint64_t)row_int(row);
    job->schedule = row_text(row);
    job->policy = row_text(row);
    job->parameters = row_text(row);
    return 0;
}

static int each_job(struct row *row, job_row_fn *fn, void *data, struct err *e)
{
    for (;;) {
        struct job_row job;
        int more = row_step(row, e);
        if (more <= 0)
            return more;
        if (read_job(row, &job, e) < 0)
            return -1;
        int ended = fn(data, &job, e);
        if (ended != 0)
            return ended;
    }
}

/* The one job of a statement; `what` is said where there is none. */
static int one_job(struct row *row, const char *what, job_row_fn *fn, void *data, struct err *e)
{
    struct job_row job;
    int found = row_step(row, e);

    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no job \"%s\"", what);
    if (found < 0 || read_job(row, &job, e) < 0)
        return -1;
    return fn(data, &job, e);
}

int job_store_job(struct job_store *store, const char *uuid, job_row_fn *fn, void *data,
                  struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_JOB);

    row_put_text(&row, uuid);
    return one_job(&row, uuid, fn, data, e);
}

int job_store_job_by_id(struct job_store *store, int64_t job, job_row_fn *fn, void *data,
                        struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_JOB_BY_ID);
    char id[24];

    snprintf(id, sizeof id, "%lld", (long long)job);
    row_put(&row, job);
    return one_job(&row, id, fn, data, e);
}

int job_store_definition(struct job_store *store, int64_t job, struct buf *out, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_DEFINITION);

    row_put(&row, job);
    int found = row_step(&row, e);
    if (found == 0)
        return err_set(e, ERR_NOT_FOUND, "there is no job \"%lld\"", (long long)job);
    if (found < 0)
        return -1;
    struct str definition = row_blob(&row);
    buf_put(out, definition.text, definition.len);
    return 0;
}

int job_store_request(struct job_store *store, const char *key, char digest[65],
                      struct uuid *ret_job, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_REQUEST);

    row_put_text(&row, key);
    int found = row_step(&row, e);
    if (found <= 0)
        return found;
    snprintf(digest, 65, "%s", row_text(&row));
    *ret_job = uuid_of(row_text(&row));
    return 1;
}

static const char *name_of_state(unsigned state)
{
    return state_names[state];
}

int job_store_jobs(struct job_store *store, const struct job_filter *filter, job_row_fn *fn,
                   void *data, struct err *e)
{
    auto_buf struct buf sql = {0};
    buf_puts(&sql, JOB_STORE_JOB_COLUMNS " WHERE j.deleted=0 AND j.id<?");
    if (filter->project)
        buf_puts(&sql, " AND j.project=?");
    if (filter->pipeline_uuid)
        buf_puts(&sql, " AND j.pipeline_uuid=?");
    if (filter->states) {
        buf_puts(&sql, " AND j.state ");
        sql_put_in(&sql, filter->states, STATE_COUNT, name_of_state);
    }
    buf_puts(&sql, " ORDER BY j.id DESC LIMIT ?");
    auto_row struct row row = row_of_text(&store->database, buf_text(&sql));
    row_put(&row, filter->before > 0 ? filter->before : INT64_MAX);
    if (filter->project)
        row_put_text(&row, filter->project);
    if (filter->pipeline_uuid)
        row_put_text(&row, filter->pipeline_uuid);
    row_put(&row, filter->limit > 0 ? (int64_t)filter->limit : -1);
    return each_job(&row, fn, data, e);
}

int job_store_due(struct job_store *store, msec until, job_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_DUE);

    row_put(&row, until);
    return each_job(&row, fn, data, e);
}

int job_store_next_due(struct job_store *store, msec after, msec *ret_due, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_NEXT_DUE);

    row_put(&row, after);
    if (row_step(&row, e) < 0)
        return -1;
    *ret_due = row_int(&row);
    return 0;
}

int job_store_deleted(struct job_store *store, job_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_DELETED);

    return each_job(&row, fn, data, e);
}

int job_store_hungry(struct job_store *store, job_row_fn *fn, void *data, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_HUNGRY);

    return each_job(&row, fn, data, e);
}
