#include "runner/engine/engine_private.h"

#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/nursery.h"
#include "runner/engine/pipeline_lock.h"

#include <string.h>

/* How soon it is tried again whether the store can be written. */
#define RETRY_MS 1000

/* Clocks are corrected by less than this all the time. */
#define JUMP_MIN_MS 200

/* Rows of deleted runs that one turn removes: some milliseconds of work. */
#define SHRED_ROWS 2000

/* --- turns --- */

static void turn_due(void *user)
{
    struct engine *engine = user;

    if (!engine->has_failed || engine->options.life == ENGINE_ONCE)
        loop_arm(engine->turn_timer, 0); /* many a piece of news becomes one turn */
}

static void wake_at(struct engine *engine, msec wall)
{
    if (wall > 0)
        loop_arm_in(engine->wake_timer, wall - clock_wall() > 0 ? wall - clock_wall() : 0);
}

static enum run_class class_of(const struct live_run *live)
{
    return submission_class(live_run_submission(live));
}

static uint32_t free_slots(const struct engine *engine, enum run_class run_class)
{
    uint32_t used = 0, limit = engine->options.limits[run_class].steps;

    for (size_t i = 0; i < engine->run_count; i++)
        if (class_of(engine->runs[i]) == run_class)
            used += live_run_slots_in_use(engine->runs[i]);
    return used < limit ? limit - used : 0;
}

static int read_all(struct engine *engine, struct err *e)
{
    for (size_t i = 0; i < engine->run_count; i++) {
        if (engine->is_cancelling && live_run_cancel(engine->runs[i], e) < 0)
            return -1;
        if (live_run_read(engine->runs[i], e) < 0)
            return -1;
    }
    engine->is_cancelling = false;
    return 0;
}

static int begin(struct engine *engine, struct live_run *live, struct err *e)
{
    histogram_add(&engine->figures.wait, (clock_wall() - live_run_queued(live)) * 1000);
    return live_run_begin(live, e);
}

/* Not being able to take a lock for any other reason than that it is taken keeps nobody waiting. */
static int begin_one(struct engine *engine, int64_t id, struct err *e)
{
    struct err taken = {0};
    int turn_fd;

    if (engine_take_turn(engine, id, &turn_fd, &taken) < 0 && taken.code == ERR_CONFLICT) {
        run_queue_give_back(engine->queue, id);
        return 0;
    }
    int opened = engine_open_run(engine, id, e);
    if (opened <= 0) {
        if (turn_fd >= 0)
            close(turn_fd);
        return opened;
    }
    struct live_run *live = engine->runs[engine->run_count - 1];
    live_run_take_turn(live, turn_fd);
    return begin(engine, live, e);
}

static int begin_due(struct engine *engine, struct err *e)
{
    int64_t id;

    while (!engine->options.is_holding && run_queue_next(engine->queue, &id))
        if (begin_one(engine, id, e) < 0)
            return -1;
    return 0;
}

static void on_lock_free(void *user, uint32_t events)
{
    struct engine *engine = user;
    char notes[4096];

    (void)events;
    while (read(engine->lock_fd, notes, sizeof notes) > 0)
        ; /* whose lock it was does not matter */
    if (engine->queue)
        run_queue_try_keys(engine->queue);
    turn_due(engine);
}

static int decide_all(struct engine *engine, struct err *e)
{
    msec earliest = 0;

    for (size_t i = 0; i < engine->run_count; i++) {
        struct live_run *live = engine->runs[i];
        msec wake;
        if (live_run_decide(live, free_slots(engine, class_of(live)), &wake, e) < 0)
            return -1;
        if (wake > 0 && (earliest == 0 || wake < earliest))
            earliest = wake;
    }
    wake_at(engine, earliest);
    return 0;
}

/* A little of what is left of deleted runs goes with each turn. */
static int sweep(struct engine *engine, struct err *e)
{
    struct store_trash trash;

    if (!engine->has_trash)
        return 0;
    int found = store_next_trash(engine->store, engine->swept, &trash, e);
    if (found <= 0) {
        engine->has_trash = false;
        return found;
    }
    int removed = store_shred(engine->store, trash.run, SHRED_ROWS, e);
    if (removed == 0)
        engine->swept = trash.id;
    if (removed == 0 && engine->janitor) {
        char *directory = state_run_dir(engine->options.state, trash.run_uuid.text);
        janitor_remove(engine->janitor, engine->options.state, trash.run, directory);
    }
    turn_due(engine);
    return removed < 0 ? -1 : 0;
}

static void tell(struct engine *engine)
{
    for (size_t i = 0; i < engine->notices.count; i++) {
        const struct notice *notice = &engine->notices.items[i];
        engine_count_notice(engine, notice);
        engine->events->event(engine->user, &(struct engine_event){
                                                .id = notice->id,
                                                .run = notice->run,
                                                .run_uuid = notice->run_uuid.text,
                                                .event = notice->event,
                                                .step = notice->step,
                                                .json = engine->notices.text.data + notice->start,
                                                .json_len = notice->len,
                                                .time = notice->time,
                                            });
    }
    notices_reset(&engine->notices);
}

static int commit(struct engine *engine, struct err *e)
{
    struct histogram *histogram =
        engine->batch_is_durable ? &engine->figures.durable_commit : &engine->figures.commit;
    int64_t before = clock_wall_us();
    int result =
        store_commit(engine->store, engine->batch_is_durable ? STORE_DURABLE : STORE_LAZY, e);

    histogram_add(histogram, clock_wall_us() - before);
    /* Also when it failed: it may be there all the same. */
    engine->changes++;
    engine->deletions += engine->batch_has_deletions;
    return result;
}

/* Events carry the time of day, and so do retries and time limits, which must not move when
 * somebody sets the clock. */
static void follow_clock(struct engine *engine)
{
    msec offset = clock_wall() - clock_mono();
    msec jump = offset - engine->clock_offset;

    if (jump > -JUMP_MIN_MS && jump < JUMP_MIN_MS)
        return;
    for (size_t i = 0; i < engine->run_count; i++)
        live_run_clock_jumped(engine->runs[i], jump);
    engine->clock_offset = offset;
}

static int transact(struct engine *engine, struct err *e)
{
    if (store_begin(engine->store, e) < 0 || engine_take_commands(engine, e) < 0 ||
        begin_due(engine, e) < 0 || read_all(engine, e) < 0 || decide_all(engine, e) < 0 ||
        sweep(engine, e) < 0)
        return -1;
    return commit(engine, e);
}

void engine_drop_fresh(struct engine *engine)
{
    for (size_t i = 0; i < engine->fresh_count; i++)
        submission_free(engine->fresh[i].submission);
    engine->fresh_count = 0;
}

static void act(struct engine *engine)
{
    size_t kept = 0;

    for (size_t i = 0; i < engine->run_count; i++) {
        struct live_run *live = engine->runs[i];
        if (live_run_act(live))
            turn_due(engine);
        if (engine->options.life == ENGINE_LASTING && live_run_is_over(live)) {
            run_queue_remove(engine->queue, live_run_id(live));
            live_run_free(live);
            turn_due(engine); /* whoever waited for it may begin */
        } else {
            engine->runs[kept++] = live;
        }
    }
    engine->run_count = kept;
}

/* --- when the store fails --- */

/* The store is lost to us: what runs is stopped through its keepers, whose journals still tell how
 * it ended as far as the disk lets them. */
static void give_up(struct engine *engine, const struct err *e)
{
    store_rollback(engine->store);
    notices_reset(&engine->notices);
    if (engine->has_failed)
        return;
    engine->has_failed = true;
    engine->events->failed(engine->user, e);
    for (size_t i = 0; i < engine->run_count; i++)
        live_run_drop(engine->runs[i], CAUSE_STORAGE_FAILED);
}

/* What we have in memory may be ahead of the store: it is thrown away, and what the store has is
 * taken up again as after a restart, as soon as that works. Keepers notice nothing of it. */
static void fail(struct engine *engine, const struct err *e)
{
    engine_answer_commands(engine, e);
    if (engine->options.life == ENGINE_ONCE) {
        give_up(engine, e);
        return;
    }
    engine_unload(engine);
    engine->has_failed = true;
    if (!engine->has_told)
        engine->events->failed(engine->user, e);
    engine->has_told = true;
    loop_disarm(engine->turn_timer);
    loop_arm_in(engine->wake_timer, RETRY_MS);
}

/* Commands that come meanwhile are answered, too. */
static void retry(struct engine *engine)
{
    struct err e;

    if (engine_load(engine, &e) < 0) {
        err_prefix(&e, "the state cannot be taken up");
        engine->batch = command_queue_take(engine->commands, UINT32_MAX);
        fail(engine, &e);
    } else {
        engine->has_failed = false;
        turn_due(engine);
    }
}

static void check_finished(struct engine *engine)
{
    if (engine->options.life == ENGINE_LASTING || engine->has_finished)
        return;
    if (!engine->has_failed && run_queue_waiting(engine->queue, RUN_INTERACTIVE) > 0)
        return;
    for (size_t i = 0; i < engine->run_count; i++)
        if (engine->has_failed ? live_run_attempts(engine->runs[i]) > 0
                               : !live_run_is_over(engine->runs[i]))
            return;
    engine->has_finished = true;
    engine->events->finished(engine->user);
}

static void succeed(struct engine *engine)
{
    if (engine->has_told)
        engine->events->recovered(engine->user);
    engine->has_told = false;
    engine_drop_fresh(engine);
    engine_answer_commands(engine, NULL);
    tell(engine);
    act(engine);
    engine_count_standing(engine);
}

static void turn(void *user)
{
    struct engine *engine = user;
    struct err e;

    follow_clock(engine);
    if (!engine->has_failed) {
        if (transact(engine, &e) < 0)
            fail(engine, &e);
        else
            succeed(engine);
    } else if (engine->options.life == ENGINE_LASTING) {
        retry(engine);
    }
    check_finished(engine);
}

struct engine_version engine_version(const struct engine *engine)
{
    return (struct engine_version){.changes = engine->changes, .deletions = engine->deletions};
}

/* --- requests --- */

int engine_submit(struct engine *engine, struct submission *take_submission, struct err *e)
{
    int64_t id;

    if (store_begin(engine->store, e) < 0) {
        submission_free(take_submission);
        return -1;
    }
    if (engine_accept(engine, take_submission, &id, e) < 0 || begin_due(engine, e) < 0 ||
        store_commit(engine->store, STORE_DURABLE, e) < 0) {
        engine_unload(engine);
        engine->has_failed = true;
        return -1;
    }
    turn_due(engine);
    return 0;
}

void engine_cancel_all(struct engine *engine)
{
    engine->is_cancelling = true;
    turn_due(engine);
}

const struct live_run *engine_run(const struct engine *engine)
{
    return engine->run_count > 0 ? engine->runs[0] : NULL;
}

/* --- commands --- */

static void on_commands(void *user, uint32_t events)
{
    (void)events;
    turn(user);
}

int engine_post_submit(struct engine *engine, struct submission *take_submission,
                       const struct request_key *key, engine_done_fn *done, void *user,
                       struct err *e)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->kind = COMMAND_SUBMIT;
    command->submission = take_submission;
    command->run_uuid = take_submission->run_uuid;
    command->done = done;
    command->user = user;
    if (key) {
        command->key = *key;
        command->key.key = mem_strdup(key->key);
    }
    return command_queue_put(engine->commands, command, e);
}

static int post_about(struct engine *engine, enum command_kind kind, const char *run_uuid,
                      engine_done_fn *done, void *user, struct err *e)
{
    struct command *command = mem_zalloc(sizeof *command);

    command->kind = kind;
    command->run_uuid = uuid_of(run_uuid);
    command->done = done;
    command->user = user;
    return command_queue_put(engine->commands, command, e);
}

int engine_post_cancel(struct engine *engine, const char *run_uuid, engine_done_fn *done,
                       void *user, struct err *e)
{
    return post_about(engine, COMMAND_CANCEL, run_uuid, done, user, e);
}

int engine_post_delete(struct engine *engine, const char *run_uuid, engine_done_fn *done,
                       void *user, struct err *e)
{
    return post_about(engine, COMMAND_DELETE, run_uuid, done, user, e);
}

static void on_removed(void *user, int64_t run)
{
    struct engine *engine = user;
    struct command *command = mem_zalloc(sizeof *command);
    struct err ignored; /* then the next start finds it in the trash again */

    command->kind = COMMAND_REMOVED;
    command->run = run;
    command_queue_put(engine->commands, command, &ignored);
}

/* --- life --- */

static void set_up_world(struct engine *engine)
{
    const struct engine_options *options = &engine->options;

    engine->world = (struct live_world){
        .store = engine->store,
        .state = options->state,
        .sdk_dir = options->sdk_dir,
        .attempts = {.loop = options->loop,
                     .nursery = engine->nursery,
                     .state = options->state,
                     .life_fd = options->life_fd,
                     .events = &live_run_attempt_events},
        .notices = &engine->notices,
        .janitor = engine->janitor,
        .news = turn_due,
        .user = engine,
    };
}

static int open_lasting_parts(struct engine *engine, struct err *e)
{
    const struct engine_options *options = &engine->options;

    engine->janitor = janitor_new(on_removed, engine);
    janitor_clean_others(engine->janitor, options->state);
    engine->lock_fd = pipeline_lock_watch(options->state->root, e);
    if (engine->lock_fd < 0)
        return -1;
    engine->lock_source =
        loop_add_fd(options->loop, engine->lock_fd, EPOLLIN, on_lock_free, engine);
    return 0;
}

/* What cannot be said yet of a keeper, which is just being born or dying, can be said in a moment.
 */
static int load_at_start(struct engine *engine, struct err *e)
{
    if (engine_load(engine, e) == 0)
        return 0;
    if (engine->options.life == ENGINE_ONCE || e->code != ERR_UNAVAILABLE)
        return -1;
    fail(engine, e);
    return 0;
}

/* The nursery first: it is forked from while it is still small and has no threads. */
static int open_parts(struct engine *engine, struct err *e)
{
    const struct engine_options *options = &engine->options;
    auto_free char *path = fs_join(options->state->dir, "segue.db");

    if (nursery_start(&engine->nursery, options->nursery_argv, e) < 0 ||
        store_open(path, STORE_WRITE, &engine->store, e) < 0)
        return -1;
    if (options->life == ENGINE_LASTING && open_lasting_parts(engine, e) < 0)
        return -1;
    engine->turn_timer = loop_add_timer(options->loop, turn, engine);
    engine->wake_timer = loop_add_timer(options->loop, turn, engine);
    engine->command_source = loop_add_fd(options->loop, command_queue_fd(engine->commands), EPOLLIN,
                                         on_commands, engine);
    set_up_world(engine);
    return load_at_start(engine, e);
}

int engine_open(struct engine **ret_engine, const struct engine_options *options,
                const struct engine_events *events, void *user, struct err *e)
{
    struct engine *engine = mem_zalloc(sizeof *engine);

    engine->options = *options;
    engine->events = events;
    engine->user = user;
    engine->lock_fd = -1;
    engine->clock_offset = clock_wall() - clock_mono();
    engine->commands = command_queue_new();
    if (open_parts(engine, e) < 0) {
        engine_close(engine);
        return -1;
    }
    turn_due(engine);
    *ret_engine = engine;
    return 0;
}

static void refuse_commands(struct engine *engine)
{
    struct err closing;

    err_set(&closing, ERR_UNAVAILABLE, "the service is stopping");
    loop_remove(engine->command_source);
    command_queue_close(engine->commands);
    engine->batch = command_queue_take(engine->commands, UINT32_MAX);
    engine_answer_commands(engine, &closing);
    command_queue_free(engine->commands);
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    janitor_free(engine->janitor);
    refuse_commands(engine);
    if (engine->store)
        engine_unload(engine);
    free(engine->runs);
    free(engine->fresh);
    loop_remove(engine->turn_timer);
    loop_remove(engine->wake_timer);
    loop_remove(engine->lock_source);
    if (engine->lock_fd >= 0)
        close(engine->lock_fd);
    notices_clear(&engine->notices);
    store_close(engine->store);
    nursery_free(engine->nursery);
    free(engine);
}
