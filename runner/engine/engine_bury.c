/* The end of a run that cannot be gone on with: what the store has of it is damaged, or means
 * nothing to this version. Its steps end with it, so that nobody waits for them. */
#include "base/mem.h"
#include "runner/engine/engine_private.h"

struct burial {
    struct engine *engine;
    int64_t run;
    const char *run_uuid;
    struct buf payload; /* {"failure": {...}} */
    struct buf failure;
    msec now;
    struct store_step *left; /* steps that have not ended; of their texts only the uuid */
    uint32_t count, capacity;
};

static int note_left(void *data, const struct store_step *step, struct err *e)
{
    struct burial *burial = data;

    (void)e;
    if (status_is_final(step->status))
        return 0;
    mem_grow(burial->left, burial->count, burial->capacity);
    struct store_step *left = &burial->left[burial->count++];
    *left = *step;
    left->uuid = mem_strdup(step->uuid);
    left->title = left->file_path = NULL;
    return 0;
}

static int record(struct burial *burial, const struct run_event *event, const char *step_uuid,
                  struct err *e)
{
    struct engine *engine = burial->engine;
    struct notice_subject subject = {.run_uuid = burial->run_uuid,
                                     .step_uuid = step_uuid,
                                     .step = event->step,
                                     .run = burial->run};
    int64_t id;

    if (store_add_event(engine->store, burial->run, event, burial->payload.data, &id, e) < 0)
        return -1;
    notices_add_event(&engine->notices, id, &subject, event,
                      (struct str){burial->payload.data, burial->payload.len});
    return 0;
}

static int bury_step(struct burial *burial, struct store_step *step, struct err *e)
{
    struct run_event event = {.kind = EVENT_STEP_FINISHED,
                              .step = step->step,
                              .attempt = step->attempt,
                              .time = burial->now,
                              .status = STATUS_ABORTED,
                              .cause = CAUSE_INTERNAL};

    if (record(burial, &event, step->uuid, e) < 0)
        return -1;
    step->status = STATUS_ABORTED;
    step->cause = CAUSE_INTERNAL;
    step->finished_time = burial->now;
    step->failure = burial->failure.data;
    return store_set_step(burial->engine->store, burial->run, step, e);
}

static int bury(struct burial *burial, struct err *e)
{
    struct store *store = burial->engine->store;
    struct run_event event = {.kind = EVENT_RUN_FINISHED,
                              .step = STEP_NONE,
                              .time = burial->now,
                              .status = STATUS_FAILURE,
                              .cause = CAUSE_INTERNAL};

    if (store_steps(store, burial->run, note_left, burial, e) < 0)
        return -1;
    for (uint32_t i = 0; i < burial->count; i++)
        if (bury_step(burial, &burial->left[i], e) < 0)
            return -1;
    if (record(burial, &event, NULL, e) < 0)
        return -1;
    return store_set_run(store, burial->run, STATUS_FAILURE, CAUSE_INTERNAL, 0, burial->now, e);
}

int engine_bury(struct engine *engine, int64_t run, const char *run_uuid, const char *why,
                struct err *e)
{
    struct burial burial = {
        .engine = engine, .run = run, .run_uuid = run_uuid, .now = clock_wall()};

    buf_putc(&burial.failure, '{');
    json_put_member(&burial.failure, "cause", cause_name(CAUSE_INTERNAL));
    json_put_member(&burial.failure, "message", why);
    buf_putc(&burial.failure, '}');
    buf_puts(&burial.payload, "{\"failure\":");
    buf_put(&burial.payload, burial.failure.data, burial.failure.len);
    buf_putc(&burial.payload, '}');
    run_queue_remove(engine->queue, run);
    int result = bury(&burial, e);
    for (uint32_t i = 0; i < burial.count; i++)
        free((char *)burial.left[i].uuid);
    free(burial.left);
    buf_clear(&burial.failure);
    buf_clear(&burial.payload);
    return result;
}
