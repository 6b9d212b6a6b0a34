/* run_rows: a submission as rows of the store: the run and its steps, all PENDING.
 *
 * Only within an open transaction.
 */
#ifndef SEGUE_RUNNER_RUN_ROWS_H
#define SEGUE_RUNNER_RUN_ROWS_H

#include "runner/engine/submission.h"
#include "runner/store/store.h"

/* *ret_run is the number that the store knows the run by. Errors as of the store. */
int run_rows_add(struct store *store, const struct submission *submission, int64_t *ret_run,
                 struct err *e);

#endif
