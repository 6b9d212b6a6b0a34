/* The file is in WAL mode with synchronous=NORMAL: a commit writes to the WAL and does not wait for
 * the disk, which is enough to survive the death of the process. A durable commit then syncs the
 * WAL file itself, by the file object that SQLite has open: that is the sync which
 * synchronous=FULL would add, but chosen per transaction. It takes all earlier commits along.
 */
#include "runner/store/store_inner.h"

#include "base/mem.h"

#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Only other processes that look into the file with tools of their own ever hold a lock. */
#define BUSY_TIMEOUT_MS 5000

/* The WAL is cut back to this after one huge transaction made it grow. */
#define WAL_KEPT_BYTES "67108864"

/* Entry n brings a database from version n to n + 1. Entries that were released never change.
 *
 * Ids of events are AUTOINCREMENT: a cursor that somebody holds must never mean another event,
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
};

#define VERSION (int)(sizeof migrations / sizeof *migrations)

static const char *const texts[] = {
#define X(name, text) [name] = text,
    STORE_STATEMENTS(X)
#undef X
};

int store_fail(struct store *store, int code, struct err *e)
{
    int system = sqlite3_system_errno(store->db);
    const char *why = sqlite3_errmsg(store->db);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        abort(); /* as mem_alloc does */
    case SQLITE_FULL:
        return err_set(e, ERR_NO_SPACE, "\"%s\": %s", store->path, why);
    case SQLITE_TOOBIG:
        return err_set(e, ERR_LIMIT, "\"%s\": %s", store->path, why);
    case SQLITE_CONSTRAINT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_CONFLICT, "\"%s\": %s", store->path, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_IO, "\"%s\" is damaged: %s", store->path, why);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (system != 0)
            return err_errno(e, system, "\"%s\": %s", store->path, why);
        break;
    }
    return err_set(e, ERR_IO, "\"%s\": %s", store->path, why);
}

static struct row row_new(struct store *store, sqlite3_stmt *statement, int code, bool owned)
{
    return (struct row){
        .store = store, .statement = statement, .bound = 1, .code = code, .owned = owned};
}

struct row row_of(struct store *store, enum store_statement statement)
{
    sqlite3_stmt **kept = &store->statements[statement];
    int code = SQLITE_OK;
    if (!*kept)
        code = sqlite3_prepare_v3(store->db, texts[statement], -1, SQLITE_PREPARE_PERSISTENT, kept,
                                  NULL);
    return row_new(store, *kept, code, false);
}

struct row row_of_text(struct store *store, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(store->db, text, -1, &statement, NULL);
    return row_new(store, statement, code, true);
}

void row_clear(struct row *row)
{
    if (row->owned) {
        sqlite3_finalize(row->statement);
        return;
    }
    if (!row->statement)
        return; /* it could not be prepared */
    sqlite3_reset(row->statement);
    sqlite3_clear_bindings(row->statement); /* they point to what its caller owns */
}

static void note(struct row *row, int code)
{
    if (row->code == SQLITE_OK)
        row->code = code;
}

void row_put(struct row *row, int64_t value)
{
    note(row, sqlite3_bind_int64(row->statement, row->bound++, value));
}

void row_put_text(struct row *row, const char *text)
{
    note(row, sqlite3_bind_text(row->statement, row->bound++, text, -1, SQLITE_STATIC));
}

void row_put_blob(struct row *row, struct str bytes)
{
    note(row, sqlite3_bind_blob64(row->statement, row->bound++, bytes.text ? bytes.text : "",
                                  bytes.len, SQLITE_STATIC));
}

void row_put_null(struct row *row)
{
    note(row, sqlite3_bind_null(row->statement, row->bound++));
}

int row_step(struct row *row, struct err *e)
{
    int code = row->code;
    if (code == SQLITE_OK)
        code = sqlite3_step(row->statement);
    row->read = 0;
    if (code == SQLITE_ROW)
        return 1;
    return code == SQLITE_DONE ? 0 : store_fail(row->store, code, e);
}

int64_t row_int(struct row *row)
{
    return sqlite3_column_int64(row->statement, row->read++);
}

const char *row_text(struct row *row)
{
    const char *text = (const char *)sqlite3_column_text(row->statement, row->read++);
    return text ? text : "";
}

struct str row_blob(struct row *row)
{
    const char *bytes = sqlite3_column_blob(row->statement, row->read);
    return (struct str){bytes ? bytes : "",
                        (size_t)sqlite3_column_bytes(row->statement, row->read++)};
}

bool row_is_null(const struct row *row)
{
    return sqlite3_column_type(row->statement, row->read) == SQLITE_NULL;
}

static int execute(struct store *store, const char *text, struct err *e)
{
    int code = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_fail(store, code, e);
}

/* Waits until the WAL is on the disk. Without one there is nothing that is not. */
static int sync_wal(struct store *store, struct err *e)
{
    sqlite3_file *wal = NULL;
    int code = sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (code == SQLITE_OK && wal && wal->pMethods)
        code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    if (code != SQLITE_OK)
        return err_set(e, ERR_IO, "cannot sync \"%s\": %s", store->path, sqlite3_errstr(code));
    return 0;
}

static int read_version(struct store *store, int *ret_version, struct err *e)
{
    auto_row struct row row = row_of_text(store, "PRAGMA user_version");
    if (row_step(&row, e) < 0)
        return -1;
    *ret_version = (int)row_int(&row);
    return 0;
}

static int write_version(struct store *store, struct err *e)
{
    char text[64];

    snprintf(text, sizeof text, "PRAGMA user_version=%d", VERSION);
    return execute(store, text, e);
}

static int migrate(struct store *store, int version, struct err *e)
{
    if (store_begin(store, e) < 0)
        return -1;
    for (int i = version; i < VERSION; i++)
        if (execute(store, migrations[i], e) < 0)
            return err_prefix(e, "bringing the database from version %d to %d", i, i + 1);
    if (write_version(store, e) < 0)
        return -1;
    return store_commit(store, STORE_DURABLE, e);
}

static int set_up(struct store *store, enum store_mode mode, struct err *e)
{
    int version;
    sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    if (read_version(store, &version, e) < 0)
        return -1;
    if (version > VERSION)
        return err_set(e, ERR_INVALID,
                       "\"%s\" was made by a newer Segue (database version %d, this one knows %d)",
                       store->path, version, VERSION);
    if (mode == STORE_READ && version < VERSION)
        return err_set(e, ERR_INVALID, "\"%s\" is of database version %d, not %d", store->path,
                       version, VERSION);
    if (mode == STORE_READ)
        return 0;
    if (execute(store,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "PRAGMA journal_size_limit=" WAL_KEPT_BYTES,
                e) < 0)
        return -1;
    return version < VERSION ? migrate(store, version, e) : 0;
}

/* Definitions and parameters hold what people keep to themselves; SQLite gives the files beside it
 * the same mode. Only a new file is opened here: closing a second descriptor of one that SQLite has
 * open would drop its locks. */
static int make_file(const char *path, struct err *e)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : err_errno(e, errno, "cannot make \"%s\"", path);
    close(fd);
    return 0;
}

/* SQLite would count what it allocates, behind a lock that all connections share. */
static void configure_once(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int store_open(const char *path, enum store_mode mode, struct store **ret_store, struct err *e)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;

    pthread_once(&configured, configure_once);
    if (mode == STORE_WRITE && make_file(path, e) < 0)
        return -1;
    auto_store struct store *store = mem_zalloc(sizeof *store);
    store->path = mem_strdup(path);
    int flags = mode == STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(path, &store->db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return store_fail(store, code, e);
    /* Where opening for writing failed for whatever reason, SQLite has opened it for reading. */
    if (mode == STORE_WRITE && sqlite3_db_readonly(store->db, "main") != 0)
        return err_set(e, ERR_IO, "cannot open \"%s\" for writing", path);
    if (set_up(store, mode, e) < 0)
        return -1;
    *ret_store = take_ptr(&store);
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (unsigned i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize(store->statements[i]);
    int code = sqlite3_close(store->db);
    assert(code == SQLITE_OK); /* else a statement is still in use */
    (void)code;
    free(store->path);
    free(store);
}

static int step_once(struct row *row, struct err *e)
{
    return row_step(row, e) < 0 ? -1 : 0;
}

int store_begin(struct store *store, struct err *e)
{
    auto_row struct row row = row_of(store, SQL_BEGIN);
    return step_once(&row, e);
}

int store_commit(struct store *store, enum store_sync sync, struct err *e)
{
    auto_row struct row row = row_of(store, SQL_COMMIT);
    if (step_once(&row, e) < 0)
        return -1;
    return sync == STORE_DURABLE ? sync_wal(store, e) : 0;
}

/* After some errors SQLite has rolled back by itself. */
void store_rollback(struct store *store)
{
    if (!sqlite3_get_autocommit(store->db))
        sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

int store_probe(struct store *store, struct err *e)
{
    assert(!sqlite3_get_autocommit(store->db));
    return write_version(store, e);
}

/* Outside a transaction every statement would be one of its own, committed at once. */
static struct row write_row(struct store *store, enum store_statement statement)
{
    assert(!sqlite3_get_autocommit(store->db));
    return row_of(store, statement);
}

/* Runs an UPDATE that must meet one row. */
static int update(struct row *row, const char *what, struct err *e)
{
    if (step_once(row, e) < 0)
        return -1;
    if (sqlite3_changes(row->store->db) != 1)
        return err_set(e, ERR_NOT_FOUND, "\"%s\": no such %s", row->store->path, what);
    return 0;
}

static int add_frozen(struct store *store, int64_t run, const struct store_frozen *frozen,
                      struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_FROZEN);

    row_put(&row, run);
    row_put_text(&row, frozen->environments);
    row_put_blob(&row, frozen->definition);
    return step_once(&row, e);
}

int store_add_run(struct store *store, const struct store_run *run,
                  const struct store_frozen *frozen, int64_t *ret_run, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_RUN);
    const char *const values[] = {run->uuid,          run->project,       run->pipeline_path,
                                  run->pipeline_uuid, run->pipeline_name, run->run_type,
                                  run->uuids,         run->parameters,    run->images,
                                  run->options,       run->job_uuid,      run->rerun_of};
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        row_put_text(&row, values[i]);
    row_put(&row, run->created_time);
    row_put(&row, run->step_count);
    if (step_once(&row, e) < 0)
        return -1;
    *ret_run = sqlite3_last_insert_rowid(store->db);
    return add_frozen(store, *ret_run, frozen, e);
}

int store_set_sources(struct store *store, int64_t run, const char *sources, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_SET_SOURCES);

    row_put(&row, run);
    row_put_text(&row, sources);
    return step_once(&row, e);
}

int store_add_request(struct store *store, const char *key, const char *digest, int64_t run,
                      struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_REQUEST);

    row_put_text(&row, key);
    row_put_text(&row, digest);
    row_put(&row, run);
    return step_once(&row, e);
}

int store_set_run(struct store *store, int64_t run, enum status status, enum cause cause,
                  msec started_time, msec finished_time, struct err *e)
{
    assert(status_is_final(status) == (finished_time > 0));
    auto_row struct row row = write_row(store, SQL_SET_RUN);
    row_put(&row, run);
    row_put_text(&row, status_name(status));
    row_put_text(&row, cause_name(cause));
    row_put(&row, started_time);
    row_put(&row, finished_time);
    return update(&row, "run", e);
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
    auto_row struct row row = write_row(store, SQL_ADD_STEP);
    put_step(&row, run, step);
    row_put_text(&row, step->uuid);
    row_put_text(&row, step->title);
    row_put_text(&row, step->file_path);
    return step_once(&row, e);
}

int store_set_step(struct store *store, int64_t run, const struct store_step *step, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_SET_STEP);
    put_step(&row, run, step);
    return update(&row, "step", e);
}

int store_add_attempt(struct store *store, int64_t run, const struct store_attempt *attempt,
                      struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_ATTEMPT);
    row_put(&row, run);
    row_put(&row, attempt->step);
    row_put(&row, attempt->attempt);
    row_put_text(&row, attempt->mark);
    row_put(&row, (int64_t)attempt->offset);
    return step_once(&row, e);
}

int store_set_offset(struct store *store, int64_t run, uint32_t step, uint32_t attempt,
                     uint64_t offset, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_SET_OFFSET);
    row_put(&row, run);
    row_put(&row, step);
    row_put(&row, attempt);
    row_put(&row, (int64_t)offset);
    return update(&row, "attempt", e);
}

static bool has_status(enum run_event_kind kind)
{
    return kind == EVENT_STEP_FINISHED || kind == EVENT_RUN_FINISHED;
}

/* Columns that mean nothing for this kind of event stay NULL. */
int store_add_event(struct store *store, int64_t run, const struct run_event *event,
                    const char *payload, int64_t *ret_id, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_EVENT);
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
    if (step_once(&row, e) < 0)
        return -1;
    *ret_id = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int store_add_line(struct store *store, int64_t run, const struct store_line *line, int64_t *ret_id,
                   struct err *e)
{
    assert(line->length > 0); /* a length is what tells a line from an event of the state */
    auto_row struct row row = write_row(store, SQL_ADD_LINE);
    row_put(&row, run);
    row_put(&row, line->step);
    row_put(&row, line->attempt);
    row_put(&row, line->time);
    row_put_text(&row, line->event);
    row_put(&row, (int64_t)line->offset);
    row_put(&row, line->length);
    if (step_once(&row, e) < 0)
        return -1;
    *ret_id = sqlite3_last_insert_rowid(store->db);
    return 0;
}

/* ---- deleting ---- */

/* A statement about one run; gives how many rows it changed. */
static int change_run(struct store *store, enum store_statement statement, int64_t run,
                      struct err *e)
{
    auto_row struct row row = write_row(store, statement);

    row_put(&row, run);
    return step_once(&row, e) < 0 ? -1 : sqlite3_changes(store->db);
}

static int add_trash(struct store *store, int64_t run, const char *uuid, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_TRASH);

    row_put(&row, run);
    row_put_text(&row, uuid);
    return step_once(&row, e);
}

/* The run's row is gone by now: who it was about stands in the payload. */
static int add_deleted_event(struct store *store, int64_t run, const char *uuid, msec time,
                             int64_t *ret_id, struct err *e)
{
    auto_row struct row row = write_row(store, SQL_ADD_EVENT);
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
    if (step_once(&row, e) < 0)
        return -1;
    *ret_id = sqlite3_last_insert_rowid(store->db);
    return 0;
}

int store_delete_run(struct store *store, int64_t run, const char *uuid, msec time, int64_t *ret_id,
                     struct err *e)
{
    /* Its key goes at once: asked again, the request makes a new run. */
    if (change_run(store, SQL_DELETE_RUN, run, e) < 0 ||
        change_run(store, SQL_SHRED_REQUESTS, run, e) < 0 || add_trash(store, run, uuid, e) < 0)
        return -1;
    return add_deleted_event(store, run, uuid, time, ret_id, e);
}

int store_shred(struct store *store, int64_t run, uint32_t limit, struct err *e)
{
    static const enum store_statement rest[] = {SQL_SHRED_STEPS, SQL_SHRED_ATTEMPTS,
                                                SQL_SHRED_FROZEN, SQL_SHRED_SOURCES};
    auto_row struct row row = write_row(store, SQL_SHRED_EVENTS);

    row_put(&row, run);
    row_put(&row, limit);
    if (step_once(&row, e) < 0)
        return -1;
    int removed = sqlite3_changes(store->db);
    for (unsigned i = 0; removed == 0 && i < sizeof rest / sizeof *rest; i++)
        if (change_run(store, rest[i], run, e) < 0)
            return -1;
    return removed;
}

int store_forget_trash(struct store *store, int64_t run, struct err *e)
{
    return change_run(store, SQL_FORGET_TRASH, run, e) < 0 ? -1 : 0;
}

int store_copy(struct store *store, const char *path, struct err *e)
{
    auto_row struct row row = row_of_text(store, "VACUUM INTO ?");

    if (make_file(path, e) < 0)
        return -1;
    row_put_text(&row, path);
    return step_once(&row, e);
}
