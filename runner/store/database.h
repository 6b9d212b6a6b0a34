/* database: an SQLite file whose tables have versions, and statements on it that stay prepared.
 *
 * Owns one connection. One thread at a time may use it; one writing connection per file, any number
 * of reading ones beside it. It knows nothing of what the tables hold: store.h and job_store.h do,
 * and nobody else includes this.
 *
 * Errors: ERR_NO_SPACE (disk full, quota), ERR_CONFLICT (locked for too long; exists already),
 * ERR_INVALID (made by a newer Segue), ERR_IO (damaged, or the disk fails). After an error inside
 * a transaction: database_rollback.
 */
#ifndef SEGUE_RUNNER_STORE_DATABASE_H
#define SEGUE_RUNNER_STORE_DATABASE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "runner/store/store_mode.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

/* Entry n of the migrations brings a file from version n to n + 1; those that were released never
 * change. Statements are named by their index, prepared when first used and kept until the end. */
struct database_schema {
    const char *const *migrations;
    int version; /* how many migrations there are */
    const char *const *statements;
    unsigned statement_count;
};

struct database {
    const struct database_schema *schema;
    sqlite3 *connection;
    char *path;
    sqlite3_stmt **statements;
};

/* `database` is all zero, and the schema outlives it. To be closed after a failure, too. */
int database_open(struct database *database, const struct database_schema *schema, const char *path,
                  enum store_mode mode, struct err *e);
void database_close(struct database *database); /* what was not committed is rolled back */

int database_begin(struct database *database, struct err *e);
int database_commit(struct database *database, enum store_sync sync, struct err *e);
void database_rollback(struct database *database); /* no transaction is fine */

/* Between the two all reading sees the file as of one moment. */
int database_begin_reading(struct database *database, struct err *e);
void database_end_reading(struct database *database); /* when it was not begun: nothing */

/* Writes what is there already: a commit after it tells whether the file can be written. */
int database_probe(struct database *database, struct err *e);

/* Writes a copy of the whole file, as of one moment, to a new one. */
int database_copy(struct database *database, const char *path, struct err *e);

int64_t database_last_id(const struct database *database); /* of the row that was added last */

/* What does not fit in a file of ours was not written by us: puts that it is damaged, and `what`
 * of it, in front of the text in `e`. */
int database_damaged(const struct database *database, const char *what, struct err *e);

/* A statement in use. Values are bound, and columns read, from the first on; `code` keeps the
 * first error until row_step. */
struct row {
    struct database *database;
    sqlite3_stmt *statement;
    int bound;
    int read;
    int code;
    bool owned; /* finalized at the end, not kept */
};

/* Declare rows with auto_row: the statement is reset at the end of the scope. */
void row_clear(struct row *row);
#define auto_row __attribute__((cleanup(row_clear)))

struct row row_of(struct database *database, unsigned statement);
struct row row_of_text(struct database *database, const char *text);
struct row row_to_write(struct database *database,
                        unsigned statement); /* between begin and commit */
void row_put(struct row *row, int64_t value);
void row_put_text(struct row *row, const char *text); /* NULL gives NULL */
void row_put_blob(struct row *row, struct str bytes);
void row_put_null(struct row *row);
int row_step(struct row *row, struct err *e);   /* 1: a row is there; 0: done */
int row_run(struct row *row, struct err *e);    /* of a statement that gives no rows */
int row_change(struct row *row, struct err *e); /* the same; gives how many rows it changed */
int row_update(struct row *row, const char *what,
               struct err *e);         /* ERR_NOT_FOUND: "no such WHAT" */
int64_t row_int(struct row *row);      /* NULL gives 0 */
const char *row_text(struct row *row); /* NULL gives "" */
struct str row_blob(struct row *row);
bool row_is_null(const struct row *row); /* the column that is read next */

/* Runs a statement that is about one number; gives how many rows it changed. */
int database_change(struct database *database, unsigned statement, int64_t id, struct err *e);

/* Appends "IN ('A','C')": the names of the bits that are set, of which there is one at least. */
void sql_put_in(struct buf *sql, unsigned bits, unsigned count, const char *(*name)(unsigned bit));

#endif
