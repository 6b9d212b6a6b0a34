/* notebook: one notebook while it is executed: read, brought to nbformat 4.5, filled with what
 * happens, written again.
 *
 * The executed notebook is a function of its source, what was injected, the options of
 * notebook_start and the lines of the attempt's journal: nothing gets into it except through
 * notebook_apply. So a driver that feeds it each line as it writes it, and a later process that
 * replays the journal, come to the same bytes. It never talks to a kernel and touches no file but
 * the journal that notebook_replay is given.
 *
 * The order of use: notebook_read, notebook_inject (or not), notebook_start, then lines. A cell
 * index counts all cells of the executed file, an injected one included. Owns everything it shows;
 * belongs to one thread.
 */
#ifndef SEGUE_RUNNER_NOTEBOOK_H
#define SEGUE_RUNNER_NOTEBOOK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct notebook;

/* Reads a text from malloc, which it takes (on failure too). nbformat 4.0 to 4.x is read, a missing
 * minor version as 4.0; cells without a valid id of their own get one that depends only on their
 * place and source. Refused with ERR_INVALID and a text that starts with `name`, line and column:
 * no JSON, no UTF-8, no notebook, nbformat 3 and older or 5 and newer. `name` is for messages
 * only. */
int notebook_read(char *text, size_t len, const char *name, struct notebook **ret_notebook,
                  struct err *e);
void notebook_free(struct notebook *notebook);
AUTO_FUNCTION(struct notebook, notebook_free)
#define auto_notebook auto_with(notebook_free_at)

/* From the metadata; NULL where it does not say. The language is that of the kernelspec, else that
 * of language_info. */
const char *notebook_kernel_name(const struct notebook *notebook);
const char *notebook_language(const struct notebook *notebook);

/* Puts a code cell with this source, tagged injected-parameters, where papermill puts it: in place
 * of the first cell so tagged, else behind the first tagged parameters, else at the top. Before
 * notebook_start. */
void notebook_inject(struct notebook *notebook, struct str source);

enum notebook_errors { NOTEBOOK_ERRORS_STOP, NOTEBOOK_ERRORS_ALLOWED };

struct notebook_options {
    enum notebook_errors errors; /* whether a failed cell is the end, unless its tags say so */
    const char *input_path;      /* for metadata.papermill; NULL: null */
    const char *output_path;     /* the same */
    struct str parameters;       /* the same: a JSON object; none: {} */
    const char *version;         /* the same: of Segue */
};

/* Decides which cells will run, and takes outputs, counts and timings off those, so that a
 * half-done file shows nothing stale. The others keep theirs. */
void notebook_start(struct notebook *notebook, const struct notebook_options *options);

/* --- after notebook_start --- */

enum cell_action {
    CELL_RUN,
    CELL_SKIP_KIND,  /* no code cell */
    CELL_SKIP_TAG,   /* tagged skip-execution, or skip as in Orchest */
    CELL_SKIP_BLANK, /* nothing but white space */
};

uint32_t notebook_cell_count(const struct notebook *notebook);
enum cell_action notebook_cell_action(const struct notebook *notebook, uint32_t index);
struct str notebook_cell_source(const struct notebook *notebook, uint32_t index);
const char *notebook_cell_id(const struct notebook *notebook, uint32_t index);

/* The option, or the cell's tag raises-exception. */
bool notebook_cell_allows_errors(const struct notebook *notebook, uint32_t index);

/* Progress: cells that will run, and those of them that have finished, in error or not. */
uint32_t notebook_cells_total(const struct notebook *notebook);
uint32_t notebook_cells_done(const struct notebook *notebook);

/* Takes one line of the journal (kernel-gateway/keeper/journal.h), its events in the order in which
 * they were written. Events that are none of its business, and those about cells that cannot have
 * them, change nothing. ERR_INVALID: the line is no JSON object. */
int notebook_apply(struct notebook *notebook, struct str line, struct err *e);

/* notebook_apply of every whole line of a journal file. */
int notebook_replay(struct notebook *notebook, const char *journal_path, struct err *e);

/* Appends the file as nbformat writes it. What has not changed since the last time is copied from
 * then. Good at any moment, in the middle of a cell too; before notebook_start it is the source,
 * repaired and brought to 4.5. */
void notebook_write(struct notebook *notebook, struct buf *out);

#endif
