/* best: the set of a fire that came out best by the job's objective.
 *
 * Reads the job store (any connection); keeps nothing.
 */
#ifndef SEGUE_RUNNER_BEST_H
#define SEGUE_RUNNER_BEST_H

#include "base/buf.h"
#include "runner/store/job_store.h"

/* Appends {"number", "run_uuid", "metric", "value", "parameters"} of the best set of the fire that
 * succeeded; null: there is none with that metric, or no objective. Of equally good ones the one
 * with the lowest number; of steps that report the metric in one run, the last that is told. */
int best_put(struct job_store *store, const struct job_row *job, int64_t fire, struct buf *out,
             struct err *e);

#endif
