#include "runner/engine/engine.h"

#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/nursery.h"

#include <string.h>

struct engine {
    struct engine_options options;
    const struct engine_events *events;
    void *user;
    struct store *store;
    struct nursery *nursery;
    struct notices notices;
    struct live_world world;
    struct live_run **runs;
    size_t run_count, run_capacity;
    struct loop_source *turn_timer, *wake_timer;
    bool is_cancelling; /* asked for, and not yet in a transaction */
    bool has_failed;    /* the store cannot be written: nothing more is decided */
    bool has_finished;
};

/* --- turns --- */

static void turn_due(void *user)
{
    struct engine *engine = user;

    loop_arm(engine->turn_timer, 0); /* many a piece of news becomes one turn */
}

static void wake_at(struct engine *engine, msec wall)
{
    if (wall > 0)
        loop_arm_in(engine->wake_timer, wall - clock_wall() > 0 ? wall - clock_wall() : 0);
}

static uint32_t free_slots(const struct engine *engine)
{
    uint32_t used = 0;

    for (size_t i = 0; i < engine->run_count; i++)
        used += live_run_slots_in_use(engine->runs[i]);
    return used < engine->options.max_parallel ? engine->options.max_parallel - used : 0;
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

static int decide_all(struct engine *engine, struct err *e)
{
    msec earliest = 0;

    for (size_t i = 0; i < engine->run_count; i++) {
        msec wake;
        if (live_run_decide(engine->runs[i], free_slots(engine), &wake, e) < 0)
            return -1;
        if (wake > 0 && (earliest == 0 || wake < earliest))
            earliest = wake;
    }
    wake_at(engine, earliest);
    return 0;
}

static void tell(struct engine *engine)
{
    for (size_t i = 0; i < engine->notices.count; i++) {
        const struct notice *notice = &engine->notices.items[i];
        engine->events->event(engine->user, &(struct engine_event){
                                                .id = notice->id,
                                                .event = notice->event,
                                                .step = notice->step,
                                                .json = engine->notices.text.data + notice->start,
                                            });
    }
    notices_reset(&engine->notices);
}

/* The store is lost to us: what runs is stopped through its keepers, whose journals still tell how
 * it ended as far as the disk lets them. */
static void fail(struct engine *engine, const struct err *e)
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

static void check_finished(struct engine *engine)
{
    for (size_t i = 0; i < engine->run_count; i++)
        if (engine->has_failed ? live_run_attempts(engine->runs[i]) > 0
                               : !live_run_is_over(engine->runs[i]))
            return;
    if (!engine->has_finished)
        engine->events->finished(engine->user);
    engine->has_finished = true;
}

static int transact(struct engine *engine, struct err *e)
{
    if (store_begin(engine->store, e) < 0)
        return -1;
    if (read_all(engine, e) < 0 || decide_all(engine, e) < 0)
        return -1;
    return store_commit(engine->store, STORE_LAZY, e);
}

static void turn(void *user)
{
    struct engine *engine = user;
    struct err e;

    if (!engine->has_failed) {
        if (transact(engine, &e) < 0) {
            fail(engine, &e);
        } else {
            tell(engine);
            for (size_t i = 0; i < engine->run_count; i++)
                if (live_run_act(engine->runs[i]))
                    turn_due(engine);
        }
    }
    check_finished(engine);
}

/* --- requests --- */

int engine_submit(struct engine *engine, struct submission *take_submission, struct err *e)
{
    struct live_run *live;

    if (store_begin(engine->store, e) < 0) {
        submission_free(take_submission);
        return -1;
    }
    if (live_run_open(&live, &engine->world, take_submission, e) < 0) {
        store_rollback(engine->store);
        notices_reset(&engine->notices);
        return -1;
    }
    if (store_commit(engine->store, STORE_DURABLE, e) < 0) {
        store_rollback(engine->store);
        notices_reset(&engine->notices);
        live_run_free(live);
        return -1;
    }
    mem_grow(engine->runs, engine->run_count, engine->run_capacity);
    engine->runs[engine->run_count++] = live;
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

/* --- life --- */

int engine_open(struct engine **ret_engine, const struct engine_options *options,
                const struct engine_events *events, void *user, struct err *e)
{
    auto_free char *path = fs_join(options->state->dir, "segue.db");
    struct engine *engine = mem_zalloc(sizeof *engine);

    engine->options = *options;
    engine->events = events;
    engine->user = user;
    /* The nursery first: it is forked from while it is still small and has no threads. */
    if (nursery_start(&engine->nursery, options->nursery_argv, e) < 0 ||
        store_open(path, STORE_WRITE, &engine->store, e) < 0) {
        engine_close(engine);
        return -1;
    }
    engine->turn_timer = loop_add_timer(options->loop, turn, engine);
    engine->wake_timer = loop_add_timer(options->loop, turn, engine);
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
        .news = turn_due,
        .user = engine,
    };
    *ret_engine = engine;
    return 0;
}

void engine_close(struct engine *engine)
{
    if (!engine)
        return;
    for (size_t i = 0; i < engine->run_count; i++)
        live_run_free(engine->runs[i]);
    free(engine->runs);
    loop_remove(engine->turn_timer);
    loop_remove(engine->wake_timer);
    notices_clear(&engine->notices);
    store_close(engine->store);
    nursery_free(engine->nursery);
    free(engine);
}
