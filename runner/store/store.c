#include "runner/store/store_inner.h"

#include "base/mem.h"

#include <assert.h>
#include <stdio.h>

/* Ids of events are AUTOINCREMENT: a cursor that somebody holds must never mean another event,
 * also after the newest were deleted. Large texts come last in their rows, so that reading the
 * columns before them touches no overflow page. */
static const char *const migrations[] = {
    "CREATE TABLE runs("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, status TEXT NOT NULL,"
    " cause TEXT NOT NULL, created_time INTEGER NOT NULL, started_time INTEGER NOT NULL,"
    " finished_time INTEGER NOT NULL, step_count INTEGER NOT NULL, project TEXT NOT NULL,"
    " pipeline_path TEXT NOT NULL, pipeline_uuid TEXT NOT NULL, pipeline_name TEXT NOT NULL,"
    " run_type TEXT NOT NULL, job_uuid TEXT NOT NULL, rerun_of TEXT NOT NULL,"
    " images TEXT NOT NULL, options TEXT NOT NULL, uuids TEXT NOT NULL,"
    " parameters TEXT NOT NULL, definition BLOB NOT NULL);"
    "CREATE INDEX runs_open ON runs(id) WHERE finished_time=0;"
    "CREATE INDEX runs_status ON runs(status);"
    "CREATE INDEX runs_project ON runs(project);"
    "CREATE INDEX runs_pipeline ON runs(pipeline_uuid);"
    "CREATE INDEX runs_job ON runs(job_uuid) WHERE job_uuid<>'';"

    "CREATE TABLE steps("
    " run INTEGER NOT NULL, step INTEGER NOT NULL, status TEXT NOT NULL, cause TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, cells_total INTEGER NOT NULL, cells_done INTEGER NOT NULL,"
    " started_time INTEGER NOT NULL, finished_time INTEGER NOT NULL, uuid TEXT NOT NULL,"
    " title TEXT NOT NULL, file_path TEXT NOT NULL, failure TEXT NOT NULL,"
    " PRIMARY KEY(run, step)) WITHOUT ROWID;"

    "CREATE TABLE attempts("
    " run INTEGER NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " mark TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY(run, step, attempt)) WITHOUT ROWID;"

    "CREATE TABLE events("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, step INTEGER, attempt INTEGER,"
    " time INTEGER NOT NULL, event TEXT NOT NULL, status TEXT, cause TEXT, retry_at INTEGER,"
    " offset INTEGER, length INTEGER, payload TEXT);"
    "CREATE INDEX events_run ON events(run);"
    "CREATE INDEX events_state ON events(run) WHERE length IS NULL;",

    /* The definition, which may be large, moves out of the row that changes with every status. */
    "CREATE TABLE frozen("
    " run INTEGER PRIMARY KEY, environments TEXT NOT NULL, definition BLOB NOT NULL);"
    "INSERT INTO frozen SELECT id, '{}', definition FROM runs;"
    "ALTER TABLE runs DROP COLUMN definition;"
    "CREATE TABLE sources(run INTEGER PRIMARY KEY, sources TEXT NOT NULL);"
    "CREATE TABLE requests(key TEXT PRIMARY KEY, digest TEXT NOT NULL, run INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX runs_waiting ON runs(job_uuid) WHERE status='PENDING';"
    "CREATE INDEX runs_turn ON runs(pipeline_uuid, project) WHERE finished_time=0;"
    "CREATE INDEX requests_run ON requests(run);"
    "CREATE TABLE trash("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, uuid TEXT NOT NULL);",

    "CREATE INDEX events_finished ON events(id) WHERE event='run_finished';",
};

static const char *const texts[] = {
#define X(name, text) [name] = text,
    STORE_STATEMENTS(X)
#undef X
};

static const struct database_schema schema = {
    .migrations = migrations,
    .version = (int)(sizeof migrations / sizeof *migrations),
    .statements = texts,
    .statement_count = SQL_COUNT,
};

int store_open(const char *path, enum store_mode mode, struct store **ret_store, struct err *e)
{
    auto_store struct store *store = mem_zalloc(sizeof *store);

    if (database_open(&store->database, &schema, path, mode, e) < 0)
        return -1;
    *ret_store = take_ptr(&store);
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    database_close(&store->database);
    free(store);
}

int store_begin(struct store *store, struct err *e)
{
    return database_begin(&store->database, e);
}

int store_commit(struct store *store, enum store_sync sync, struct err *e)
{
    return database_commit(&store->database, sync, e);
}

void store_rollback(struct store *store)
{
    database_rollback(&store->database);
}

int store_probe(struct store *store, struct err *e)
{
    return database_probe(&store->database, e);
}

int store_copy(struct store *store, const char *path, struct err *e)
{
    return database_copy(&store->database, path, e);
}

static int add_frozen(struct store *store, int64_t run, const struct store_frozen *frozen,
                      struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_FROZEN);

    row_put(&row, run);
    row_put_text(&row, frozen->environments);
    row_put_blob(&row, frozen->definition);
    return row_run(&row, e);
}

int store_add_run(struct store *store, const struct store_run *run,
                  const struct store_frozen *frozen, int64_t *ret_run, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_RUN);
    const char *const values[] = {run->uuid,          run->project,       run->pipeline_path,
                                  run->pipeline_uuid, run->pipeline_name, run->run_type,
                                  run->uuids,         run->parameters,    run->images,
                                  run->options,       run->job_uuid,      run->rerun_of};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        row_put_text(&row, values[i]);
    row_put(&row, run->created_time);
    row_put(&row, run->step_count);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_run = database_last_id(&store->database);
    return add_frozen(store, *ret_run, frozen, e);
}

int store_set_sources(struct store *store, int64_t run, const char *sources, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_SOURCES);

    row_put(&row, run);
    row_put_text(&row, sources);
    return row_run(&row, e);
}

int store_add_request(struct store *store, const char *key, const char *digest, int64_t run,
                      struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_REQUEST);

    row_put_text(&row, key);
    row_put_text(&row, digest);
    row_put(&row, run);
    return row_run(&row, e);
}

int store_set_run(struct store *store, int64_t run, enum status status, enum cause cause,
                  msec started_time, msec finished_time, struct err *e)
{
    assert(status_is_final(status) == (finished_time > 0));
    auto_row struct row row = row_to_write(&store->database, SQL_SET_RUN);
    row_put(&row, run);
    row_put_text(&row, status_name(status));
    row_put_text(&row, cause_name(cause));
    row_put(&row, started_time);
    row_put(&row, finished_time);
    return row_update(&row, "run", e);
}

static void put_step(struct row *row, int64_t run, const struct store_step *step)
{
    row_put(row, run);
    row_put(row, step->step);
    row_put_text(row, status_name(step->status));
    row_put_text(row, cause_name(step->cause));
    row_put(row, step->attempt);
    row_put(row, step->cells_total);
    row_put(row, step->cells_done);
    row_put(row, step->started_time);
    row_put(row, step->finished_time);
    row_put_text(row, step->failure);
}

int store_add_step(struct store *store, int64_t run, const struct store_step *step, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_STEP);
    put_step(&row, run, step);
    row_put_text(&row, step->uuid);
    row_put_text(&row, step->title);
    row_put_text(&row, step->file_path);
    return row_run(&row, e);
}

int store_set_step(struct store *store, int64_t run, const struct store_step *step, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_STEP);
    put_step(&row, run, step);
    return row_update(&row, "step", e);
}

int store_add_attempt(struct store *store, int64_t run, const struct store_attempt *attempt,
                      struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_ATTEMPT);
    row_put(&row, run);
    row_put(&row, attempt->step);
    row_put(&row, attempt->attempt);
    row_put_text(&row, attempt->mark);
    row_put(&row, (int64_t)attempt->offset);
    return row_run(&row, e);
}

int store_set_offset(struct store *store, int64_t run, uint32_t step, uint32_t attempt,
                     uint64_t offset, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_SET_OFFSET);
    row_put(&row, run);
    row_put(&row, step);
    row_put(&row, attempt);
    row_put(&row, (int64_t)offset);
    return row_update(&row, "attempt", e);
}

static bool has_status(enum run_event_kind kind)
{
    return kind == EVENT_STEP_FINISHED || kind == EVENT_RUN_FINISHED;
}

/* Columns that mean nothing for this kind of event stay NULL. */
int store_add_event(struct store *store, int64_t run, const struct run_event *event,
                    const char *payload, int64_t *ret_id, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_EVENT);
    row_put(&row, run);
    if (event->step == STEP_NONE) {
        row_put_null(&row);
        row_put_null(&row);
    } else {
        row_put(&row, event->step);
        row_put(&row, event->attempt);
    }
    row_put(&row, event->time);
    row_put_text(&row, run_event_name(event->kind));
    row_put_text(&row, has_status(event->kind) ? status_name(event->status) : NULL);
    row_put_text(&row, event->cause != CAUSE_NONE ? cause_name(event->cause) : NULL);
    if (event->kind == EVENT_STEP_RETRYING)
        row_put(&row, event->retry_at);
    else
        row_put_null(&row);
    row_put_text(&row, payload);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_id = database_last_id(&store->database);
    return 0;
}

int store_add_line(struct store *store, int64_t run, const struct store_line *line, int64_t *ret_id,
                   struct err *e)
{
    assert(line->length > 0); /* a length is what tells a line from an event of the state */
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_LINE);
    row_put(&row, run);
    row_put(&row, line->step);
    row_put(&row, line->attempt);
    row_put(&row, line->time);
    row_put_text(&row, line->event);
    row_put(&row, (int64_t)line->offset);
    row_put(&row, line->length);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_id = database_last_id(&store->database);
    return 0;
}

/* ---- deleting ---- */

static int add_trash(struct store *store, int64_t run, const char *uuid, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_TRASH);

    row_put(&row, run);
    row_put_text(&row, uuid);
    return row_run(&row, e);
}

/* The run's row is gone by now: who it was about stands in the payload. */
static int add_deleted_event(struct store *store, int64_t run, const char *uuid, msec time,
                             int64_t *ret_id, struct err *e)
{
    auto_row struct row row = row_to_write(&store->database, SQL_ADD_EVENT);
    char payload[64];

    snprintf(payload, sizeof payload, "{\"run_uuid\":\"%s\"}", uuid);
    row_put(&row, run);
    row_put_null(&row);
    row_put_null(&row);
    row_put(&row, time);
    row_put_text(&row, "run_deleted");
    row_put_null(&row);
    row_put_null(&row);
    row_put_null(&row);
    row_put_text(&row, payload);
    if (row_run(&row, e) < 0)
        return -1;
    *ret_id = database_last_id(&store->database);
    return 0;
}

int store_delete_run(struct store *store, int64_t run, const char *uuid, msec time, int64_t *ret_id,
                     struct err *e)
{
    /* Its key goes at once: asked again, the request makes a new run. */
    if (database_change(&store->database, SQL_DELETE_RUN, run, e) < 0 ||
        database_change(&store->database, SQL_SHRED_REQUESTS, run, e) < 0 ||
        add_trash(store, run, uuid, e) < 0)
        return -1;
    return add_deleted_event(store, run, uuid, time, ret_id, e);
}

int store_shred(struct store *store, int64_t run, uint32_t limit, struct err *e)
{
    static const enum store_statement rest[] = {SQL_SHRED_STEPS, SQL_SHRED_ATTEMPTS,
                                                SQL_SHRED_FROZEN, SQL_SHRED_SOURCES};
    auto_row struct row row = row_to_write(&store->database, SQL_SHRED_EVENTS);

    row_put(&row, run);
    row_put(&row, limit);
    int removed = row_change(&row, e);
    for (unsigned i = 0; removed == 0 && i < sizeof rest / sizeof *rest; i++)
        if (database_change(&store->database, rest[i], run, e) < 0)
            return -1;
    return removed;
}

int store_forget_trash(struct store *store, int64_t run, struct err *e)
{
    return database_change(&store->database, SQL_FORGET_TRASH, run, e) < 0 ? -1 : 0;
}
