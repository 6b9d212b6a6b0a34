/* results_table_private: the table's inside, for results_table*.c alone. */
#ifndef SEGUE_API_SERVICE_RESULTS_TABLE_PRIVATE_H
#define SEGUE_API_SERVICE_RESULTS_TABLE_PRIVATE_H

#include "api/service/results_table.h"
#include "base/map.h"

/* kind, name in the answer */
#define COLUMN_KINDS(X)                                                                            \
    X(COLUMN_PARAMETER, "parameters")                                                              \
    X(COLUMN_METRIC, "metrics")                                                                    \
    X(COLUMN_REPORTED, "reported")

enum column_kind {
#define X(kind, name) kind,
    COLUMN_KINDS(X)
#undef X
};

#define COLUMN_KIND_COUNT 3

enum cell_kind { CELL_NUMBER, CELL_TEXT, CELL_NAN }; /* TEXT: whatever is no number */

struct cell {
    uint32_t column;
    uint32_t len;
    size_t at;     /* its JSON in `text` */
    double number; /* CELL_NUMBER */
    enum cell_kind kind;
};

struct column {
    enum column_kind kind;
    char *id;          /* kind, step and name: what `columns_by_id` maps */
    char *step_uuid;   /* NULL: a pipeline's parameter */
    const char *title; /* NULL: the same; of a step that is not there (any more) its uuid */
    char *name;
    char *key;     /* NULL: it is not shown */
    bool is_axis;  /* shown even if all rows have the same in it */
    uint32_t same; /* a parameter's: so many of the first rows have `first`, and no cells for it */
    struct cell first;
};

/* One behind the other, row by row. */
struct cells {
    struct cell *items;
    size_t count, capacity;
};

struct span {
    size_t first, end;
};

struct result_row {
    int64_t set;
    uint32_t number, fire, tries;
    enum status status;
    enum cause cause;
    msec started_time, finished_time;
    struct uuid run; /* all zero: none yet */
    bool is_run_deleted;
    struct span given, said; /* of `given` and `said` */
};

struct results_table {
    const struct pipeline *pipeline;
    struct column *columns;
    uint32_t column_count, column_capacity;
    struct map columns_by_id;
    struct result_row *rows; /* as they were added */
    uint32_t count, capacity;
    uint32_t *order;    /* of the rows, once sorted */
    uint32_t next;      /* row: the first that what is reported next can be of */
    struct cells given; /* parameters */
    struct cells said;  /* metrics, and what was reported */
    struct buf text;
    struct buf scratch;
};

const char *column_kind_name(enum column_kind kind);

/* The text that names the column whatever others are called: "TITLE:name", "UUID:name". free() it.
 */
char *column_title_key(const struct column *column);
char *column_uuid_key(const struct column *column);

/* The row's value in a column; NULL: it has none. */
const struct cell *results_row_cell(const struct results_table *table, uint32_t row,
                                    uint32_t column);

/* The value that the row has in common with all before it; NULL: none in this column. */
static inline const struct cell *column_common_cell(const struct column *column, uint32_t row)
{
    return row < column->same ? &column->first : NULL;
}

/* In milliseconds; -1: it has not ended, or never begun. */
msec results_row_duration(const struct result_row *row);

static inline struct str cell_text(const struct results_table *table, const struct cell *cell)
{
    return (struct str){table->text.data + cell->at, cell->len};
}

#endif
