/* step: one attempt of a step, inside its keeper, from task.json to the journal's last line.
 *
 * Reads the task, has the notebook or the script run (step_notebook.c, step_script.c), obeys
 * "stop", and ends with exactly one `step_finished` in the journal. Never looks at other steps and
 * decides neither on the step's time limit nor on retries: that is the engine's part.
 */
#ifndef SEGUE_RUNNER_STEP_H
#define SEGUE_RUNNER_STEP_H

#include "kernel-gateway/keeper/nursery.h"

/* The whole life of a keeper with a step; gives its exit status: 0 when the journal tells how the
 * step ended, 1 when not even that could be written. */
int step_run(const struct keeper_birth *birth);

#endif
