/* Deciding what follows, within the engine's transaction, and doing it, after the commit. */
#include "base/limits.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/engine/janitor.h"
#include "runner/engine/live_run_private.h"
#include "runner/engine/task_make.h"

#include <string.h>

/* --- deciding --- */

struct live_attempt *live_attempt_new(struct live_run *live, uint32_t step, const char *mark)
{
    struct live_attempt *attempt = mem_zalloc(sizeof *attempt);

    attempt->live = live;
    attempt->step = step;
    attempt->number = run_step_attempt(live->run, step);
    attempt->launcher = submission_environment(live->submission, step)->launcher;
    attempt->directory = run_dir_attempt(&live->dir, live_step_uuid(live, step), attempt->number);
    memcpy(attempt->mark, mark, sizeof attempt->mark);
    return attempt;
}

void live_add_start(struct live_run *live, struct live_attempt *take_attempt)
{
    mem_grow(live->to_start, live->start_count, live->start_capacity);
    live->to_start[live->start_count++] = take_attempt;
}

/* The mark is on disk before anything that carries it is started. */
static int record_start(struct live_run *live, const struct run_event *event, struct err *e)
{
    struct store_attempt row = {.step = event->step, .attempt = event->attempt};
    char mark[11];

    if (live_record(live, event, (struct str){0}, e) < 0)
        return -1;
    keeper_mark(mark);
    memcpy(row.mark, mark, sizeof mark);
    live_add_start(live, live_attempt_new(live, event->step, mark));
    return store_add_attempt(live->world->store, live->id, &row, e);
}

static int record_stop(struct live_run *live, const struct run_event *event, struct err *e)
{
    if (live_record(live, event, (struct str){0}, e) < 0)
        return -1;
    mem_grow(live->to_stop, live->stop_count, live->stop_capacity);
    live->to_stop[live->stop_count++] = *event;
    return 0;
}

static const char *abort_message(const struct live_run *live, const struct run_event *event)
{
    if (event->cause != CAUSE_CANCELLED)
        return "a step that it needs did not succeed";
    if (run_cancel_cause(live->run) == CAUSE_TIMEOUT)
        return "the time limit of the run was over before it started";
    return "cancelled before it started";
}

static int record_abort(struct live_run *live, const struct run_event *event, struct err *e)
{
    auto_buf struct buf failure = {0};

    live_put_failure(&failure, event->cause, abort_message(live, event));
    return live_record(live, event, (struct str){failure.data, failure.len}, e);
}

int live_run_decide(struct live_run *live, uint32_t free_slots, msec *ret_wake, struct err *e)
{
    uint32_t running = run_running(live->run);

    *ret_wake = 0;
    for (;;) {
        struct run_action action;
        uint32_t used = run_running(live->run) - running;
        int result = 0;

        run_next(live->run, clock_wall(), free_slots > used ? free_slots - used : 0, &action);
        switch (action.kind) {
        case ACTION_NOTHING:
            return 0;
        case ACTION_WAIT:
            *ret_wake = action.time;
            return 0;
        case ACTION_START:
            result = record_start(live, &action.event, e);
            break;
        case ACTION_STOP:
            result = record_stop(live, &action.event, e);
            break;
        case ACTION_ABORT:
            result = record_abort(live, &action.event, e);
            break;
        case ACTION_CANCEL:
        case ACTION_FINISH:
            result = live_record(live, &action.event, (struct str){0}, e);
            break;
        }
        if (result < 0)
            return -1;
    }
}

int live_run_cancel(struct live_run *live, struct err *e)
{
    struct run_event event = {.kind = EVENT_CANCEL_REQUESTED,
                              .cause = CAUSE_CANCELLED,
                              .step = STEP_NONE,
                              .time = clock_wall()};

    if (run_is_cancelled(live->run) || status_is_final(run_status(live->run)))
        return 0;
    return live_record(live, &event, (struct str){0}, e);
}

/* --- acting --- */

static void on_news(void *user)
{
    struct live_attempt *attempt = user;

    attempt->has_news = true;
    attempt->live->world->news(attempt->live->world->user);
}

const struct attempt_events live_run_attempt_events = {.news = on_news};

static int start_task(struct live_attempt *attempt, const struct task *task, struct err *e)
{
    const struct attempt_world *world = &attempt->live->world->attempts;
    struct attempt **started = &attempt->attempt;

    if (attempt_start(started, world, attempt->directory, task, attempt, e) == 0)
        return 0;
    if (e->code != ERR_UNAVAILABLE)
        return -1;
    /* The nursery was killed in the middle of it. */
    int found = attempt_adopt(started, world, attempt->directory, attempt->mark, 0, attempt, e);
    if (found == 0)
        return attempt_start(started, world, attempt->directory, task, attempt, e);
    if (found > 0)
        on_news(attempt);
    return found > 0 ? 0 : -1;
}

static int start_keeper(struct live_attempt *attempt, struct err *e)
{
    struct live_run *live = attempt->live;
    const struct live_world *world = live->world;
    struct task_source source = {
        .submission = live->submission,
        .dir = &live->dir,
        .state = world->state,
        .run = live->run,
        .executed = live->executed,
        .sdk_dir = world->sdk_dir,
    };
    struct task task;

    if (!live->is_prepared && run_dir_make(&live->dir, live->submission, e) < 0)
        return -1;
    live->is_prepared = true;
    if (executed_path(live->executed, attempt->step) &&
        executed_prepare(live->executed, attempt->step, e) < 0)
        return -1;
    if (task_make(&task, &source, attempt->step, attempt->mark, e) < 0)
        return -1;
    if (world->janitor && janitor_marks(world->janitor) >= LIMIT_KEPT_KERNELS)
        task.keep_kernel_s = 0; /* those that there are hold enough */
    int result = start_task(attempt, &task, e);
    task_clear(&task);
    return result;
}

static struct failed_start *note_failed_start(struct live_run *live, uint32_t step,
                                              enum cause cause, const char *message)
{
    struct failed_start *failed = mem_zalloc(sizeof *failed);

    *failed = (struct failed_start){
        .step = step, .cause = cause, .message = mem_strdup(message), .next = live->failed};
    live->failed = failed;
    return failed;
}

static void start_attempt(struct live_attempt *attempt)
{
    struct live_run *live = attempt->live;
    const struct frozen_environment *frozen =
        submission_environment(live->submission, attempt->step);
    struct err e;

    if (frozen->cause != CAUSE_NONE) {
        note_failed_start(live, attempt->step, frozen->cause, frozen->message)->is_final = true;
        live_attempt_free(attempt);
    } else if (start_keeper(attempt, &e) < 0) {
        note_failed_start(live, attempt->step,
                          e.code == ERR_NO_SPACE ? CAUSE_STORAGE_FAILED : CAUSE_INTERNAL, e.text);
        live_attempt_free(attempt);
    } else {
        attempt->next = live->attempts;
        live->attempts = attempt;
        /* It was made to stop by an engine that had not come to start it. */
        if (run_step_is_stopping(live->run, attempt->step))
            attempt_stop(attempt->attempt, run_step_stop_cause(live->run, attempt->step));
    }
}

static struct live_attempt *find_attempt(const struct live_run *live, uint32_t step)
{
    for (struct live_attempt *attempt = live->attempts; attempt; attempt = attempt->next)
        if (attempt->step == step && !attempt->has_ended)
            return attempt;
    return NULL;
}

bool live_run_act(struct live_run *live)
{
    for (uint32_t i = 0; i < live->start_count; i++)
        start_attempt(live->to_start[i]);
    live->start_count = 0;
    for (uint32_t i = 0; i < live->stop_count; i++) {
        struct live_attempt *attempt = find_attempt(live, live->to_stop[i].step);
        if (attempt)
            attempt_stop(attempt->attempt, live->to_stop[i].cause);
    }
    live->stop_count = 0;
    return live->failed != NULL;
}

void live_run_drop(struct live_run *live, enum cause cause)
{
    for (struct live_attempt *attempt = live->attempts; attempt; attempt = attempt->next)
        attempt_stop(attempt->attempt, cause);
}
