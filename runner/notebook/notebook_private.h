/* notebook_private: what a notebook is made of, for the files notebook*.c alone.
 *
 * notebook.c reads and prepares, notebook_apply.c takes events, notebook_write.c writes.
 */
#ifndef SEGUE_RUNNER_NOTEBOOK_PRIVATE_H
#define SEGUE_RUNNER_NOTEBOOK_PRIVATE_H

#include "runner/notebook/cell_outputs.h"
#include "runner/notebook/displays.h"
#include "runner/notebook/notebook.h"
#include "runner/notebook/widgets.h"

enum { CELL_ID_MAX = 64 };

/* What papermill calls its statuses. */
#define CELL_STATES(X)                                                                             \
    X(CELL_PENDING, "pending")                                                                     \
    X(CELL_RUNNING, "running")                                                                     \
    X(CELL_COMPLETED, "completed")                                                                 \
    X(CELL_FAILED, "failed")

enum cell_state {
#define X(state, name) state,
    CELL_STATES(X)
#undef X
};

struct cell {
    json_at at; /* in the source; JSON_NONE: injected */
    bool is_code;
    bool is_skipped;    /* tagged skip-execution */
    bool allows_errors; /* tagged raises-exception */
    char id[CELL_ID_MAX + 1];
    struct buf source;

    enum cell_action action; /* from notebook_start on */
    enum cell_state state;
    int64_t start_us, end_us;    /* since 1970; -1: not yet */
    struct buf timing;           /* JSON, or empty */
    struct buf execution_count;  /* JSON, or empty */
    struct cell_outputs outputs; /* of a cell that runs; of the others they are in the source */

    struct buf written;
    bool is_written; /* `written` is up to date */
};

struct notebook {
    struct json doc;
    json_at metadata; /* JSON_NONE: there is none */
    int64_t minor;    /* of the source */
    char *kernel_name, *language;
    struct cell *cells;
    uint32_t cell_count; /* there is room for one more */

    bool is_started;
    enum notebook_errors errors;
    char *input_path, *output_path, *version;
    struct buf parameters; /* JSON */

    int64_t start_us, end_us;
    bool has_failed;
    uint32_t cells_total, cells_done;
    struct buf language_info; /* JSON of kernel_ready, or empty */
    struct displays displays;
    struct widgets *widgets;
};

#endif
