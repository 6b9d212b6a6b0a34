/* notebook_task: the notebook of a task, ready to be filled: read, parameters injected, started.
 *
 * The same for the driver that executes it and for whoever completes it from the journal after the
 * driver was killed: both must come to the same bytes.
 */
#ifndef SEGUE_RUNNER_NOTEBOOK_TASK_H
#define SEGUE_RUNNER_NOTEBOOK_TASK_H

#include "runner/notebook/notebook.h"
#include "runner/step/task.h"

int notebook_of_task(const struct task *task, struct notebook **ret_notebook, struct err *e);

/* Writes the executed copy. */
int notebook_save(struct notebook *notebook, const struct task *task, struct err *e);

#endif
