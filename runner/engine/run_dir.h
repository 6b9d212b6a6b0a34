/* run_dir: where a run lives on disk, and with whose rights its steps run.
 *
 *     STATE/runs/<run>/pipeline.json        the frozen definition
 *                      io/<step>/           what steps hand to each other (runner/engine/results.h)
 *                      executed/            executed notebooks (runner/engine/executed.h)
 *                      steps/<step>/<n>/    attempts (runner/engine/attempt.h)
 *
 * Owns its texts; never changed after it was made.
 */
#ifndef SEGUE_RUNNER_RUN_DIR_H
#define SEGUE_RUNNER_RUN_DIR_H

#include "runner/engine/state.h"
#include "runner/engine/submission.h"

#include <stdbool.h>
#include <sys/types.h>

struct run_dir {
    char *path;
    char *io;
    char *pipeline_file;
    struct uuid results_key; /* see results_key */
    bool change_user;        /* we are root and the project's owner is not */
    uid_t uid;
    gid_t gid;
};

/* Names everything; makes nothing. */
void run_dir_init(struct run_dir *dir, const struct state *state,
                  const struct submission *submission);

/* Makes it, or finds it made. */
int run_dir_make(struct run_dir *dir, const struct submission *submission, struct err *e);
void run_dir_clear(struct run_dir *dir); /* frees the texts; the files stay */

/* The directory of an attempt; free() it. */
char *run_dir_attempt(const struct run_dir *dir, const char *step_uuid, uint32_t number);

#endif
