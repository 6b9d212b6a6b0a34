/* step_log: what a step printed, as the text that a person wants to read.
 *
 * Made from an attempt's journal: streams as they are, what other outputs have as text/plain,
 * tracebacks, and at the end why it failed; in the order of time, with nothing ever taken back, so
 * that what was there stays where it was while the step goes on. It lies beside the journal as the
 * file `log`, and each opening adds to that only what is new. Any thread; several openings at once,
 * and a kill at any moment, leave the text whole.
 */
#ifndef SEGUE_RUNNER_STEP_LOG_H
#define SEGUE_RUNNER_STEP_LOG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define STEP_LOG_FILE  "log"
#define STEP_LOG_STATE "log.state"

/* Brings the log of the attempt in `directory` up to date and gives a descriptor for reading it,
 * whose first *ret_size bytes are the text. ERR_NOT_FOUND: there is no journal; ERR_NO_SPACE. */
int step_log_open(const char *directory, int *ret_fd, uint64_t *ret_size, struct err *e);

/* Appends the text of one line of the journal. *is_mid_line says whether the text so far ends
 * within a line, before and after. What is no line of a journal has no text. */
void step_log_render(struct str line, bool *is_mid_line, struct buf *out);

#endif
