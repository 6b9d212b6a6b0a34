/* state: the directories that Segue keeps its state in, and who may use them.
 *
 *     ROOT/                 ~/.local/state/segue, as root /var/lib/segue
 *       data/               shared between projects: SEGUE_DATA_DIR
 *       latest/<key>/<step> -> the newest results of a pipeline's step (runner/engine/results.h)
 *       cli/<8 characters>/ a state directory: one for each `segue run`
 *       token               who may ask the service
 *       and, of the service, whose state directory is ROOT itself, what follows:
 *
 *     a state directory
 *       lock                flocked for as long as its engine lives
 *       id                  labels its containers
 *       segue.db            runs and events
 *       jobs.db             jobs, their sets, webhooks (runner/store/job_store.h)
 *       jobs/<job>/         the project that a job's runs work on copies of
 *       runs/<run>/         pipeline.json, io/, executed/, steps/<step>/<attempt>/
 *       k/<mark>/           sockets of a running attempt; `attempt` is a link to its directory,
 *                           there for as long as something that was started may be left
 *
 * Owns the lock. One per engine.
 */
#ifndef SEGUE_RUNNER_STATE_H
#define SEGUE_RUNNER_STATE_H

#include "base/err.h"
#include "base/id.h"

struct state {
    char *root;
    char *dir;
    struct uuid id; /* labels the containers of this state directory */
    int lock_fd;
};

/* SEGUE_STATE, else as above. free() it. */
char *state_root(void);

/* Makes a state directory for one run below `root` and locks it. ERR_LIMIT: the path is too long
 * for the sockets in it. */
int state_create(struct state *state, const char *root, struct err *e);

/* The state directory of a service: `root` itself, made when missing. ERR_CONFLICT: another service
 * has it. */
int state_open(struct state *state, const char *root, struct err *e);

void state_close(struct state *state); /* unlocks; removes nothing */

/* Paths; free() them. */
char *state_run_dir(const struct state *state, const char *run_uuid);
char *state_data_dir(const struct state *state);
char *state_socket_dir(const struct state *state, const char *mark); /* k/<mark> */

#endif
