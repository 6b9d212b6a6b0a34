/* pipeline_lock: one run at a time of a pipeline on the live project.
 *
 * Two runs of one pipeline in one project directory would read and write the same files. The lock
 * is a file below the state's root, held by an open descriptor; whoever comes second waits for it.
 */
#ifndef SEGUE_RUNNER_PIPELINE_LOCK_H
#define SEGUE_RUNNER_PIPELINE_LOCK_H

#include "base/err.h"
#include "base/id.h"

/* The lock's descriptor: close it to let the next one in. When somebody else holds the lock,
 * `waiting` is called once and then it is waited for; ERR_CANCELLED when a signal handler ran in
 * the meantime. `key` is the pipeline's results_key. */
int pipeline_lock(const char *root, const struct uuid *key, void (*waiting)(void), struct err *e);

/* The same without waiting: ERR_CONFLICT when somebody else has it. `key` as text. */
int pipeline_try_lock(const char *root, const char *key, struct err *e);

/* A descriptor that becomes readable when somebody has let go of a lock of pipeline_lock (inotify):
 * read it empty, then try again. -1: errors of the system. */
int pipeline_lock_watch(const char *root, struct err *e);

#endif
