/* results: what steps hand to each other across runs.
 *
 * The results of a run lie in its own IO directory, which no other run shares:
 * IO/<step>/<name>.<format> with an index.json (the SDK writes them). When a step has succeeded
 * they become the newest results of that step of that pipeline in that project; a later run that
 * leaves the step out finds them in its own IO directory, with the run and time they stem from
 * still in the index. Results never change once they are written, so they are linked, not copied,
 * where the file system can. Keeps no state in memory.
 */
#ifndef SEGUE_RUNNER_RESULTS_H
#define SEGUE_RUNNER_RESULTS_H

#include "base/err.h"
#include "base/id.h"

/* Names a pipeline of a project: two copies of a project are two. */
struct uuid results_key(const char *project_dir, const char *pipeline_uuid);

/* Makes the results of the step in `io_dir` the newest ones; nothing when it has left none. */
int results_publish(const char *root, const struct uuid *key, const char *step_uuid,
                    const char *io_dir, struct err *e);

/* Where the newest results of a step lie, if there are any. free() it. */
char *results_latest(const char *root, const struct uuid *key, const char *step_uuid);

/* Brings the results of a step that lie in `from` into `io_dir`; nothing when there are none. */
int results_bring(const char *from, const char *step_uuid, const char *io_dir, struct err *e);

#endif
