#include "runner/live_run.h"

#include "base/mem.h"
#include "runner/executed.h"
#include "runner/recover.h"
#include "runner/results.h"
#include "runner/run_dir.h"
#include "runner/run_rows.h"
#include "runner/task_make.h"

#include <string.h>

/* An attempt that was started and whose keeper is not known to be gone. */
struct live_attempt {
    struct live_run *live;
    struct attempt *attempt;
    uint32_t step, number;
    char mark[11];
    char *directory;
    enum launcher_kind launcher;
    bool has_news;
    bool has_ended; /* the journal's last line was read */
    struct live_attempt *next;
};

/* What the store's row of a step needs beside the run's state. */
struct live_step {
    uint32_t cells_total, cells_done;
    msec started, finished;
    char *failure; /* JSON or NULL */
};

/* An attempt that could not even be started; becomes an event at the next turn. */
struct failed_start {
    uint32_t step;
    enum cause cause;
    char *message;
    struct failed_start *next;
};

struct live_run {
    const struct live_world *world;
    struct submission *submission;
    struct run *run;
    int64_t id; /* in the store */
    struct run_dir dir;
    struct executed *executed;
    struct live_step *steps;
    struct live_attempt *attempts;
    struct failed_start *failed;
    msec started, finished;
    /* Decided and not yet done. */
    struct live_attempt **to_start;
    uint32_t start_count, start_capacity;
    struct run_event *to_stop;
    uint32_t stop_count, stop_capacity;
};

static const char *step_uuid(const struct live_run *live, uint32_t step)
{
    return step == STEP_NONE ? NULL : submission_step(live->submission, step)->uuid;
}

static struct notice_subject subject_of(const struct live_run *live, uint32_t step)
{
    return (struct notice_subject){
        .run_uuid = live->submission->run_uuid.text,
        .step_uuid = step_uuid(live, step),
        .step = step,
    };
}

/* --- rows --- */

static int save_step(struct live_run *live, uint32_t step, struct err *e)
{
    const struct live_step *row = &live->steps[step];
    struct store_step stored = {
        .step = step,
        .status = run_step_status(live->run, step),
        .cause = run_step_cause(live->run, step),
        .attempt = run_step_attempt(live->run, step),
        .cells_total = row->cells_total,
        .cells_done = row->cells_done,
        .started_time = row->started,
        .finished_time = row->finished,
        .failure = row->failure ? row->failure : "",
    };

    return store_set_step(live->world->store, live->id, &stored, e);
}

static int save_run(struct live_run *live, enum cause cause, struct err *e)
{
    return store_set_run(live->world->store, live->id, run_status(live->run), cause, live->started,
                         live->finished, e);
}

static void note_times(struct live_run *live, const struct run_event *event)
{
    struct live_step *row = event->step == STEP_NONE ? NULL : &live->steps[event->step];

    if (event->kind == EVENT_RUN_STARTED)
        live->started = event->time;
    else if (event->kind == EVENT_RUN_FINISHED)
        live->finished = event->time;
    else if (event->kind == EVENT_STEP_STARTED && row->started == 0)
        row->started = event->time;
    else if (event->kind == EVENT_STEP_FINISHED)
        row->finished = event->time;
    if (event->kind == EVENT_STEP_STARTED)
        row->cells_done = 0;
}

/* The one door for what changes the run: into its state, into the store, into the notices.
 * `failure` is a JSON object or none. */
static int record(struct live_run *live, const struct run_event *event, struct str failure,
                  struct err *e)
{
    auto_buf struct buf payload = {0};
    int64_t id;

    if (failure.len > 0) {
        buf_putc(&payload, '{');
        json_put_member_raw(&payload, "failure", failure);
        buf_putc(&payload, '}');
    }
    if (run_apply(live->run, event, e) < 0)
        return -1;
    note_times(live, event);
    if (event->kind == EVENT_STEP_FINISHED && failure.len > 0)
        live->steps[event->step].failure = mem_strndup(failure.text, failure.len);
    if (store_add_event(live->world->store, live->id, event, payload.len > 0 ? payload.data : NULL,
                        &id, e) < 0)
        return -1;
    struct notice_subject subject = subject_of(live, event->step);
    notices_add_event(live->world->notices, id, &subject, event,
                      (struct str){payload.data, payload.len});
    return event->step == STEP_NONE ? save_run(live, event->cause, e)
                                    : save_step(live, event->step, e);
}

static void put_failure(struct buf *out, enum cause cause, const char *message)
{
    buf_putc(out, '{');
    json_put_member(out, "cause", cause_name(cause));
    json_put_member(out, "message", message);
    buf_putc(out, '}');
}

/* --- reading journals --- */

static int keep_line(struct live_attempt *attempt, const struct json *line, struct str text,
                     uint64_t offset, struct err *e)
{
    struct live_run *live = attempt->live;
    auto_free char *name = json_strdup(line, json_get(line, 0, "event"));
    auto_free char *time = json_strdup(line, json_get(line, 0, "time"));
    struct store_line stored = {
        .step = attempt->step,
        .attempt = attempt->number,
        .event = name ? name : "",
        .time = time ? time_text_parse(time) / 1000 : clock_wall(),
        .offset = offset,
        .length = (uint32_t)text.len,
    };
    int64_t id;

    if (store_add_line(live->world->store, live->id, &stored, &id, e) < 0)
        return -1;
    struct notice_subject subject = subject_of(live, attempt->step);
    notices_add_line(live->world->notices, id, &subject, text, line);
    return 0;
}

static void note_cells(struct live_attempt *attempt, const struct json *line)
{
    struct live_step *row = &attempt->live->steps[attempt->step];
    json_at name = json_get(line, 0, "event");
    int64_t total;

    if (!json_int(line, json_get(line, 0, "cells_total"), &total))
        return;
    row->cells_total = (uint32_t)total;
    if (json_is(line, name, "cell_finished"))
        row->cells_done++;
}

/* The executed copy goes where it was asked for; a step whose result cannot be delivered has not
 * succeeded. */
static void deliver(struct live_attempt *attempt, struct run_event *event, struct buf *failure)
{
    struct live_run *live = attempt->live;
    struct err e;

    if (executed_deliver(live->executed, attempt->step, &e) == 0 || event->status != STATUS_SUCCESS)
        return;
    enum cause cause = e.code == ERR_CONFLICT ? CAUSE_WRITE_REFUSED : CAUSE_STORAGE_FAILED;
    run_attempt_ended(live->run, attempt->step, STATUS_FAILURE, cause, clock_wall(), event);
    buf_reset(failure);
    put_failure(failure, cause, e.text);
}

static void publish(struct live_attempt *attempt)
{
    const struct live_run *live = attempt->live;
    struct err ignored; /* later runs that leave this step out will say that there is nothing */

    results_publish(live->world->state->root, &live->dir.results_key,
                    step_uuid(live, attempt->step), live->dir.io, &ignored);
}

static int end_attempt(struct live_attempt *attempt, enum status status, enum cause cause,
                       struct str told_failure, struct err *e)
{
    struct live_run *live = attempt->live;
    auto_buf struct buf failure = {0};
    struct run_event event;

    attempt->has_ended = true;
    if (!run_step_is_running(live->run, attempt->step))
        return 0; /* it was given up before it could tell */
    buf_put(&failure, told_failure.text, told_failure.len);
    run_attempt_ended(live->run, attempt->step, status, cause, clock_wall(), &event);
    if (event.kind == EVENT_STEP_FINISHED)
        deliver(attempt, &event, &failure);
    if (event.kind == EVENT_STEP_FINISHED && event.status == STATUS_SUCCESS)
        publish(attempt);
    return record(live, &event, (struct str){failure.data, failure.len}, e);
}

static int take_last_line(struct live_attempt *attempt, const struct json *line, struct err *e)
{
    auto_free char *status_text = json_strdup(line, json_get(line, 0, "status"));
    json_at failure = json_get(line, 0, "failure");
    auto_free char *cause = json_strdup(line, json_get(line, failure, "cause"));
    enum status status;

    if (status_parse(status_text ? status_text : "", &status, e) < 0)
        return -1;
    return end_attempt(attempt, status, cause ? cause_of_name(cause) : CAUSE_NONE,
                       json_raw(line, failure), e);
}

static int take_line(struct live_attempt *attempt, struct str text, uint64_t offset, struct err *e)
{
    auto_json struct json line = {0};

    if (json_parse(&line, text, JSON_TOLERANT, NULL, e) < 0)
        return err_prefix(e, "the journal in \"%s\" is damaged", attempt->directory);
    if (json_is(&line, json_get(&line, 0, "event"), "step_finished"))
        return take_last_line(attempt, &line, e);
    note_cells(attempt, &line);
    return keep_line(attempt, &line, text, offset, e);
}

/* The keeper is gone and has not said how it ended: what it left running is ended, its notebook is
 * completed from the journal. */
static int lose_attempt(struct live_attempt *attempt, struct err *e)
{
    auto_buf struct buf failure = {0};
    struct err ignored;

    recover_attempt(attempt->directory, attempt->mark, attempt->launcher, &ignored);
    put_failure(&failure, CAUSE_STEP_LOST, "the process that kept the step is gone");
    return end_attempt(attempt, STATUS_FAILURE, CAUSE_STEP_LOST,
                       (struct str){failure.data, failure.len}, e);
}

static int read_attempt(struct live_attempt *attempt, struct err *e)
{
    /* Asked before reading: what it wrote before it went is in the journal by then. */
    bool is_gone = attempt_is_gone(attempt->attempt);
    struct live_run *live = attempt->live;
    struct str line;
    uint64_t offset;
    int got;

    attempt->has_news = false;
    while ((got = attempt_read(attempt->attempt, &line, &offset, e)) == 1) {
        if (take_line(attempt, line, offset, e) < 0)
            return -1;
        if (store_set_offset(live->world->store, live->id, attempt->step, attempt->number,
                             offset + line.len + 1, e) < 0)
            return -1;
    }
    if (got < 0)
        return -1;
    return is_gone && !attempt->has_ended ? lose_attempt(attempt, e) : 0;
}

static void free_attempt(struct live_attempt *attempt)
{
    attempt_free(attempt->attempt);
    free(attempt->directory);
    free(attempt);
}

static int read_failed_start(struct live_run *live, struct err *e)
{
    struct failed_start *failed = live->failed;
    auto_buf struct buf failure = {0};
    struct run_event event;

    put_failure(&failure, failed->cause, failed->message);
    run_attempt_ended(live->run, failed->step, STATUS_FAILURE, failed->cause, clock_wall(), &event);
    live->failed = failed->next;
    free(failed->message);
    free(failed);
    return record(live, &event, (struct str){failure.data, failure.len}, e);
}

int live_run_read(struct live_run *live, struct err *e)
{
    while (live->failed)
        if (read_failed_start(live, e) < 0)
            return -1;
    for (struct live_attempt **at = &live->attempts; *at;) {
        struct live_attempt *attempt = *at;
        if (attempt->has_news && read_attempt(attempt, e) < 0)
            return -1;
        if (attempt->has_ended && attempt_is_gone(attempt->attempt)) {
            *at = attempt->next;
            free_attempt(attempt);
        } else {
            at = &attempt->next;
        }
    }
    return 0;
}

/* --- deciding --- */

static struct live_attempt *new_attempt(struct live_run *live, uint32_t step)
{
    struct live_attempt *attempt = mem_zalloc(sizeof *attempt);

    attempt->live = live;
    attempt->step = step;
    attempt->number = run_step_attempt(live->run, step);
    attempt->launcher = submission_environment(live->submission, step)->launcher;
    attempt->directory = run_dir_attempt(&live->dir, step_uuid(live, step), attempt->number);
    attempt_mark(attempt->mark);
    return attempt;
}

/* The mark is on disk before anything that carries it is started. */
static int record_start(struct live_run *live, const struct run_event *event, struct err *e)
{
    if (record(live, event, (struct str){0}, e) < 0)
        return -1;
    struct live_attempt *attempt = new_attempt(live, event->step);
    struct store_attempt row = {.step = attempt->step, .attempt = attempt->number};
    mem_grow(live->to_start, live->start_count, live->start_capacity);
    live->to_start[live->start_count++] = attempt;
    memcpy(row.mark, attempt->mark, sizeof attempt->mark);
    return store_add_attempt(live->world->store, live->id, &row, e);
}

static int record_stop(struct live_run *live, const struct run_event *event, struct err *e)
{
    if (record(live, event, (struct str){0}, e) < 0)
        return -1;
    mem_grow(live->to_stop, live->stop_count, live->stop_capacity);
    live->to_stop[live->stop_count++] = *event;
    return 0;
}

static int record_abort(struct live_run *live, const struct run_event *event, struct err *e)
{
    auto_buf struct buf failure = {0};

    put_failure(&failure, event->cause,
                event->cause == CAUSE_CANCELLED ? "cancelled before it started"
                                                : "a step that it needs did not succeed");
    return record(live, event, (struct str){failure.data, failure.len}, e);
}

int live_run_decide(struct live_run *live, uint32_t free_slots, msec *ret_wake, struct err *e)
{
    *ret_wake = 0;
    for (;;) {
        struct run_action action;
        uint32_t left = free_slots - live->start_count;
        int result = 0;

        run_next(live->run, clock_wall(), left, &action);
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
        case ACTION_FINISH:
            result = record(live, &action.event, (struct str){0}, e);
            break;
        }
        if (result < 0)
            return -1;
    }
}

int live_run_cancel(struct live_run *live, struct err *e)
{
    struct run_event event = {
        .kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE, .time = clock_wall()};

    if (run_is_cancelled(live->run) || status_is_final(run_status(live->run)))
        return 0;
    return record(live, &event, (struct str){0}, e);
}

/* --- acting --- */

static void on_news(void *user)
{
    struct live_attempt *attempt = user;

    attempt->has_news = true;
    attempt->live->world->news(attempt->live->world->user);
}

const struct attempt_events live_run_attempt_events = {.news = on_news};

static int start_keeper(struct live_attempt *attempt, struct err *e)
{
    struct live_run *live = attempt->live;
    const struct live_world *world = live->world;
    struct task_source source = {
        .submission = live->submission,
        .dir = &live->dir,
        .state = world->state,
        .executed = live->executed,
        .sdk_dir = world->sdk_dir,
    };
    struct task task;

    if (executed_path(live->executed, attempt->step) &&
        executed_prepare(live->executed, attempt->step, e) < 0)
        return -1;
    if (task_make(&task, &source, attempt->step, attempt->number, attempt->mark, e) < 0)
        return -1;
    int result =
        attempt_start(&attempt->attempt, &world->attempts, attempt->directory, &task, attempt, e);
    task_clear(&task);
    return result;
}

static void note_failed_start(struct live_run *live, uint32_t step, enum cause cause,
                              const char *message)
{
    struct failed_start *failed = mem_zalloc(sizeof *failed);

    *failed = (struct failed_start){
        .step = step, .cause = cause, .message = mem_strdup(message), .next = live->failed};
    live->failed = failed;
}

static void start_attempt(struct live_attempt *attempt)
{
    struct live_run *live = attempt->live;
    const struct frozen_environment *frozen =
        submission_environment(live->submission, attempt->step);
    struct err e;

    if (!frozen->environment) {
        note_failed_start(live, attempt->step, frozen->cause, frozen->message);
        free_attempt(attempt);
    } else if (start_keeper(attempt, &e) < 0) {
        note_failed_start(live, attempt->step,
                          e.code == ERR_NO_SPACE ? CAUSE_STORAGE_FAILED : CAUSE_INTERNAL, e.text);
        free_attempt(attempt);
    } else {
        attempt->next = live->attempts;
        live->attempts = attempt;
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

/* --- opening and closing --- */

static int record_beginning(struct live_run *live, struct err *e)
{
    struct run_event queued = {.kind = EVENT_RUN_QUEUED, .step = STEP_NONE, .time = clock_wall()};
    struct run_event started = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = clock_wall()};

    if (record(live, &queued, (struct str){0}, e) < 0)
        return -1;
    return record(live, &started, (struct str){0}, e);
}

int live_run_open(struct live_run **ret_live, const struct live_world *world,
                  struct submission *take_submission, struct err *e)
{
    struct live_run *live = mem_zalloc(sizeof *live);
    const struct submission *submission = take_submission;

    *live = (struct live_run){
        .world = world,
        .submission = take_submission,
        .run = run_new(submission->plan, submission->pipeline),
        .steps = mem_array(submission->plan->count, sizeof *live->steps),
    };
    if (run_dir_make(&live->dir, world->state, submission, e) < 0 ||
        run_rows_add(world->store, submission, &live->id, e) < 0 || record_beginning(live, e) < 0) {
        live_run_free(live);
        return -1;
    }
    live->executed = executed_new(submission, live->dir.path);
    *ret_live = live;
    return 0;
}

void live_run_free(struct live_run *live)
{
    if (!live)
        return;
    while (live->attempts) {
        struct live_attempt *next = live->attempts->next;
        free_attempt(live->attempts);
        live->attempts = next;
    }
    for (uint32_t i = 0; i < live->start_count; i++)
        free_attempt(live->to_start[i]);
    while (live->failed) {
        struct failed_start *next = live->failed->next;
        free(live->failed->message);
        free(live->failed);
        live->failed = next;
    }
    for (uint32_t i = 0; i < live->submission->plan->count; i++)
        free(live->steps[i].failure);
    free(live->steps);
    executed_free(live->executed);
    run_free(live->run);
    free(live->to_start);
    free(live->to_stop);
    run_dir_clear(&live->dir);
    submission_free(live->submission);
    free(live);
}

/* --- looking --- */

bool live_run_is_over(const struct live_run *live)
{
    return status_is_final(run_status(live->run)) && !live->attempts;
}

uint32_t live_run_slots_in_use(const struct live_run *live)
{
    return run_running(live->run);
}

uint32_t live_run_attempts(const struct live_run *live)
{
    uint32_t count = 0;

    for (const struct live_attempt *attempt = live->attempts; attempt; attempt = attempt->next)
        count += !attempt_is_gone(attempt->attempt);
    return count;
}

const struct submission *live_run_submission(const struct live_run *live)
{
    return live->submission;
}

const struct run *live_run_state(const struct live_run *live)
{
    return live->run;
}

const char *live_run_dir(const struct live_run *live)
{
    return live->dir.path;
}

const char *live_run_executed(const struct live_run *live, uint32_t step)
{
    return executed_path(live->executed, step);
}
