/* Every step is in one of eleven states, finer than what users see, and every state that calls for
 * an action is a container: `ready`, `aborts` and `stops` are sets, `retries` and `deadlines`
 * heaps. Only move() changes a state; it checks the table of moves and takes the step from one
 * container to the other. So run_next has nothing to search for: it looks at the first of each
 * container.
 *
 * Failure is passed on one edge at a time: a step that ends without SUCCESS dooms its children, a
 * doomed step is to be ABORTED, and the event that says so dooms its children in turn. Each edge is
 * looked at once when its parent ends, so a whole run costs steps + edges.
 *
 * A child of a failed step may be a leaf while another of its parents still runs. Hence the
 * sentinel alone (all leaves have ended) does not end the run: the last running step has to end as
 * well.
 */
#include "runner/run/run.h"

#include "base/mem.h"
#include "runner/run/step_heap.h"
#include "runner/run/step_set.h"

#include <assert.h>
#include <string.h>

/* state, what users see of it, states that may follow */
#define STEP_STATES(X)                                                                             \
    X(WAITING, STATUS_PENDING, TO(READY) | TO(DOOMED)) /* for its parents */                       \
    X(READY, STATUS_PENDING, TO(RUNNING) | TO(DOOMED)) /* for a slot */                            \
    X(DOOMED, STATUS_PENDING, TO(ABORTED))             /* will never start */                      \
    X(RUNNING, STATUS_STARTED,                                                                     \
      TO(LEAVING) | TO(STOPPING) | TO(RESTING) | TO(SUCCEEDED) | TO(FAILED))                       \
    X(LEAVING, STATUS_STARTED, /* runs, the run is cancelled: to be stopped */                     \
      TO(STOPPING) | TO(SUCCEEDED) | TO(FAILED) | TO(ABORTED))                                     \
    X(STOPPING, STATUS_STARTED, /* runs, was made to stop */                                       \
      TO(RESTING) | TO(SUCCEEDED) | TO(FAILED) | TO(ABORTED))                                      \
    X(RESTING, STATUS_STARTED, TO(RUNNING) | TO(GIVEN_UP)) /* until the next attempt is due */     \
    X(GIVEN_UP, STATUS_STARTED, TO(ABORTED))               /* rested when the run was cancelled */ \
    X(SUCCEEDED, STATUS_SUCCESS, 0)                                                                \
    X(FAILED, STATUS_FAILURE, 0)                                                                   \
    X(ABORTED, STATUS_ABORTED, 0)

#define TO(state) (1u << (state))

enum step_state {
#define X(state, status, moves) state,
    STEP_STATES(X)
#undef X
};

static const enum status status_of[] = {
#define X(state, status, moves) [state] = status,
    STEP_STATES(X)
#undef X
};

static const unsigned moves_from[] = {
#define X(state, status, moves) [state] = moves,
    STEP_STATES(X)
#undef X
};

static const char *const event_names[] = {
#define X(kind, name) [kind] = name,
    RUN_EVENTS(X)
#undef X
};

struct step {
    uint8_t state;         /* enum step_state */
    uint8_t cause;         /* enum cause: why it is DOOMED, GIVEN_UP, STOPPING, or has ended */
    uint8_t lost_in_a_row; /* attempts until now that infrastructure failed */
    uint32_t lost;         /* all of those: they are no tries of the step's `retries` */
    uint32_t attempt;
    uint32_t parents_left; /* parents that have not ended */
};

struct run {
    const struct plan *plan;
    const struct pipeline *pipeline;
    struct step *steps;
    struct step_set ready;      /* READY */
    struct step_set aborts;     /* DOOMED, GIVEN_UP */
    struct step_set stops;      /* LEAVING */
    struct step_heap retries;   /* RESTING: when the next attempt is due */
    struct step_heap deadlines; /* RUNNING with a time limit: when it is over */
    uint32_t counts[STATUS_COUNT];
    uint32_t running;       /* RUNNING, LEAVING, STOPPING */
    uint32_t sentinel_left; /* leaves that have not ended */
    uint32_t first_failure;
    uint32_t timeout_s; /* 0: none */
    msec deadline;      /* when it is over, of a run that has started */
    enum status status;
    enum cause cancelled; /* CAUSE_CANCELLED, CAUSE_TIMEOUT; CAUSE_NONE: it is not */
};

const char *run_event_name(enum run_event_kind kind)
{
    return event_names[kind];
}

int run_event_parse(const char *name, enum run_event_kind *ret_kind, struct err *e)
{
    for (unsigned i = 0; i < sizeof event_names / sizeof *event_names; i++) {
        if (strcmp(event_names[i], name) == 0) {
            *ret_kind = (enum run_event_kind)i;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "\"%s\" is no event of a run", name);
}

struct run *run_new(const struct plan *plan, const struct pipeline *pipeline, uint32_t timeout_s)
{
    struct run *run = mem_zalloc(sizeof *run);
    run->plan = plan;
    run->pipeline = pipeline;
    run->timeout_s = timeout_s;
    run->steps = mem_array(plan->count, sizeof *run->steps);
    step_set_init(&run->ready, plan->count);
    step_set_init(&run->aborts, plan->count);
    step_set_init(&run->stops, plan->count);
    step_heap_init(&run->retries, plan->count);
    step_heap_init(&run->deadlines, plan->count);
    run->counts[STATUS_PENDING] = plan->count;
    run->sentinel_left = plan->sentinel.count;
    run->first_failure = STEP_NONE;
    for (uint32_t i = 0; i < plan->count; i++) {
        run->steps[i].parents_left = plan->steps[i].incoming.count;
        if (run->steps[i].parents_left == 0) {
            run->steps[i].state = READY;
            step_set_add(&run->ready, i);
        }
    }
    return run;
}

void run_free(struct run *run)
{
    if (!run)
        return;
    free(run->steps);
    step_set_clear(&run->ready);
    step_set_clear(&run->aborts);
    step_set_clear(&run->stops);
    step_heap_clear(&run->retries);
    step_heap_clear(&run->deadlines);
    free(run);
}

static bool runs(enum step_state state)
{
    return state == RUNNING || state == LEAVING || state == STOPPING;
}

static const struct pipeline_step *definition(const struct run *run, uint32_t step)
{
    return &run->pipeline->steps[run->plan->steps[step].step];
}

static void leave(struct run *run, uint32_t step)
{
    switch ((enum step_state)run->steps[step].state) {
    case READY:
        step_set_remove(&run->ready, step);
        break;
    case DOOMED:
    case GIVEN_UP:
        step_set_remove(&run->aborts, step);
        break;
    case LEAVING:
        step_set_remove(&run->stops, step);
        break;
    case RUNNING:
        step_heap_remove(&run->deadlines, step);
        break;
    case RESTING:
        step_heap_remove(&run->retries, step);
        break;
    case WAITING:
    case STOPPING:
    case SUCCEEDED:
    case FAILED:
    case ABORTED:
        break;
    }
}

/* `time`: the start of what runs, the end of what rests; else not looked at. */
static void enter(struct run *run, uint32_t step, msec time)
{
    switch ((enum step_state)run->steps[step].state) {
    case READY:
        step_set_add(&run->ready, step);
        break;
    case DOOMED:
    case GIVEN_UP:
        step_set_add(&run->aborts, step);
        break;
    case LEAVING:
        step_set_add(&run->stops, step);
        break;
    case RUNNING:
        if (definition(run, step)->timeout_s > 0)
            step_heap_add(&run->deadlines, step,
                          time + (msec)definition(run, step)->timeout_s * 1000);
        break;
    case RESTING:
        step_heap_add(&run->retries, step, time);
        break;
    case WAITING:
    case STOPPING:
    case SUCCEEDED:
    case FAILED:
    case ABORTED:
        break;
    }
}

/* The only place where a step changes its state. */
static void move(struct run *run, uint32_t step, enum step_state to, enum cause cause, msec time)
{
    struct step *s = &run->steps[step];
    assert(moves_from[s->state] & TO(to));
    leave(run, step);
    run->counts[status_of[s->state]]--;
    run->running -= runs((enum step_state)s->state);
    s->state = (uint8_t)to;
    s->cause = (uint8_t)cause;
    run->counts[status_of[to]]++;
    run->running += runs(to);
    enter(run, step, time);
}

/* What the end of a step means to those behind it: its children, or the sentinel. */
static void pass_on(struct run *run, uint32_t step)
{
    bool good = run->steps[step].state == SUCCEEDED;
    const struct step_list *children = &run->plan->steps[step].outgoing;
    if (children->count == 0)
        run->sentinel_left--;
    for (uint32_t i = 0; i < children->count; i++) {
        uint32_t child = children->at[i];
        run->steps[child].parents_left--;
        if (run->steps[child].state != WAITING)
            continue; /* doomed before, by another parent or a cancel */
        if (!good)
            move(run, child, DOOMED, CAUSE_UPSTREAM, 0);
        else if (run->steps[child].parents_left == 0)
            move(run, child, READY, CAUSE_NONE, 0);
    }
}

static void cancel(struct run *run, enum cause cause)
{
    run->cancelled = cause;
    for (uint32_t i = 0; i < run->plan->count; i++) {
        switch ((enum step_state)run->steps[i].state) {
        case WAITING:
        case READY:
            move(run, i, DOOMED, CAUSE_CANCELLED, 0);
            break;
        case RUNNING:
            move(run, i, LEAVING, CAUSE_NONE, 0);
            break;
        case RESTING:
            move(run, i, GIVEN_UP, CAUSE_CANCELLED, 0);
            break;
        case DOOMED:
        case LEAVING:
        case STOPPING:
        case GIVEN_UP:
        case SUCCEEDED:
        case FAILED:
        case ABORTED:
            break;
        }
    }
}

static bool is_over(const struct run *run)
{
    return run->sentinel_left == 0 && run->counts[STATUS_PENDING] == 0 &&
           run->counts[STATUS_STARTED] == 0;
}

static enum status verdict(const struct run *run, enum cause *ret_cause)
{
    if (run->cancelled != CAUSE_NONE) {
        *ret_cause = run->cancelled;
        return run->cancelled == CAUSE_TIMEOUT ? STATUS_FAILURE : STATUS_ABORTED;
    }
    if (run->first_failure != STEP_NONE) {
        *ret_cause = (enum cause)run->steps[run->first_failure].cause;
        return STATUS_FAILURE;
    }
    *ret_cause = CAUSE_NONE;
    return STATUS_SUCCESS;
}

/* The state that a step_finished leads to, or the step's own state when the event makes no sense.
 */
static enum step_state end_state(const struct run *run, const struct run_event *event)
{
    const struct step *s = &run->steps[event->step];
    enum step_state stay = (enum step_state)s->state;
    bool planned = stay == DOOMED || stay == GIVEN_UP;
    switch (event->status) {
    case STATUS_SUCCESS:
        return event->cause == CAUSE_NONE ? SUCCEEDED : stay;
    case STATUS_FAILURE:
        return event->cause != CAUSE_NONE && event->cause != CAUSE_CANCELLED ? FAILED : stay;
    case STATUS_ABORTED:
        return event->cause == (planned ? (enum cause)s->cause : CAUSE_CANCELLED) ? ABORTED : stay;
    case STATUS_PENDING:
    case STATUS_STARTED:
        break;
    }
    return stay;
}

/* What runs is stopped for what its run is cancelled for, or for its own reasons. */
static bool may_stop_for(const struct run *run, enum cause cause)
{
    if (run->cancelled != CAUSE_NONE)
        return cause == run->cancelled;
    return cause != CAUSE_NONE && cause != CAUSE_CANCELLED;
}

/* The state that an event about a step leads to; its own state when it leads nowhere. */
static enum step_state next_state(const struct run *run, const struct run_event *event)
{
    enum step_state stay = (enum step_state)run->steps[event->step].state;
    switch (event->kind) {
    case EVENT_STEP_STARTED:
        return run->status == STATUS_STARTED ? RUNNING : stay;
    case EVENT_STEP_STOPPING:
        return may_stop_for(run, event->cause) ? STOPPING : stay;
    case EVENT_STEP_RETRYING:
        return event->cause != CAUSE_NONE && run->cancelled == CAUSE_NONE ? RESTING : stay;
    case EVENT_STEP_FINISHED:
        return end_state(run, event);
    case EVENT_RUN_QUEUED:
    case EVENT_RUN_STARTED:
    case EVENT_CANCEL_REQUESTED:
    case EVENT_RUN_FINISHED:
        break;
    }
    return stay;
}

static void count_try(struct step *s, enum cause cause)
{
    bool is_lost = cause_is_infrastructure(cause);

    s->lost += is_lost;
    if (!is_lost)
        s->lost_in_a_row = 0;
    else if (s->lost_in_a_row < UINT8_MAX)
        s->lost_in_a_row++;
}

static int apply_to_step(struct run *run, const struct run_event *event, struct err *e)
{
    if (event->step >= run->plan->count)
        return err_set(e, ERR_CONFLICT, "%s for step %u of %u", run_event_name(event->kind),
                       event->step, run->plan->count);
    struct step *s = &run->steps[event->step];
    bool starts = event->kind == EVENT_STEP_STARTED;
    if (event->attempt != s->attempt + starts)
        return err_set(e, ERR_CONFLICT, "%s for attempt %u of step %u, which is at attempt %u",
                       run_event_name(event->kind), event->attempt, event->step, s->attempt);
    enum step_state to = next_state(run, event);
    if (!(moves_from[s->state] & TO(to)))
        return err_set(e, ERR_CONFLICT, "%s (%s, \"%s\") does not fit step %u, which is %s",
                       run_event_name(event->kind), status_name(event->status),
                       cause_name(event->cause), event->step, status_name(status_of[s->state]));
    s->attempt = event->attempt;
    move(run, event->step, to, event->cause, to == RESTING ? event->retry_at : event->time);
    if (to == RESTING)
        count_try(s, event->cause);
    if (to == FAILED && run->first_failure == STEP_NONE)
        run->first_failure = event->step;
    if (status_is_final(status_of[to]))
        pass_on(run, event->step);
    return 0;
}

static int refuse(const struct run *run, const struct run_event *event, struct err *e)
{
    return err_set(e, ERR_CONFLICT, "%s does not fit the run, which is %s%s",
                   run_event_name(event->kind), status_name(run->status),
                   run->cancelled != CAUSE_NONE ? " and cancelled" : "");
}

static int start(struct run *run, const struct run_event *event, struct err *e)
{
    if (run->status != STATUS_PENDING || run->cancelled != CAUSE_NONE)
        return refuse(run, event, e);
    run->status = STATUS_STARTED;
    run->deadline = event->time + (msec)run->timeout_s * 1000;
    return 0;
}

static int request_cancel(struct run *run, const struct run_event *event, struct err *e)
{
    bool is_late = event->cause == CAUSE_TIMEOUT;

    if (run->cancelled != CAUSE_NONE ||
        (is_late && (run->timeout_s == 0 || run->status != STATUS_STARTED)))
        return refuse(run, event, e);
    /* Logs of before there were time limits tell no cause. */
    if (!is_late && event->cause != CAUSE_CANCELLED && event->cause != CAUSE_NONE)
        return refuse(run, event, e);
    cancel(run, is_late ? CAUSE_TIMEOUT : CAUSE_CANCELLED);
    return 0;
}

int run_apply(struct run *run, const struct run_event *event, struct err *e)
{
    if (status_is_final(run->status))
        return refuse(run, event, e);
    enum cause cause;
    switch (event->kind) {
    case EVENT_RUN_QUEUED:
        return run->status == STATUS_PENDING ? 0 : refuse(run, event, e);
    case EVENT_RUN_STARTED:
        return start(run, event, e);
    case EVENT_CANCEL_REQUESTED:
        return request_cancel(run, event, e);
    case EVENT_RUN_FINISHED:
        if (!is_over(run) || event->status != verdict(run, &cause) || event->cause != cause)
            return refuse(run, event, e);
        run->status = event->status;
        return 0;
    case EVENT_STEP_STARTED:
    case EVENT_STEP_STOPPING:
    case EVENT_STEP_RETRYING:
    case EVENT_STEP_FINISHED:
        return apply_to_step(run, event, e);
    }
    abort(); /* a number that is no kind */
}

void run_clock_jumped(struct run *run, msec delta)
{
    step_heap_shift(&run->retries, delta);
    step_heap_shift(&run->deadlines, delta);
    run->deadline += delta;
}

static void propose(const struct run *run, struct run_action *action, enum run_action_kind kind,
                    enum run_event_kind event, uint32_t step)
{
    action->kind = kind;
    action->event.kind = event;
    action->event.step = step;
    if (step != STEP_NONE)
        action->event.attempt = run->steps[step].attempt;
}

/* The run goes on, and its time runs. */
static bool is_timed(const struct run *run)
{
    return run->timeout_s > 0 && run->status == STATUS_STARTED && run->cancelled == CAUSE_NONE &&
           !is_over(run);
}

static bool next_cancel(const struct run *run, msec now, struct run_action *action)
{
    if (!is_timed(run) || now < run->deadline)
        return false;
    propose(run, action, ACTION_CANCEL, EVENT_CANCEL_REQUESTED, STEP_NONE);
    action->event.cause = CAUSE_TIMEOUT;
    return true;
}

/* Attempts that must not go on: cancelled, or over their time. */
static bool next_stop(const struct run *run, msec now, struct run_action *action)
{
    uint32_t step = step_set_lowest(&run->stops);
    const struct step_heap_entry *deadline = step_heap_earliest(&run->deadlines);
    if (step != STEP_NONE) {
        propose(run, action, ACTION_STOP, EVENT_STEP_STOPPING, step);
        action->event.cause = run->cancelled;
        return true;
    }
    if (deadline && deadline->time <= now) {
        propose(run, action, ACTION_STOP, EVENT_STEP_STOPPING, deadline->step);
        action->event.cause = CAUSE_TIMEOUT;
        return true;
    }
    return false;
}

static bool next_abort(const struct run *run, struct run_action *action)
{
    uint32_t step = step_set_lowest(&run->aborts);
    if (step == STEP_NONE)
        return false;
    propose(run, action, ACTION_ABORT, EVENT_STEP_FINISHED, step);
    action->event.status = STATUS_ABORTED;
    action->event.cause = (enum cause)run->steps[step].cause;
    return true;
}

static bool has_slot(const struct run *run, uint32_t free_slots)
{
    uint32_t limit = run->pipeline->max_steps_parallelism;
    return free_slots > 0 && (limit == 0 || run->running < limit);
}

static bool next_start(const struct run *run, msec now, struct run_action *action)
{
    const struct step_heap_entry *retry = step_heap_earliest(&run->retries);
    uint32_t step = retry && retry->time <= now ? retry->step : step_set_lowest(&run->ready);
    if (step == STEP_NONE)
        return false;
    propose(run, action, ACTION_START, EVENT_STEP_STARTED, step);
    action->event.attempt++;
    return true;
}

static void wait_until(struct run_action *action, msec time)
{
    if (action->kind == ACTION_WAIT && action->time <= time)
        return;
    action->kind = ACTION_WAIT;
    action->time = time;
}

/* The next moment at which the answer changes by itself. A retry that is due waits for a slot, not
 * for a moment. */
static void next_wait(const struct run *run, msec now, struct run_action *action)
{
    const struct step_heap_entry *retry = step_heap_earliest(&run->retries);
    const struct step_heap_entry *deadline = step_heap_earliest(&run->deadlines);
    if (retry && retry->time > now)
        wait_until(action, retry->time);
    if (deadline)
        wait_until(action, deadline->time);
    if (is_timed(run))
        wait_until(action, run->deadline);
}

void run_next(const struct run *run, msec now, uint32_t free_slots, struct run_action *ret_action)
{
    *ret_action = (struct run_action){.kind = ACTION_NOTHING, .event = {.time = now}};
    if (status_is_final(run->status))
        return;
    if (next_cancel(run, now, ret_action) || next_stop(run, now, ret_action) ||
        next_abort(run, ret_action))
        return;
    if (run->status == STATUS_STARTED && has_slot(run, free_slots) &&
        next_start(run, now, ret_action))
        return;
    if (is_over(run)) {
        propose(run, ret_action, ACTION_FINISH, EVENT_RUN_FINISHED, STEP_NONE);
        ret_action->event.status = verdict(run, &ret_action->event.cause);
        return;
    }
    next_wait(run, now, ret_action);
}

/* `retries` are the user's answer to what the step does, where another attempt may do better. */
static bool is_retried(enum cause cause)
{
    switch (cause) {
    case CAUSE_CELL_ERROR:
    case CAUSE_EXIT_CODE:
    case CAUSE_KERNEL_DIED:
    case CAUSE_KERNEL_START_FAILED:
    case CAUSE_OUT_OF_MEMORY:
    case CAUSE_TIMEOUT:
        return true;
    case CAUSE_NONE:
    case CAUSE_INPUT_INVALID:
    case CAUSE_ENVIRONMENT_MISSING:
    case CAUSE_LAUNCHER_UNAVAILABLE:
    case CAUSE_WRITE_REFUSED:
    case CAUSE_STORAGE_FAILED:
    case CAUSE_STEP_LOST:
    case CAUSE_CANCELLED:
    case CAUSE_UPSTREAM:
    case CAUSE_INTERNAL:
        return false;
    }
    return false;
}

static msec lost_delay(const struct step *s)
{
    msec delay = RUN_LOST_DELAY_MS;

    for (uint32_t i = 0; i < s->lost_in_a_row && delay < RUN_LOST_DELAY_MAX_MS; i++)
        delay *= 2;
    return delay < RUN_LOST_DELAY_MAX_MS ? delay : RUN_LOST_DELAY_MAX_MS;
}

/* In how many milliseconds the step is begun again; -1: it is not. */
static msec retry_in(const struct run *run, uint32_t step, enum cause cause)
{
    const struct step *s = &run->steps[step];
    const struct pipeline_step *d = definition(run, step);

    if (run->cancelled != CAUSE_NONE || d->retry_limit == 0)
        return -1;
    if (cause_is_infrastructure(cause))
        return s->lost_in_a_row < RUN_LOST_TRIES ? lost_delay(s) : -1;
    return is_retried(cause) && !run_step_is_last_try(run, step) ? (msec)d->retry_delay_s * 1000
                                                                 : -1;
}

/* Why an attempt without success ended. One that was stopped, but not by us, is lost: whoever
 * stopped it has not asked the run to end. */
static enum cause end_cause(const struct run *run, const struct step *s, enum status status,
                            enum cause cause)
{
    if (s->state == STOPPING)
        return (enum cause)s->cause;
    if (status == STATUS_ABORTED || cause == CAUSE_CANCELLED)
        return run->cancelled != CAUSE_NONE ? run->cancelled : CAUSE_STEP_LOST;
    return cause == CAUSE_NONE ? CAUSE_INTERNAL : cause;
}

/* The end of the step if nothing is tried again. */
static struct run_event step_end(const struct run *run, uint32_t step, enum status status,
                                 enum cause cause, msec now)
{
    const struct step *s = &run->steps[step];
    struct run_event event = {
        .kind = EVENT_STEP_FINISHED, .step = step, .attempt = s->attempt, .time = now};
    assert(runs((enum step_state)s->state) && status_is_final(status));
    if (status == STATUS_SUCCESS) {
        event.status = STATUS_SUCCESS;
        return event;
    }
    event.cause = end_cause(run, s, status, cause);
    event.status = event.cause == CAUSE_CANCELLED ? STATUS_ABORTED : STATUS_FAILURE;
    return event;
}

void run_attempt_ended(const struct run *run, uint32_t step, enum status status, enum cause cause,
                       msec now, struct run_event *ret_event)
{
    *ret_event = step_end(run, step, status, cause, now);
    msec delay = status == STATUS_SUCCESS ? -1 : retry_in(run, step, ret_event->cause);
    if (delay < 0)
        return;
    ret_event->kind = EVENT_STEP_RETRYING;
    ret_event->status = STATUS_STARTED;
    ret_event->retry_at = now + delay;
}

void run_step_failed(const struct run *run, uint32_t step, enum cause cause, msec now,
                     struct run_event *ret_event)
{
    *ret_event = step_end(run, step, STATUS_FAILURE, cause, now);
}

enum status run_status(const struct run *run)
{
    return run->status;
}

bool run_is_cancelled(const struct run *run)
{
    return run->cancelled != CAUSE_NONE;
}

enum cause run_cancel_cause(const struct run *run)
{
    return run->cancelled;
}

uint32_t run_count(const struct run *run, enum status status)
{
    return run->counts[status];
}

uint32_t run_running(const struct run *run)
{
    return run->running;
}

uint32_t run_first_failure(const struct run *run)
{
    return run->first_failure;
}

enum status run_step_status(const struct run *run, uint32_t step)
{
    return status_of[run->steps[step].state];
}

enum cause run_step_cause(const struct run *run, uint32_t step)
{
    const struct step *s = &run->steps[step];
    return status_is_final(status_of[s->state]) ? (enum cause)s->cause : CAUSE_NONE;
}

uint32_t run_step_attempt(const struct run *run, uint32_t step)
{
    return run->steps[step].attempt;
}

bool run_step_is_running(const struct run *run, uint32_t step)
{
    return runs((enum step_state)run->steps[step].state);
}

bool run_step_is_stopping(const struct run *run, uint32_t step)
{
    return run->steps[step].state == STOPPING;
}

enum cause run_step_stop_cause(const struct run *run, uint32_t step)
{
    return run_step_is_stopping(run, step) ? (enum cause)run->steps[step].cause : CAUSE_NONE;
}

bool run_step_is_last_try(const struct run *run, uint32_t step)
{
    const struct step *s = &run->steps[step];

    return s->attempt - s->lost > definition(run, step)->retry_limit;
}
