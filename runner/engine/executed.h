/* executed: where the executed copies of a run's notebooks go.
 *
 * Each notebook step has one copy in the run's directory, under the notebook's own path in the
 * project; of two steps that run the same notebook the later one's name gets its uuid added. When a
 * step has ended its copy is delivered: into the output directory that was asked for, and, for a
 * run in place, over the source notebook, unless that was changed by somebody else since the run
 * began. One per run; belongs to the engine's thread.
 */
#ifndef SEGUE_RUNNER_EXECUTED_H
#define SEGUE_RUNNER_EXECUTED_H

#include "base/err.h"
#include "runner/engine/submission.h"

struct executed;

/* Remembers what the sources look like now. The submission is borrowed. */
struct executed *executed_new(const struct submission *submission, const char *run_dir);
void executed_free(struct executed *executed);

/* What the sources looked like, as JSON for the store, and back: a run that is taken up again by
 * another engine must still notice what was changed meanwhile. */
void executed_put_sources(const struct executed *executed, struct buf *out);
void executed_take_sources(struct executed *executed, const char *sources);

/* The copy of a step of the plan; NULL for a script. */
const char *executed_path(const struct executed *executed, uint32_t step);

/* Makes the directory of the step's copy. */
int executed_prepare(const struct executed *executed, uint32_t step, struct err *e);

/* Delivers the copy, if there is one. ERR_CONFLICT: the source was changed meanwhile and is left
 * as it is; other errors: it could not be written. */
int executed_deliver(struct executed *executed, uint32_t step, struct err *e);

#endif
