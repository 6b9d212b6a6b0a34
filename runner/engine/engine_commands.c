/* A command is decided within the turn's transaction and answered after its commit; what speaks
 * against it is its own affair, what speaks against the store ends the turn. */
#include "base/mem.h"
#include "runner/engine/engine_private.h"
#include "runner/engine/results.h"
#include "runner/engine/run_rows.h"

#include <string.h>

/* More in one turn would keep the first of them waiting for the others. */
#define BATCH_MAX 512

static int refuse(struct command *command, const struct err *e)
{
    command->is_refused = true;
    command->refusal = *e;
    return 0;
}

/* --- a new run --- */

/* Interactive runs work on the live project, one at a time for each pipeline; runs of jobs on
 * snapshots of their own. */
static void enqueue(struct engine *engine, int64_t id, const struct submission *submission)
{
    struct uuid key = results_key(submission->origin_dir, submission->pipeline->uuid);
    enum run_class run_class = submission_class(submission);

    run_queue_add(engine->queue, id, run_class, run_class == RUN_BACKGROUND ? NULL : key.text);
}

static int record_queued(struct engine *engine, int64_t id, const struct submission *submission,
                         struct err *e)
{
    struct run_event event = {.kind = EVENT_RUN_QUEUED, .step = STEP_NONE, .time = clock_wall()};
    struct notice_subject subject = {
        .run_uuid = submission->run_uuid.text, .step = STEP_NONE, .run = id};
    int64_t event_id;

    if (store_add_event(engine->store, id, &event, NULL, &event_id, e) < 0)
        return -1;
    notices_add_event(&engine->notices, event_id, &subject, &event, (struct str){0});
    return 0;
}

int engine_accept(struct engine *engine, struct submission *take_submission, int64_t *ret_id,
                  struct err *e)
{
    auto_submission struct submission *submission = take_submission;

    if (run_rows_add(engine->store, submission, ret_id, e) < 0 ||
        record_queued(engine, *ret_id, submission, e) < 0)
        return -1;
    enqueue(engine, *ret_id, submission);
    mem_grow(engine->fresh, engine->fresh_count, engine->fresh_capacity);
    engine->fresh[engine->fresh_count++] =
        (struct fresh_run){.id = *ret_id, .submission = take_ptr(&submission)};
    return 0;
}

/* 1: the key was used before, and the command is decided by that. */
static int look_up_key(struct engine *engine, struct command *command, struct err *e)
{
    char digest[65];
    struct uuid run;
    int found = store_request(engine->store, command->key.key, digest, &run, e);

    if (found <= 0)
        return found;
    command->run_uuid = run;
    command->is_repeated = true;
    if (strcmp(digest, command->key.digest) != 0) {
        struct err refusal;
        err_set(&refusal, ERR_INVALID, "the key \"%s\" was used for another request",
                command->key.key);
        refuse(command, &refusal);
    }
    return 1;
}

static int take_nothing(void *data, const struct store_run *run, struct err *e)
{
    (void)data;
    (void)run;
    (void)e;
    return 0;
}

/* A job's run has its uuid before it is made, so whoever was killed meanwhile may ask again. 1: it
 * is there already. */
static int look_up_made(struct engine *engine, struct command *command, struct err *e)
{
    if (submission_class(command->submission) == RUN_INTERACTIVE)
        return 0;
    if (store_run(engine->store, command->run_uuid.text, take_nothing, NULL, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1;
    command->is_repeated = true;
    return 1;
}

static int submit(struct engine *engine, struct command *command, struct err *e)
{
    int64_t id;

    if (command->key.key) {
        int known = look_up_key(engine, command, e);
        if (known != 0)
            return known < 0 ? -1 : 0;
    }
    int made = look_up_made(engine, command, e);
    if (made != 0)
        return made < 0 ? -1 : 0;
    engine->batch_is_durable = true;
    if (engine_accept(engine, take_ptr(&command->submission), &id, e) < 0)
        return -1;
    return command->key.key
               ? store_add_request(engine->store, command->key.key, command->key.digest, id, e)
               : 0;
}

/* --- about a run --- */

struct known_run {
    int64_t id;
    enum status status;
};

static int take_known(void *data, const struct store_run *run, struct err *e)
{
    (void)e;
    *(struct known_run *)data = (struct known_run){.id = run->id, .status = run->status};
    return 0;
}

/* 1: `known` is set; 0: refused. */
static int look_up_run(struct engine *engine, struct command *command, struct known_run *known,
                       struct err *e)
{
    if (store_run(engine->store, command->run_uuid.text, take_known, known, e) == 0)
        return 1;
    return e->code == ERR_NOT_FOUND ? refuse(command, e) : -1;
}

/* What waits is taken up to be cancelled, so that its steps end as those of others do. */
static int cancel(struct engine *engine, struct command *command, struct err *e)
{
    struct live_run *live = engine_find(engine, command->run_uuid.text);
    struct known_run known;
    struct err refusal;

    if (!live || status_is_final(run_status(live_run_state(live)))) {
        int found = look_up_run(engine, command, &known, e);
        if (found <= 0)
            return found;
        if (status_is_final(known.status)) {
            err_set(&refusal, ERR_CONFLICT, "the run has ended: %s", status_name(known.status));
            return refuse(command, &refusal);
        }
        run_queue_remove(engine->queue, known.id);
        engine->batch_is_durable = true; /* also when what is there cannot be run and ends so */
        int opened = engine_open_run(engine, known.id, e);
        if (opened <= 0)
            return opened;
        live = engine->runs[engine->run_count - 1];
    }
    engine->batch_is_durable = true;
    return live_run_cancel(live, e);
}

static int delete (struct engine *engine, struct command *command, struct err *e)
{
    const char *uuid = command->run_uuid.text;
    struct known_run known;
    struct err refusal;
    int64_t event_id;
    msec now = clock_wall();
    int found = look_up_run(engine, command, &known, e);

    if (found <= 0)
        return found;
    if (!status_is_final(known.status)) {
        err_set(&refusal, ERR_CONFLICT, "the run has not ended: cancel it first");
        return refuse(command, &refusal);
    }
    engine->batch_is_durable = true;
    engine->has_trash = true;
    engine->batch_has_deletions = true;
    if (store_delete_run(engine->store, known.id, uuid, now, &event_id, e) < 0)
        return -1;
    notices_add_deletion(&engine->notices, event_id, known.id, uuid, now);
    return 0;
}

static int decide(struct engine *engine, struct command *command, struct err *e)
{
    switch (command->kind) {
    case COMMAND_SUBMIT:
        return submit(engine, command, e);
    case COMMAND_CANCEL:
        return cancel(engine, command, e);
    case COMMAND_DELETE:
        return delete (engine, command, e);
    case COMMAND_REMOVED:
        return store_forget_trash(engine->store, command->run, e);
    }
    return 0;
}

int engine_take_commands(struct engine *engine, struct err *e)
{
    engine->batch_is_durable = false;
    engine->batch_has_deletions = false;
    engine->batch = command_queue_take(engine->commands, BATCH_MAX);
    for (struct command *command = engine->batch; command; command = command->next)
        if (decide(engine, command, e) < 0)
            return -1;
    return 0;
}

void engine_answer_commands(struct engine *engine, const struct err *failure)
{
    struct command *command = take_ptr(&engine->batch);

    while (command) {
        struct command *next = command->next;
        if (failure)
            refuse(command, failure);
        command_answer(command);
        command = next;
    }
}
