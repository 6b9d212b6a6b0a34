/* live_run: a run while it goes on: what it is (submission), how far it is (run), what runs for it
 * (attempts), and its rows in the store.
 *
 * The engine calls it in this order, for each of its turns: within one transaction live_run_read
 * (what the journals say becomes events) and live_run_decide (what is to be done next becomes
 * events), then, after the commit, live_run_act (what was decided is done). Events that happened
 * are appended to the notices, for after the commit too. Belongs to the engine's thread.
 */
#ifndef SEGUE_RUNNER_LIVE_RUN_H
#define SEGUE_RUNNER_LIVE_RUN_H

#include "runner/engine/attempt.h"
#include "runner/engine/notices.h"
#include "runner/engine/submission.h"
#include "runner/run/run.h"
#include "runner/store/store.h"

struct janitor;
struct live_run;

/* What live runs share. Borrowed. */
struct live_world {
    struct store *store;
    const struct state *state;
    const char *sdk_dir;
    struct attempt_world attempts; /* with live_run_attempt_events */
    struct notices *notices;
    struct janitor *janitor;  /* ends what an engine of Docker is slow to end; NULL: done at once */
    void (*news)(void *user); /* a turn is due */
    void *user;
};

extern const struct attempt_events live_run_attempt_events;

/* Takes up run number `id` of the store where its events have left it: waiting since it was
 * accepted, or in the middle, with keepers that live, or that have gone since. The submission is
 * owned from here on. In a transaction. ERR_INVALID: its events cannot be gone on with. */
int live_run_open(struct live_run **ret_live, const struct live_world *world,
                  struct submission *take_submission, int64_t id, struct err *e);
void live_run_free(struct live_run *live); /* NULL is allowed; what runs for it goes on */

/* Keeps the descriptor by which the pipeline is its own until it is over; -1: none. */
void live_run_take_turn(struct live_run *live, int take_fd);

/* Lets it begin, if it has not yet. In a transaction. */
int live_run_begin(struct live_run *live, struct err *e);

int live_run_cancel(struct live_run *live, struct err *e); /* in a transaction; twice is fine */
int live_run_read(struct live_run *live, struct err *e);

/* *ret_wake is when to ask again (wall clock), 0: at the next news. */
int live_run_decide(struct live_run *live, uint32_t free_slots, msec *ret_wake, struct err *e);

void live_run_clock_jumped(struct live_run *live, msec delta);

/* Starts and stops attempts. True when that made news: another turn is due. */
bool live_run_act(struct live_run *live);

/* Stops whatever runs without asking the store: it can no longer be written. */
void live_run_drop(struct live_run *live, enum cause cause);

bool live_run_is_over(const struct live_run *live); /* ended, and no keeper is left */
uint32_t live_run_slots_in_use(const struct live_run *live);
uint32_t live_run_attempts(const struct live_run *live); /* keepers that are not gone */
bool live_run_has_mark(const struct live_run *live, const char *mark); /* of one of its attempts */
msec live_run_queued(const struct live_run *live); /* when it was accepted, wall clock */
int64_t live_run_id(const struct live_run *live);

const struct submission *live_run_submission(const struct live_run *live);
const struct run *live_run_state(const struct live_run *live);
const char *live_run_dir(const struct live_run *live);
const char *live_run_executed(const struct live_run *live, uint32_t step); /* NULL: none */

#endif
