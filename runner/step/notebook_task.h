/* notebook_task: the notebook of a task, ready to be filled: read, parameters injected, started.
 *
 * The same for the driver that executes it and for whoever makes it again from the journal, while
 * it runs or after the driver was killed: both must come to the same bytes. The project is live and
 * its notebooks are edited at any time; so the driver keeps what it started from in the attempt's
 * directory, and nobody else ever looks at the source.
 */
#ifndef SEGUE_RUNNER_NOTEBOOK_TASK_H
#define SEGUE_RUNNER_NOTEBOOK_TASK_H

#include "runner/notebook/notebook.h"
#include "runner/step/task.h"

#define SOURCE_FILE "source.ipynb"

/* For the driver: reads the source and keeps it, as SOURCE_FILE. ERR_NO_SPACE: it cannot be kept;
 * other errors: it cannot be read, or is no notebook. */
int notebook_begin(const struct task *task, const char *directory, struct notebook **ret_notebook,
                   struct err *e);

/* For everybody else: what the attempt's journal has made of it so far. ERR_NOT_FOUND: the driver
 * has not begun. */
int notebook_so_far(const struct task *task, const char *directory, struct notebook **ret_notebook,
                    struct err *e);

/* Writes the executed copy. */
int notebook_save(struct notebook *notebook, const struct task *task, struct err *e);

#endif
