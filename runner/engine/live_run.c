#include "runner/engine/live_run.h"

#include "base/mem.h"
#include "runner/engine/live_run_private.h"

#include <string.h>

const char *live_step_uuid(const struct live_run *live, uint32_t step)
{
    return step == STEP_NONE ? NULL : submission_step(live->submission, step)->uuid;
}

struct notice_subject live_subject(const struct live_run *live, uint32_t step)
{
    return (struct notice_subject){
        .run_uuid = live->submission->run_uuid.text,
        .step_uuid = live_step_uuid(live, step),
        .step = step,
        .run = live->id,
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

int live_record(struct live_run *live, const struct run_event *event, struct str failure,
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
    struct notice_subject subject = live_subject(live, event->step);
    notices_add_event(live->world->notices, id, &subject, event,
                      (struct str){payload.data, payload.len});
    if (event->step != STEP_NONE)
        return save_step(live, event->step, e);
    return save_run(live, event->kind == EVENT_RUN_FINISHED ? event->cause : CAUSE_NONE, e);
}

void live_put_failure(struct buf *out, enum cause cause, const char *message)
{
    buf_putc(out, '{');
    json_put_member(out, "cause", cause_name(cause));
    json_put_member(out, "message", message);
    buf_putc(out, '}');
}

/* --- opening --- */

/* The row of the step keeps what its state does not: times, cells, the failure. */
static int take_row(void *data, const struct store_step *row, struct err *e)
{
    struct live_run *live = data;

    if (row->step >= live->submission->plan->count)
        return err_set(e, ERR_IO, "there is no step %u in the run's plan", row->step);
    live->steps[row->step] = (struct live_step){
        .cells_total = row->cells_total,
        .cells_done = row->cells_done,
        .started = row->started_time,
        .finished = row->finished_time,
        .failure = *row->failure ? mem_strdup(row->failure) : NULL,
    };
    return 0;
}

static int take_event(void *data, const struct run_event *event, const char *step_uuid,
                      struct err *e)
{
    struct live_run *live = data;

    (void)step_uuid;
    if (event->kind == EVENT_RUN_QUEUED)
        live->queued = event->time;
    else if (event->kind == EVENT_RUN_STARTED)
        live->started = event->time;
    if (run_apply(live->run, event, e) == 0)
        return 0;
    e->code = ERR_INVALID; /* the log is damaged */
    return err_prefix(e, "the run's events do not fit each other");
}

/* An attempt that runs, as far as the log says. One that never began is decided already, and only
 * to be started. */
static int take_attempt(struct live_run *live, uint32_t step, struct err *e)
{
    const struct live_world *world = live->world;
    struct store_attempt row;

    if (store_attempt(world->store, live->id, step, run_step_attempt(live->run, step), &row, e) < 0)
        return -1;
    struct live_attempt *attempt = live_attempt_new(live, step, row.mark);
    int found = attempt_adopt(&attempt->attempt, &world->attempts, attempt->directory, row.mark,
                              row.offset, attempt, e);
    if (found < 0) {
        live_attempt_free(attempt);
        return -1;
    }
    if (found == 0) {
        live_add_start(live, attempt);
        return 0;
    }
    attempt->has_news = true;
    attempt->next = live->attempts;
    live->attempts = attempt;
    if (run_step_is_stopping(live->run, step))
        attempt_stop(attempt->attempt, run_step_stop_cause(live->run, step));
    return 0;
}

static int take_attempts(struct live_run *live, struct err *e)
{
    for (uint32_t i = 0; i < live->submission->plan->count; i++)
        if (run_step_is_running(live->run, i) && take_attempt(live, i, e) < 0)
            return -1;
    return 0;
}

static int take_sources(struct live_run *live, struct err *e)
{
    auto_buf struct buf sources = {0};

    if (!live->submission->in_place)
        return 0;
    if (store_sources(live->world->store, live->id, &sources, e) < 0)
        return -1;
    if (sources.len > 0)
        executed_take_sources(live->executed, sources.data);
    return 0;
}

int live_run_open(struct live_run **ret_live, const struct live_world *world,
                  struct submission *take_submission, int64_t id, struct err *e)
{
    struct live_run *live = mem_zalloc(sizeof *live);
    const struct submission *submission = take_submission;

    *live = (struct live_run){
        .world = world,
        .turn_fd = -1,
        .id = id,
        .submission = take_submission,
        .run = run_new(submission->plan, submission->pipeline, submission->timeout_s),
        .steps = mem_array(submission->plan->count, sizeof *live->steps),
    };
    run_dir_init(&live->dir, world->state, submission);
    live->executed = executed_new(submission, live->dir.path);
    if (store_steps(world->store, id, take_row, live, e) < 0 ||
        store_replay(world->store, id, take_event, live, e) < 0 || take_sources(live, e) < 0 ||
        take_attempts(live, e) < 0) {
        live_run_free(live);
        return -1;
    }
    *ret_live = live;
    return 0;
}

void live_run_take_turn(struct live_run *live, int take_fd)
{
    live->turn_fd = take_fd;
}

int live_save_sources(struct live_run *live, struct err *e)
{
    auto_buf struct buf sources = {0};

    if (!live->submission->in_place)
        return 0;
    executed_put_sources(live->executed, &sources);
    return store_set_sources(live->world->store, live->id, sources.data, e);
}

int live_run_begin(struct live_run *live, struct err *e)
{
    struct run_event started = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = clock_wall()};

    if (run_status(live->run) != STATUS_PENDING || run_is_cancelled(live->run))
        return 0;
    if (live_save_sources(live, e) < 0)
        return -1;
    return live_record(live, &started, (struct str){0}, e);
}

/* --- closing --- */

void live_run_free(struct live_run *live)
{
    if (!live)
        return;
    while (live->attempts) {
        struct live_attempt *next = live->attempts->next;
        live_attempt_free(live->attempts);
        live->attempts = next;
    }
    for (uint32_t i = 0; i < live->start_count; i++)
        live_attempt_free(live->to_start[i]);
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
    if (live->turn_fd >= 0)
        close(live->turn_fd);
    submission_free(live->submission);
    free(live);
}

void live_run_clock_jumped(struct live_run *live, msec delta)
{
    run_clock_jumped(live->run, delta);
}

/* --- looking --- */

msec live_run_queued(const struct live_run *live)
{
    return live->queued;
}

int64_t live_run_id(const struct live_run *live)
{
    return live->id;
}

bool live_run_has_mark(const struct live_run *live, const char *mark)
{
    for (const struct live_attempt *attempt = live->attempts; attempt; attempt = attempt->next)
        if (strcmp(attempt->mark, mark) == 0)
            return true;
    return false;
}

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
