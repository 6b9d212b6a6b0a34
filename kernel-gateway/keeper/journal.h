/* journal: the only copy of what happened in an attempt: a file with one JSON object per line.
 *
 * Lines are numbered from 1: {"n":1,"time":"2026-...Z","event":"kernel_ready",...}. Only the
 * attempt's keeper writes, appending whole lines; anybody reads, from an offset where a line
 * starts. A line is there when its newline is: a torn last line (kill -9, disk full) is not seen
 * by readers and is cut off when writing resumes.
 *
 * Events, beside n, time and event (all of JSON's kinds as nbformat has them):
 *   kernel_ready    kernel {name, language, display_name}, language_info {...}
 *   cell_started    cell_index, cells_total        cell_index counts all cells of the executed file
 *   output          cell_index, output {an nbformat output}, display_id?
 *                   (a script: cell_index 0 and stream outputs)
 *   output_cleared  cell_index, wait
 *   output_updated  display_id, data, metadata
 *   comm            msg_type comm_open|comm_msg|comm_close, content, buffers [base64]
 *   widget_output   comm_id, output?, cleared?, wait?   what an Output widget captured
 *   cell_finished   cell_index, cells_total, status ok|error, execution_count, timing {...}
 *   step_finished   status, failure? {cause, message, cell_index?, ename?, evalue?}, kept_s? (for
 * how long the keeper stays with the kernel all the same); the last line
 *
 * The writer belongs to one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_JOURNAL_H
#define SEGUE_KERNEL_GATEWAY_JOURNAL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct journal; /* the writing side */

/* Opens for writing, makes it when missing, cuts a torn last line off, goes on numbering. */
int journal_open(struct journal **ret_journal, const char *path, struct err *e);
void journal_close(struct journal *journal);

/* Starts a line in the journal's own buffer: n, time and event are in it; the caller adds members
 * with json_put_member and the like and ends it with journal_commit. */
struct buf *journal_begin(struct journal *journal, const char *event);

/* The same for the line that closes the journal: space on the disk was set aside for it, so that a
 * full disk can still be told of. */
struct buf *journal_begin_last(struct journal *journal, const char *event);

/* Closes the object, appends the line to the file. *ret_line (may be NULL) is the line without its
 * newline, good until the next journal_begin. Errors: ERR_NO_SPACE, ERR_IO; the file then holds
 * whole lines as before. */
int journal_commit(struct journal *journal, struct str *ret_line, struct err *e);

uint64_t journal_size(const struct journal *journal); /* bytes of whole lines */

/* The reading side: a cursor. */
struct journal_cursor {
    int fd;
    uint64_t offset;    /* of the next line: what to store, and to open with again */
    struct buf pending; /* what was read of the file: lines given, then lines to come */
    size_t given;       /* how many bytes of it were given to the caller */
};

int journal_cursor_open(struct journal_cursor *cursor, const char *path, uint64_t offset,
                        struct err *e);
void journal_cursor_close(struct journal_cursor *cursor);

/* The next whole line without its newline, good until the next call; 1: a line, 0: none yet. */
int journal_cursor_next(struct journal_cursor *cursor, struct str *ret_line, struct err *e);

#endif
