/* recover: clearing up after a keeper or an engine that was killed.
 *
 * A killed keeper leaves a kernel or a container, a half-written notebook and sockets; a killed
 * engine leaves a state directory whose lock is free. What is marked is ended, notebooks are
 * completed from their journals, sockets are removed. Nothing that belongs to a living engine is
 * touched. Safe to repeat.
 */
#ifndef SEGUE_RUNNER_RECOVER_H
#define SEGUE_RUNNER_RECOVER_H

#include "base/err.h"
#include "kernel-gateway/launch/launch.h"
#include "runner/step/task.h"

/* One attempt whose keeper is gone: ends what it started, completes the executed copy. Errors: the
 * first thing that could not be done; the rest is done all the same. */
int recover_attempt(const char *directory, const char *mark, enum launcher_kind launcher,
                    struct err *e);

/* Only the executed copy: for when what was started cannot be ended now, and is left to the next
 * start. */
int recover_notebook(const char *directory, struct err *e);

/* What k/<mark> (`socket_dir`) leads to, and the directory itself. -1: to be tried again, for its
 * keeper lives, or Docker's engine does not answer. */
int recover_mark(const char *socket_dir, const char *mark);

/* The same for every attempt of the run in `run_dir`; kernels that were kept of it are released. */
int recover_run(const char *sockets, const char *run_dir);

/* Every state directory below `root` that an engine left behind without ending its attempts. What
 * cannot be cleared (an engine of Docker that does not answer) is left for the next time. */
void recover_state_dirs(const char *root);

#endif
