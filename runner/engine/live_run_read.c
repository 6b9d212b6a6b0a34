/* Reading what keepers report, within the engine's transaction. */
#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/engine/janitor.h"
#include "runner/engine/live_run_private.h"
#include "runner/engine/recover.h"
#include "runner/engine/results.h"

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
    struct notice_subject subject = live_subject(live, attempt->step);
    notices_add_line(live->world->notices, id, &subject, &stored, text);
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
    live_put_failure(failure, cause, e.text);
}

/* Experiments are nobody's latest results. */
static void publish(struct live_attempt *attempt)
{
    const struct live_run *live = attempt->live;
    struct err ignored; /* later runs that leave this step out will say that there is nothing */

    if (submission_class(live->submission) == RUN_BACKGROUND)
        return;
    results_publish(live->world->state->root, &live->dir.results_key,
                    live_step_uuid(live, attempt->step), live->dir.io, &ignored);
}

/* The keeper was told to stop for a time limit, and not whose. */
static void put_late_run(const struct live_run *live, struct buf *out)
{
    auto_free char *message =
        mem_printf("the run took longer than its limit of %u s", live->submission->timeout_s);

    live_put_failure(out, CAUSE_TIMEOUT, message);
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
    run_attempt_ended(live->run, attempt->step, status, cause, clock_wall(), &event);
    if (event.cause == CAUSE_TIMEOUT && run_cancel_cause(live->run) == CAUSE_TIMEOUT)
        put_late_run(live, &failure);
    else
        buf_put(&failure, told_failure.text, told_failure.len);
    if (event.kind == EVENT_STEP_FINISHED) {
        deliver(attempt, &event, &failure);
        if (live_save_sources(live, e) < 0)
            return -1;
    }
    if (event.kind == EVENT_STEP_FINISHED && event.status == STATUS_SUCCESS)
        publish(attempt);
    return live_record(live, &event, (struct str){failure.data, failure.len}, e);
}

static int take_last_line(struct live_attempt *attempt, const struct json *line, struct err *e)
{
    auto_free char *status_text = json_strdup(line, json_get(line, 0, "status"));
    json_at failure = json_get(line, 0, "failure");
    auto_free char *cause = json_strdup(line, json_get(line, failure, "cause"));
    int64_t kept_s = 0;
    enum status status;

    if (status_parse(status_text ? status_text : "", &status, e) < 0)
        return -1;
    attempt->is_kept = json_int(line, json_get(line, 0, "kept_s"), &kept_s) && kept_s > 0;
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

/* Its link is there for as long as something may be left. In a copy of a state directory there is
 * none: what runs then runs for the original, and the paths in the task are the original's. */
static bool may_have_left_something(const struct live_attempt *attempt)
{
    auto_free char *sockets = state_socket_dir(attempt->live->world->state, attempt->mark);

    return keeper_may_have_left(sockets);
}

static void end_what_is_left(struct live_attempt *attempt)
{
    struct janitor *janitor = attempt->live->world->janitor;
    struct err ignored;

    /* An engine of Docker that hangs would hang us too: the janitor, or the next start, ends the
     * container. */
    if (attempt->launcher == LAUNCHER_DOCKER && janitor) {
        recover_notebook(attempt->directory, &ignored);
    } else if (attempt->launcher == LAUNCHER_DOCKER && attempt_was_killed(attempt->attempt))
        recover_notebook(attempt->directory, &ignored);
    else
        recover_attempt(attempt->directory, attempt->mark, attempt->launcher, &ignored);
}

/* The keeper is gone and has not said how it ended: what it left running is ended, its notebook is
 * completed from the journal. */
static int lose_attempt(struct live_attempt *attempt, struct err *e)
{
    auto_buf struct buf failure = {0};

    if (may_have_left_something(attempt))
        end_what_is_left(attempt);
    live_put_failure(&failure, CAUSE_STEP_LOST, "the process that kept the step is gone");
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

void live_attempt_free(struct live_attempt *attempt)
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

    live_put_failure(&failure, failed->cause, failed->message);
    if (failed->is_final)
        run_step_failed(live->run, failed->step, failed->cause, clock_wall(), &event);
    else
        run_attempt_ended(live->run, failed->step, STATUS_FAILURE, failed->cause, clock_wall(),
                          &event);
    live->failed = failed->next;
    free(failed->message);
    free(failed);
    return live_record(live, &event, (struct str){failure.data, failure.len}, e);
}

/* A keeper that could not remove its container, for Docker's engine was away, leaves that to the
 * janitor; which also looks after one that stays with its kernel. */
static void let_go(struct live_attempt *attempt)
{
    const struct live_world *world = attempt->live->world;

    if (world->janitor && may_have_left_something(attempt))
        janitor_clean(world->janitor, world->state, attempt->mark);
    live_attempt_free(attempt);
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
        if (attempt->has_ended && (attempt->is_kept || attempt_is_gone(attempt->attempt))) {
            *at = attempt->next;
            let_go(attempt);
        } else {
            at = &attempt->next;
        }
    }
    return 0;
}
