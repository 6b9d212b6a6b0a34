/* The file is in WAL mode with synchronous=NORMAL: a commit writes to the WAL and does not wait for
 * the disk, which is enough to survive the death of the process. A durable commit then syncs the
 * WAL file itself, by the file object that SQLite has open: that is the sync which
 * synchronous=FULL would add, but chosen per transaction. It takes all earlier commits along.
 */
#include "runner/store/database.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* Only other processes that look into the file with tools of their own ever hold a lock. */
#define BUSY_TIMEOUT_MS 5000

/* The WAL is cut back to this after one huge transaction made it grow. */
#define WAL_KEPT_BYTES "67108864"

/* Statements of every file; those of the schema come behind them. */
enum { OWN_BEGIN, OWN_BEGIN_READING, OWN_COMMIT, OWN_COUNT };
static const char *const own_texts[OWN_COUNT] = {
    [OWN_BEGIN] = "BEGIN IMMEDIATE",
    [OWN_BEGIN_READING] = "BEGIN",
    [OWN_COMMIT] = "COMMIT",
};

/* Sets `e` from what SQLite said last; the only place that maps its errors. */
static int fail(const struct database *database, int code, struct err *e)
{
    int system = sqlite3_system_errno(database->connection);
    const char *why = sqlite3_errmsg(database->connection);
    switch (code & 0xff) {
    case SQLITE_NOMEM:
        abort(); /* as mem_alloc does */
    case SQLITE_FULL:
        return err_set(e, ERR_NO_SPACE, "\"%s\": %s", database->path, why);
    case SQLITE_TOOBIG:
        return err_set(e, ERR_LIMIT, "\"%s\": %s", database->path, why);
    case SQLITE_CONSTRAINT:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_CONFLICT, "\"%s\": %s", database->path, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_IO, "\"%s\" is damaged: %s", database->path, why);
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (system != 0)
            return err_errno(e, system, "\"%s\": %s", database->path, why);
        break;
    }
    return err_set(e, ERR_IO, "\"%s\": %s", database->path, why);
}

static struct row row_new(struct database *database, sqlite3_stmt *statement, int code, bool owned)
{
    return (struct row){
        .database = database, .statement = statement, .bound = 1, .code = code, .owned = owned};
}

/* Statement `at` of the file's: its own, then the schema's. */
static struct row kept_row(struct database *database, unsigned at, const char *text)
{
    sqlite3_stmt **kept = &database->statements[at];
    int code = SQLITE_OK;
    if (!*kept)
        code = sqlite3_prepare_v3(database->connection, text, -1, SQLITE_PREPARE_PERSISTENT, kept,
                                  NULL);
    return row_new(database, *kept, code, false);
}

struct row row_of(struct database *database, unsigned statement)
{
    assert(statement < database->schema->statement_count);
    return kept_row(database, OWN_COUNT + statement, database->schema->statements[statement]);
}

/* Outside a transaction every statement would be one of its own, committed at once. */
struct row row_to_write(struct database *database, unsigned statement)
{
    assert(!sqlite3_get_autocommit(database->connection));
    return row_of(database, statement);
}

struct row row_of_text(struct database *database, const char *text)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(database->connection, text, -1, &statement, NULL);
    return row_new(database, statement, code, true);
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
    return code == SQLITE_DONE ? 0 : fail(row->database, code, e);
}

int row_run(struct row *row, struct err *e)
{
    return row_step(row, e) < 0 ? -1 : 0;
}

int row_change(struct row *row, struct err *e)
{
    return row_step(row, e) < 0 ? -1 : sqlite3_changes(row->database->connection);
}

int row_update(struct row *row, const char *what, struct err *e)
{
    int changed = row_change(row, e);

    if (changed == 0)
        return err_set(e, ERR_NOT_FOUND, "\"%s\": no such %s", row->database->path, what);
    return changed < 0 ? -1 : 0;
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

int database_change(struct database *database, unsigned statement, int64_t id, struct err *e)
{
    auto_row struct row row = row_to_write(database, statement);

    row_put(&row, id);
    return row_change(&row, e);
}

void sql_put_in(struct buf *sql, unsigned bits, unsigned count, const char *(*name)(unsigned bit))
{
    const char *before = "IN (";

    for (unsigned bit = 0; bit < count; bit++) {
        if (bits & 1u << bit) {
            buf_printf(sql, "%s'%s'", before, name(bit));
            before = ",";
        }
    }
    buf_putc(sql, ')');
}

int64_t database_last_id(const struct database *database)
{
    return sqlite3_last_insert_rowid(database->connection);
}

int database_damaged(const struct database *database, const char *what, struct err *e)
{
    e->code = ERR_IO;
    return err_prefix(e, "\"%s\" is damaged: %s", database->path, what);
}

/* ---- transactions ---- */

static int execute(struct database *database, const char *text, struct err *e)
{
    int code = sqlite3_exec(database->connection, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : fail(database, code, e);
}

/* Waits until the WAL is on the disk. Without one there is nothing that is not. */
static int sync_wal(struct database *database, struct err *e)
{
    sqlite3_file *wal = NULL;
    int code =
        sqlite3_file_control(database->connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal);
    if (code == SQLITE_OK && wal && wal->pMethods)
        code = wal->pMethods->xSync(wal, SQLITE_SYNC_NORMAL);
    if (code != SQLITE_OK)
        return err_set(e, ERR_IO, "cannot sync \"%s\": %s", database->path, sqlite3_errstr(code));
    return 0;
}

static int run_own(struct database *database, unsigned at, struct err *e)
{
    auto_row struct row row = kept_row(database, at, own_texts[at]);

    return row_run(&row, e);
}

int database_begin(struct database *database, struct err *e)
{
    return run_own(database, OWN_BEGIN, e);
}

int database_commit(struct database *database, enum store_sync sync, struct err *e)
{
    if (run_own(database, OWN_COMMIT, e) < 0)
        return -1;
    return sync == STORE_DURABLE ? sync_wal(database, e) : 0;
}

/* After some errors SQLite has rolled back by itself. */
void database_rollback(struct database *database)
{
    if (!sqlite3_get_autocommit(database->connection))
        sqlite3_exec(database->connection, "ROLLBACK", NULL, NULL, NULL);
}

int database_begin_reading(struct database *database, struct err *e)
{
    return run_own(database, OWN_BEGIN_READING, e);
}

void database_end_reading(struct database *database)
{
    struct err ignored;

    if (!sqlite3_get_autocommit(database->connection))
        run_own(database, OWN_COMMIT, &ignored);
}

/* ---- opening, and bringing up to date ---- */

static int read_version(struct database *database, int *ret_version, struct err *e)
{
    auto_row struct row row = row_of_text(database, "PRAGMA user_version");
    if (row_step(&row, e) < 0)
        return -1;
    *ret_version = (int)row_int(&row);
    return 0;
}

static int write_version(struct database *database, struct err *e)
{
    char text[64];

    snprintf(text, sizeof text, "PRAGMA user_version=%d", database->schema->version);
    return execute(database, text, e);
}

static int migrate(struct database *database, int version, struct err *e)
{
    if (database_begin(database, e) < 0)
        return -1;
    for (int i = version; i < database->schema->version; i++)
        if (execute(database, database->schema->migrations[i], e) < 0)
            return err_prefix(e, "bringing the database from version %d to %d", i, i + 1);
    if (write_version(database, e) < 0)
        return -1;
    return database_commit(database, STORE_DURABLE, e);
}

static int set_up(struct database *database, enum store_mode mode, struct err *e)
{
    int version;
    sqlite3_busy_timeout(database->connection, BUSY_TIMEOUT_MS);
    if (read_version(database, &version, e) < 0)
        return -1;
    if (version > database->schema->version)
        return err_set(e, ERR_INVALID,
                       "\"%s\" was made by a newer Segue (database version %d, this one knows %d)",
                       database->path, version, database->schema->version);
    if (mode == STORE_READ && version < database->schema->version)
        return err_set(e, ERR_INVALID, "\"%s\" is of database version %d, not %d", database->path,
                       version, database->schema->version);
    if (mode == STORE_READ)
        return 0;
    if (execute(database,
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                "PRAGMA journal_size_limit=" WAL_KEPT_BYTES,
                e) < 0)
        return -1;
    return version < database->schema->version ? migrate(database, version, e) : 0;
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

int database_open(struct database *database, const struct database_schema *schema, const char *path,
                  enum store_mode mode, struct err *e)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;

    pthread_once(&configured, configure_once);
    if (mode == STORE_WRITE && make_file(path, e) < 0)
        return -1;
    database->schema = schema;
    database->path = mem_strdup(path);
    database->statements =
        mem_array(OWN_COUNT + schema->statement_count, sizeof *database->statements);
    int flags = mode == STORE_WRITE ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY;
    int code = sqlite3_open_v2(path, &database->connection, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK)
        return fail(database, code, e);
    /* Where opening for writing failed for whatever reason, SQLite has opened it for reading. */
    if (mode == STORE_WRITE && sqlite3_db_readonly(database->connection, "main") != 0)
        return err_set(e, ERR_IO, "cannot open \"%s\" for writing", path);
    return set_up(database, mode, e);
}

void database_close(struct database *database)
{
    if (!database->schema)
        return; /* it was never opened */
    for (unsigned i = 0; i < OWN_COUNT + database->schema->statement_count; i++)
        sqlite3_finalize(database->statements[i]);
    int code = sqlite3_close(database->connection);
    assert(code == SQLITE_OK); /* else a statement is still in use */
    (void)code;
    free(database->statements);
    free(database->path);
}

int database_probe(struct database *database, struct err *e)
{
    assert(!sqlite3_get_autocommit(database->connection));
    return write_version(database, e);
}

int database_copy(struct database *database, const char *path, struct err *e)
{
    auto_row struct row row = row_of_text(database, "VACUUM INTO ?");

    if (make_file(path, e) < 0)
        return -1;
    row_put_text(&row, path);
    return row_run(&row, e);
}
