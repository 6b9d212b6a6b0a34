/* Taking up what the store holds. Runs that wait stay on disk, as numbers in the queue; those that
 * have begun become live again. */
#include "base/fs.h"
#include "base/mem.h"
#include "runner/engine/engine_private.h"
#include "runner/engine/pipeline_lock.h"
#include "runner/engine/results.h"

#include <dirent.h>
#include <string.h>

/* --- one run --- */

struct restored {
    struct submission *submission;
    struct uuid uuid;
    bool is_damaged;
    struct err why;
};

static int restore(void *data, const struct store_run *run, const struct store_frozen *frozen,
                   struct err *e)
{
    struct restored *restored = data;

    (void)e;
    restored->uuid = uuid_of(run->uuid);
    restored->is_damaged =
        submission_restore(run, frozen, &restored->submission, &restored->why) < 0;
    return 0;
}

int engine_take_turn(const struct engine *engine, int64_t id, int *ret_fd, struct err *e)
{
    const char *key = run_queue_key(engine->queue, id);

    *ret_fd = -1;
    if (!key || engine->options.life == ENGINE_ONCE)
        return 0; /* needs none; has it already */
    *ret_fd = pipeline_try_lock(engine->options.state->root, key, e);
    return *ret_fd < 0 ? -1 : 0;
}

static struct submission *take_fresh(struct engine *engine, int64_t id)
{
    for (size_t i = 0; i < engine->fresh_count; i++)
        if (engine->fresh[i].id == id)
            return take_ptr(&engine->fresh[i].submission);
    return NULL;
}

int engine_open_run(struct engine *engine, int64_t id, struct err *e)
{
    struct restored restored = {.submission = take_fresh(engine, id)};
    struct live_run *live;

    if (!restored.submission && store_frozen(engine->store, id, restore, &restored, e) < 0)
        return -1;
    if (restored.is_damaged)
        return engine_bury(engine, id, restored.uuid.text, restored.why.text, e);
    struct uuid uuid = restored.submission->run_uuid;
    if (live_run_open(&live, &engine->world, restored.submission, id, e) < 0) {
        struct err why = *e;
        return why.code == ERR_INVALID ? engine_bury(engine, id, uuid.text, why.text, e) : -1;
    }
    mem_grow(engine->runs, engine->run_count, engine->run_capacity);
    engine->runs[engine->run_count++] = live;
    return 1;
}

struct live_run *engine_find(const struct engine *engine, const char *run_uuid)
{
    for (size_t i = 0; i < engine->run_count; i++)
        if (strcmp(live_run_submission(engine->runs[i])->run_uuid.text, run_uuid) == 0)
            return engine->runs[i];
    return NULL;
}

/* --- all --- */

struct open_run {
    int64_t id;
    bool has_begun;
    enum run_class run_class;
    struct uuid key; /* all zero: it needs nothing for itself */
};

struct open_runs {
    struct open_run *items;
    size_t count, capacity;
};

static int note_open(void *data, const struct store_run *run, struct err *e)
{
    struct open_runs *open = data;
    bool is_background = *run->job_uuid != 0;

    (void)e;
    mem_grow(open->items, open->count, open->capacity);
    open->items[open->count++] = (struct open_run){
        .id = run->id,
        .has_begun = run->status != STATUS_PENDING,
        .run_class = is_background ? RUN_BACKGROUND : RUN_INTERACTIVE,
    };
    if (!is_background)
        open->items[open->count - 1].key = results_key(run->project, run->pipeline_uuid);
    return 0;
}

static void enqueue(struct engine *engine, const struct open_runs *open)
{
    for (size_t i = open->count; i-- > 0;) { /* the oldest first */
        const struct open_run *run = &open->items[i];
        const char *key = *run->key.text ? run->key.text : NULL;
        if (run->has_begun)
            run_queue_add_running(engine->queue, run->id, run->run_class, key);
        else
            run_queue_add(engine->queue, run->id, run->run_class, key);
    }
}

/* Its lock was let go of when our predecessor died. Should a `segue run` have taken it meanwhile,
 * the run goes on all the same: it has begun. */
static int take_up_one(struct engine *engine, int64_t id, struct err *e)
{
    int turn_fd = -1;
    struct err ignored;
    int opened = engine_open_run(engine, id, e);

    if (opened <= 0)
        return opened;
    engine_take_turn(engine, id, &turn_fd, &ignored);
    live_run_take_turn(engine->runs[engine->run_count - 1], turn_fd);
    return 0;
}

static int take_up(struct engine *engine, const struct open_runs *open, struct err *e)
{
    for (size_t i = open->count; i-- > 0;)
        if (open->items[i].has_begun && take_up_one(engine, open->items[i].id, e) < 0)
            return -1;
    return 0;
}

static int load_runs(struct engine *engine, struct open_runs *open, struct err *e)
{
    static const struct store_filter unfinished = {.statuses =
                                                       1u << STATUS_PENDING | 1u << STATUS_STARTED};

    if (store_runs(engine->store, &unfinished, note_open, open, e) < 0)
        return -1;
    enqueue(engine, open);
    if (store_begin(engine->store, e) < 0 || take_up(engine, open, e) < 0)
        return -1;
    if (!engine->has_failed)
        return store_commit(engine->store, STORE_LAZY, e);
    /* With nothing to write it would seem to work again. */
    if (store_probe(engine->store, e) < 0)
        return -1;
    return store_commit(engine->store, STORE_DURABLE, e);
}

static bool is_attached(const struct engine *engine, const char *mark)
{
    for (size_t i = 0; i < engine->run_count; i++)
        if (live_run_has_mark(engine->runs[i], mark))
            return true;
    return false;
}

/* Marks that belong to no attempt of ours any more: their keepers died while nobody watched, and
 * may have left something. */
static void clean_leftovers(struct engine *engine)
{
    auto_free char *path = fs_join(engine->options.state->dir, "k");
    DIR *entries = opendir(path);

    if (!entries)
        return;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (entry->d_name[0] != '.' && !is_attached(engine, entry->d_name))
            janitor_clean(engine->janitor, engine->options.state, entry->d_name);
    closedir(entries);
}

int engine_load(struct engine *engine, struct err *e)
{
    struct open_runs open = {0};

    engine->queue = run_queue_new((uint32_t[]){engine->options.limits[RUN_INTERACTIVE].runs,
                                               engine->options.limits[RUN_BACKGROUND].runs});
    engine->has_trash = true;
    engine->swept = 0;
    int result = load_runs(engine, &open, e);
    free(open.items);
    if (result < 0)
        engine_unload(engine);
    else if (engine->janitor)
        clean_leftovers(engine);
    return result;
}

void engine_unload(struct engine *engine)
{
    store_rollback(engine->store);
    notices_reset(&engine->notices);
    for (size_t i = 0; i < engine->run_count; i++)
        live_run_free(engine->runs[i]);
    engine->run_count = 0;
    engine_drop_fresh(engine);
    run_queue_free(take_ptr(&engine->queue));
}
