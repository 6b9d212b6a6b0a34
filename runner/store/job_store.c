/* What is asked again and again (what is due, what is to be begun next) is answered by partial
 * indexes, which hold only what is open: they stay small whatever has piled up. A statement that
 * shall go by one repeats its condition word for word.
 *
 * `pending` ... `aborted` of a fire count its sets, `hungry` of a job says whether a fire of it has
 * sets that may be begun; both are kept in the transaction that changes the sets or the fire.
 */
#include "runner/store/job_store_inner.h"

#include "base/mem.h"

/* Ids are AUTOINCREMENT where somebody may hold one as a cursor. What may be large (definitions,
 * and parameters that are lists of thousands of sets) is not in the row that changes often. */
static const char *const migrations[] = {
    "CREATE TABLE jobs("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, state TEXT NOT NULL,"
    " deleted INTEGER NOT NULL, hungry INTEGER NOT NULL DEFAULT 0,"
    " served_time INTEGER NOT NULL DEFAULT 0, next_due INTEGER NOT NULL,"
    " dropped INTEGER NOT NULL, created_time INTEGER NOT NULL, confirmed_time INTEGER NOT NULL,"
    " finished_time INTEGER NOT NULL, set_count INTEGER NOT NULL,"
    " snapshot TEXT NOT NULL, snapshot_files INTEGER NOT NULL, snapshot_bytes INTEGER NOT NULL, "
    "project TEXT NOT NULL,"
    " pipeline_uuid TEXT NOT NULL, pipeline_name TEXT NOT NULL, pipeline_path TEXT NOT NULL,"
    " name TEXT NOT NULL, duplicate_of TEXT NOT NULL, schedule TEXT NOT NULL,"
    " policy TEXT NOT NULL);"
    "CREATE INDEX jobs_project ON jobs(project);"
    "CREATE INDEX jobs_pipeline ON jobs(pipeline_uuid);"
    "CREATE INDEX jobs_due ON jobs(next_due)"
    " WHERE deleted=0 AND state IN ('PENDING','STARTED') AND next_due>0;"
    "CREATE INDEX jobs_hungry ON jobs(served_time)"
    " WHERE hungry=1 AND deleted=0 AND state<>'PAUSED';"
    "CREATE INDEX jobs_deleted ON jobs(id) WHERE deleted=1;"
    "CREATE TABLE definitions("
    " job INTEGER PRIMARY KEY, parameters TEXT NOT NULL, definition BLOB NOT NULL);"
    "CREATE TABLE requests(key TEXT PRIMARY KEY, digest TEXT NOT NULL, job INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE INDEX requests_job ON requests(job);"

    "CREATE TABLE fires("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, number INTEGER NOT NULL,"
    " kind TEXT NOT NULL, state TEXT NOT NULL, stopped INTEGER NOT NULL,"
    " due_time INTEGER NOT NULL, created_time INTEGER NOT NULL, finished_time INTEGER NOT NULL,"
    " set_count INTEGER NOT NULL, pending INTEGER NOT NULL, started INTEGER NOT NULL,"
    " succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, aborted INTEGER NOT NULL,"
    " UNIQUE(job, number));"
    "CREATE INDEX fires_job ON fires(job);"
    "CREATE UNIQUE INDEX fires_due ON fires(job, due_time) WHERE kind<>'trigger';"
    "CREATE INDEX fires_open ON fires(job) WHERE state IN ('WAITING','STARTED');"
    "CREATE INDEX fires_hungry ON fires(job)"
    " WHERE state='STARTED' AND stopped=0 AND pending>0;"

    "CREATE TABLE sets("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL, fire INTEGER NOT NULL,"
    " fire_number INTEGER NOT NULL, number INTEGER NOT NULL, status TEXT NOT NULL,"
    " cause TEXT NOT NULL, posted INTEGER NOT NULL, tries_used INTEGER NOT NULL,"
    " tries_lost INTEGER NOT NULL, not_before INTEGER NOT NULL, started_time INTEGER NOT NULL,"
    " finished_time INTEGER NOT NULL, run_uuid TEXT NOT NULL, run_deleted INTEGER NOT NULL,"
    " parameters TEXT NOT NULL,"
    " retried INTEGER AS (tries_used+tries_lost>0) VIRTUAL);"
    "CREATE INDEX sets_job ON sets(job);"
    "CREATE INDEX sets_fire ON sets(fire);"
    "CREATE UNIQUE INDEX sets_run ON sets(run_uuid) WHERE run_uuid<>'';"
    "CREATE INDEX sets_pending ON sets(fire, retried, not_before) WHERE status='PENDING';"
    "CREATE INDEX sets_started ON sets(job) WHERE status='STARTED';"
    "CREATE INDEX sets_kept ON sets(job) WHERE run_uuid<>'' AND run_deleted=0"
    " AND status IN ('SUCCESS','FAILURE','ABORTED');"

    "CREATE TABLE metrics("
    " of_set INTEGER NOT NULL, step_uuid TEXT NOT NULL, is_param INTEGER NOT NULL,"
    " name TEXT NOT NULL, value TEXT NOT NULL,"
    " PRIMARY KEY(of_set, step_uuid, is_param, name)) WITHOUT ROWID;"

    "CREATE TABLE webhooks("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, url TEXT NOT NULL,"
    " secret TEXT NOT NULL, events TEXT NOT NULL, job_uuid TEXT NOT NULL, project TEXT NOT NULL,"
    " failures_only INTEGER NOT NULL, created_time INTEGER NOT NULL);"
    "CREATE TABLE deliveries("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, webhook INTEGER NOT NULL,"
    " event TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL,"
    " created_time INTEGER NOT NULL, next_time INTEGER NOT NULL, done_time INTEGER NOT NULL,"
    " last_status INTEGER NOT NULL, last_error TEXT NOT NULL, body TEXT NOT NULL);"
    "CREATE INDEX deliveries_webhook ON deliveries(webhook);"
    "CREATE INDEX deliveries_pending ON deliveries(webhook, id, next_time) WHERE state='PENDING';"
    "CREATE INDEX deliveries_due ON deliveries(next_time) WHERE state='PENDING';"
    "CREATE INDEX deliveries_done ON deliveries(done_time) WHERE state<>'PENDING';"

    "CREATE TABLE cursor(event INTEGER NOT NULL);"
    "INSERT INTO cursor VALUES(0);",
};

static const char *const texts[] = {
#define X(name, text) [name] = text,
    JOB_STORE_STATEMENTS(X)
#undef X
};

static const struct database_schema schema = {
    .migrations = migrations,
    .version = (int)(sizeof migrations / sizeof *migrations),
    .statements = texts,
    .statement_count = SQL_COUNT,
};

int job_store_open(const char *path, enum store_mode mode, struct job_store **ret_store,
                   struct err *e)
{
    auto_job_store struct job_store *store = mem_zalloc(sizeof *store);

    if (database_open(&store->database, &schema, path, mode, e) < 0)
        return -1;
    *ret_store = take_ptr(&store);
    return 0;
}

void job_store_close(struct job_store *store)
{
    if (!store)
        return;
    database_close(&store->database);
    free(store);
}

int job_store_begin(struct job_store *store, struct err *e)
{
    return database_begin(&store->database, e);
}

int job_store_commit(struct job_store *store, enum store_sync sync, struct err *e)
{
    return database_commit(&store->database, sync, e);
}

void job_store_rollback(struct job_store *store)
{
    database_rollback(&store->database);
}

int job_store_begin_reading(struct job_store *store, struct err *e)
{
    return database_begin_reading(&store->database, e);
}

void job_store_end_reading(struct job_store *store)
{
    database_end_reading(&store->database);
}

int job_store_copy(struct job_store *store, const char *path, struct err *e)
{
    return database_copy(&store->database, path, e);
}

/* ---- the cursor ---- */

int job_store_cursor(struct job_store *store, int64_t *ret_event, struct err *e)
{
    auto_row struct row row = row_of(&store->database, SQL_CURSOR);

    if (row_step(&row, e) < 0)
        return -1;
    *ret_event = row_int(&row);
    return 0;
}

int job_store_set_cursor(struct job_store *store, int64_t event, struct err *e)
{
    return database_change(&store->database, SQL_SET_CURSOR, event, e) < 0 ? -1 : 0;
}
