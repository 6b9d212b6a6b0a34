/* rerun: an ended run once more, as a new run: its frozen definition, parameters and images, on the
 * project as it is now. A run of a job becomes one that a person waits for.
 *
 * Reads the store and the project's files; changes nothing.
 */
#ifndef SEGUE_RUNNER_RERUN_H
#define SEGUE_RUNNER_RERUN_H

#include "runner/engine/submission.h"
#include "runner/store/store.h"

enum rerun_from {
    RERUN_START,  /* all of its steps */
    RERUN_FAILED, /* those that did not succeed: what failed, and what depends on it */
};

struct rerun_wish {
    enum rerun_from from;
    const uint32_t *keep_kernels_s; /* NULL: as it was */
};

/* ERR_NOT_FOUND; ERR_CONFLICT: it has not ended, or nothing failed; ERR_INVALID: it cannot be run
 * (any more): files that are gone are in `problems`. */
int rerun_make(struct store *reader, const char *run_uuid, const struct rerun_wish *wish,
               struct submission **ret_submission, struct problems *problems, struct err *e);

#endif
