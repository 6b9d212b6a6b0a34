/* attempt: the engine's end of one attempt of a step: its directory, its keeper, its journal.
 *
 *     DIRECTORY/task.json, source.ipynb, lock, journal, kernel.log, log
 *     STATE/k/<mark>/keeper, attempt, s/
 *
 * Starts the keeper, tells it to stop, reads the journal as it grows, and notices when the keeper
 * is gone. It does not know what a run is. Belongs to the engine's thread; events come from the
 * loop, and from attempt_read.
 */
#ifndef SEGUE_RUNNER_ATTEMPT_H
#define SEGUE_RUNNER_ATTEMPT_H

#include "base/loop.h"
#include "kernel-gateway/cause.h"
#include "kernel-gateway/keeper/nursery.h"
#include "runner/engine/state.h"
#include "runner/step/task.h"

#include <stdint.h>

struct attempt;

struct attempt_events {
    /* The journal has grown, or the keeper has ended: attempt_read. */
    void (*news)(void *user);
};

/* What is the same for all attempts of an engine. Borrowed. */
struct attempt_world {
    struct loop *loop;
    struct nursery *nursery;
    const struct state *state;
    int life_fd; /* read end of the engine's life pipe, or -1 */
    const struct attempt_events *events;
};

/* Writes the task, takes the lock, has the keeper born. `task` has attempt_id (its mark) and
 * socket_dir (attempt_socket_dir) set. ERR_UNAVAILABLE: the nursery was killed meanwhile, and
 * whether it has borne one is for attempt_adopt to say. */
int attempt_start(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const struct task *task, void *user, struct err *e);

/* Takes up an attempt that an earlier engine decided to start, and reads on in its journal from
 * `offset`: 1: here it is, its keeper living or gone. 0: its keeper never began anything; what was
 * prepared is removed, and it may be started as if for the first time. -1 with ERR_UNAVAILABLE: it
 * cannot be said yet. */
int attempt_adopt(struct attempt **ret_attempt, const struct attempt_world *world,
                  const char *directory, const char *mark, uint64_t offset, void *user,
                  struct err *e);

/* Where the kernel's sockets of the attempt lie: below state_socket_dir. free() it. */
char *attempt_socket_dir(const struct state *state, const char *mark);

/* Asks the keeper to stop; one that does not obey in time is killed. */
void attempt_stop(struct attempt *attempt, enum cause cause);

/* The next line of the journal, *ret_offset where it starts; 1: a line, 0: none yet. */
int attempt_read(struct attempt *attempt, struct str *ret_line, uint64_t *ret_offset,
                 struct err *e);

bool attempt_is_gone(const struct attempt *attempt); /* the keeper has ended */

/* The keeper did not obey and was killed by us: most likely Docker's engine hangs. */
bool attempt_was_killed(const struct attempt *attempt);

/* Lets go of the attempt. A keeper that is gone leaves nothing behind: its socket directory is
 * removed. NULL is allowed. */
void attempt_free(struct attempt *attempt);

#endif
