/* run: the state of one run of a plan: which steps have ended how, and what is to be done next.
 *
 * A pure state machine: run_apply changes the state by one event and does nothing else; run_next
 * says what to do and changes nothing. It reads no clock, does no input or output, keeps no pointer
 * to an event; the same events give the same state, always, so that a run is rebuilt after a crash
 * by applying its stored events to a fresh one. Belongs to one thread (the engine's). Borrows the
 * plan and the pipeline, which must outlive it. Steps are named by their index in the plan.
 *
 * The loop of whoever drives it: ask run_next, record and apply the event that belongs to the
 * answer, act, ask again, until it says WAIT or NOTHING:
 *
 *     answer             event                      then
 *     ACTION_STOP        step_stopping (cause)      make the attempt stop
 *     ACTION_ABORT       step_finished (ABORTED)    -
 *     ACTION_START       step_started (attempt)     start the attempt
 *     ACTION_CANCEL      cancel_requested (TIMEOUT) -
 *     ACTION_FINISH      run_finished               -
 *     ACTION_WAIT        -                          ask again at `time`, or after any event
 *     ACTION_NOTHING     -                          ask again after any event
 *
 * ACTION_STOP, ABORT, START, CANCEL and FINISH come with exactly that event filled in. An attempt
 * that has ended becomes an event by run_attempt_ended, which decides about another try.
 *
 * Rules: a step starts when all its parents in the plan ended with SUCCESS, in plan order, under
 * the pipeline's max_steps_parallelism and the free slots; a due retry goes before steps that have
 * never started. When a step ends otherwise its descendants are ABORTED (upstream) at once and
 * everything else goes on. After a cancel nothing starts, what waits is ABORTED, what runs is to be
 * stopped; a run that is over its time limit is cancelled so too, but what runs of it and the run
 * itself end in FAILURE (timeout). The run is over when its sentinel is reached, that is every leaf
 * has ended, and no step above an aborted leaf is still running.
 *
 * Tries: a step whose `retries` have a limit is begun again so often after what its own doing was
 * (an error, a time limit). What the machine did to it (cause_is_infrastructure) uses none of them
 * up: it is begun again after RUN_LOST_DELAY_MS, each time in a row twice as long, and given up
 * after RUN_LOST_TRIES of them in a row. A step without retries fails at once: somebody may wait.
 */
#ifndef SEGUE_RUNNER_RUN_H
#define SEGUE_RUNNER_RUN_H

#include "base/clock.h"
#include "base/err.h"
#include "kernel-gateway/cause.h"
#include "runner/plan/pipeline.h"
#include "runner/plan/plan.h"
#include "runner/status.h"

#include <stdbool.h>
#include <stdint.h>

/* kind, name in the log and in streams. */
#define RUN_EVENTS(X)                                                                              \
    X(EVENT_RUN_QUEUED, "run_queued")             /* accepted; changes nothing */                  \
    X(EVENT_RUN_STARTED, "run_started")           /* from here on steps may start */               \
    X(EVENT_CANCEL_REQUESTED, "cancel_requested") /* once per run; cause: CANCELLED, TIMEOUT */    \
    X(EVENT_STEP_STARTED, "step_started")         /* attempt: 1, 2, ... */                         \
    X(EVENT_STEP_STOPPING, "step_stopping")       /* attempt, cause: why it is made to stop */     \
    X(EVENT_STEP_RETRYING, "step_retrying")       /* attempt that failed, cause, retry_at */       \
    X(EVENT_STEP_FINISHED, "step_finished")       /* attempt: the last, 0: none; status, cause */  \
    X(EVENT_RUN_FINISHED, "run_finished")         /* status, cause */

enum run_event_kind {
#define X(kind, name) kind,
    RUN_EVENTS(X)
#undef X
};

struct run_event {
    enum run_event_kind kind;
    enum status status;
    enum cause cause;
    uint32_t step; /* STEP_NONE where the event is about the run */
    uint32_t attempt;
    msec time;     /* wall clock */
    msec retry_at; /* wall clock */
};

const char *run_event_name(enum run_event_kind kind);
int run_event_parse(const char *name, enum run_event_kind *ret_kind, struct err *e);

enum run_action_kind {
    ACTION_NOTHING,
    ACTION_WAIT,   /* until `time`: a retry or a time limit is due then */
    ACTION_STOP,   /* a running attempt: cancelled, or its time limit is over */
    ACTION_ABORT,  /* a step that does not run and never will */
    ACTION_START,  /* an attempt */
    ACTION_CANCEL, /* the run: its time limit is over */
    ACTION_FINISH, /* the run */
};

struct run_action {
    enum run_action_kind kind;
    msec time;              /* ACTION_WAIT */
    struct run_event event; /* STOP, ABORT, START, CANCEL, FINISH: to be applied; time is now */
};

struct run;

#define RUN_LOST_TRIES        10u
#define RUN_LOST_DELAY_MS     ((msec)5000)
#define RUN_LOST_DELAY_MAX_MS ((msec)300000)

/* `timeout_s`: from run_started on; 0: none. */
struct run *run_new(const struct plan *plan, const struct pipeline *pipeline, uint32_t timeout_s);
void run_free(struct run *run);
AUTO_FUNCTION(struct run, run_free)
#define auto_run auto_with(run_free_at)

/* Changes the state. An event that does not fit the state is refused with ERR_CONFLICT and changes
 * nothing: a step that has ended, another attempt than the current one, a parent that is missing.
 */
int run_apply(struct run *run, const struct run_event *event, struct err *e);

/* The wall clock has jumped by `delta`: what is due after a while is due after the same while. */
void run_clock_jumped(struct run *run, msec delta);

/* What to do next; `free_slots` is how many attempts the caller could start now. Constant time but
 * for a small logarithm; asking twice gives the same answer. */
void run_next(const struct run *run, msec now, uint32_t free_slots, struct run_action *ret_action);

/* The event that follows from the end of the step's current attempt: step_finished, or
 * step_retrying when the cause is one that another try is for, one is left and nobody cancelled. An
 * attempt that was made to stop and did not succeed gets the cause it was stopped for. `status` is
 * how the attempt ended (final), `cause` why. The step must be running. */
void run_attempt_ended(const struct run *run, uint32_t step, enum status status, enum cause cause,
                       msec now, struct run_event *ret_event);

/* The same for a step that cannot do better in this run, whatever is left: step_finished. */
void run_step_failed(const struct run *run, uint32_t step, enum cause cause, msec now,
                     struct run_event *ret_event);

enum status run_status(const struct run *run);
bool run_is_cancelled(const struct run *run);           /* cancel_requested was applied */
enum cause run_cancel_cause(const struct run *run);     /* its cause; CAUSE_NONE: it was not */
uint32_t run_count(const struct run *run, enum status); /* steps in that status */
uint32_t run_running(const struct run *run);            /* attempts that run now: slots in use */
uint32_t run_first_failure(const struct run *run); /* the step that failed first, or STEP_NONE */

enum status run_step_status(const struct run *run, uint32_t step);
enum cause run_step_cause(const struct run *run, uint32_t step);      /* of what ended; else NONE */
uint32_t run_step_attempt(const struct run *run, uint32_t step);      /* the latest; 0: none yet */
bool run_step_is_running(const struct run *run, uint32_t step);       /* an attempt of it runs */
bool run_step_is_stopping(const struct run *run, uint32_t step);      /* ... and was made to stop */
enum cause run_step_stop_cause(const struct run *run, uint32_t step); /* why, of one that is */

/* If the latest attempt fails by its own doing, there is none after it. */
bool run_step_is_last_try(const struct run *run, uint32_t step);

#endif
