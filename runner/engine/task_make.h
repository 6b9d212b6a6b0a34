/* task_make: from a planned step to the task that its keeper gets. */
#ifndef SEGUE_RUNNER_TASK_MAKE_H
#define SEGUE_RUNNER_TASK_MAKE_H

#include "runner/engine/executed.h"
#include "runner/engine/run_dir.h"
#include "runner/engine/state.h"
#include "runner/engine/submission.h"
#include "runner/run/run.h"
#include "runner/step/task.h"

/* What a task is made of. Borrowed. */
struct task_source {
    const struct submission *submission;
    const struct run *run;
    const struct run_dir *dir;
    const struct state *state;
    const struct executed *executed;
    const char *sdk_dir;
};

/* The task of the step's latest attempt; its environment must be one that can run. Brings the
 * results of parents that the run leaves out into its IO directory, as earlier runs left them, and
 * removes what an earlier attempt has reported (runner/engine/report.h). */
int task_make(struct task *task, const struct task_source *source, uint32_t plan_step,
              const char *mark, struct err *e);

#endif
