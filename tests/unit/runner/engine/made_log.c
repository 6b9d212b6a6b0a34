/* made_log: a store with runs whose events are made at will, as the engine makes them: rows, lines
 * in journals, and the notices of what was stored. For tests of what reads them. Included by them.
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/notices.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"

#include <inttypes.h>

#define MADE_STEPS 3

struct made_step {
    struct uuid uuid;
    uint32_t attempt; /* 0: not started */
    int journal;
    uint64_t offset, lines;
};

struct made_run {
    struct uuid uuid;
    int64_t id;
    struct made_step steps[MADE_STEPS];
    bool is_over, is_deleted;
};

struct made_log {
    char *dir, *path, *runs_dir;
    struct store *store;
    struct notices notices; /* since made_begin */
    struct made_run *runs;
    size_t run_count, run_capacity;
};

#define MADE(call)                                                                                 \
    do {                                                                                           \
        struct err made_err = {0};                                                                 \
        struct err *e = &made_err;                                                                 \
        if ((call) < 0)                                                                            \
            fail_msg("%s: %s", #call, made_err.text);                                              \
    } while (0)

static inline void made_log_open(struct made_log *log)
{
    *log = (struct made_log){.dir = scratch_new()};
    log->path = fs_join(log->dir, "segue.db");
    log->runs_dir = fs_join(log->dir, "runs");
    MADE(store_open(log->path, STORE_WRITE, &log->store, e));
}

static inline void made_log_close(struct made_log *log)
{
    for (size_t i = 0; i < log->run_count; i++)
        for (unsigned s = 0; s < MADE_STEPS; s++)
            if (log->runs[i].steps[s].attempt > 0)
                close(log->runs[i].steps[s].journal);
    store_close(log->store);
    notices_clear(&log->notices);
    free(log->runs);
    free(log->path);
    free(log->runs_dir);
    scratch_free(log->dir);
}

static inline void made_begin(struct made_log *log)
{
    notices_reset(&log->notices);
    MADE(store_begin(log->store, e));
}

static inline void made_commit(struct made_log *log)
{
    MADE(store_commit(log->store, STORE_LAZY, e));
}

static inline struct notice_subject made_subject(const struct made_run *run, uint32_t step)
{
    return (struct notice_subject){
        .run_uuid = run->uuid.text,
        .step_uuid = step == STEP_NONE ? NULL : run->steps[step].uuid.text,
        .step = step,
        .run = run->id,
    };
}

/* An event of the run's state. `payload` may be NULL. */
static inline int64_t made_state(struct made_log *log, const struct made_run *run,
                                 const struct run_event *event, const char *payload)
{
    struct notice_subject subject = made_subject(run, event->step);
    int64_t id;

    MADE(store_add_event(log->store, run->id, event, payload, &id, e));
    notices_add_event(&log->notices, id, &subject, event, str_of(payload));
    return id;
}

static inline int64_t made_event(struct made_log *log, const struct made_run *run,
                                 enum run_event_kind kind, uint32_t step)
{
    struct run_event event = {
        .kind = kind,
        .step = step,
        .attempt = step == STEP_NONE ? 0 : run->steps[step].attempt,
        .time = clock_wall(),
        .status = STATUS_SUCCESS,
        .retry_at = kind == EVENT_STEP_RETRYING ? clock_wall() + 1000 : 0,
    };

    return made_state(log, run, &event, NULL);
}

/* A run, with its rows and its first event. Gives its index. */
static inline size_t made_run(struct made_log *log)
{
    struct made_run run = {.uuid = uuid_random()};
    const struct store_run row = {
        .uuid = run.uuid.text,
        .project = "/p",
        .pipeline_path = "pipeline.json",
        .pipeline_uuid = "p",
        .pipeline_name = "P",
        .run_type = "full",
        .uuids = "[]",
        .parameters = "{}",
        .images = "{}",
        .options = "{}",
        .job_uuid = "",
        .rerun_of = "",
        .created_time = clock_wall(),
        .step_count = MADE_STEPS,
    };
    const struct store_frozen frozen = {.definition = STR("{}"), .environments = "{}"};

    MADE(store_add_run(log->store, &row, &frozen, &run.id, e));
    for (uint32_t i = 0; i < MADE_STEPS; i++) {
        run.steps[i].uuid = uuid_random();
        const struct store_step step = {.step = i,
                                        .uuid = run.steps[i].uuid.text,
                                        .title = "T",
                                        .file_path = "t.ipynb",
                                        .failure = ""};
        MADE(store_add_step(log->store, run.id, &step, e));
    }
    mem_grow(log->runs, log->run_count, log->run_capacity);
    log->runs[log->run_count] = run;
    made_event(log, &run, EVENT_RUN_QUEUED, STEP_NONE);
    return log->run_count++;
}

static inline char *made_attempt_dir(const struct made_log *log, const struct made_run *run,
                                     uint32_t step)
{
    return mem_printf("%s/%s/steps/%s/%u", log->runs_dir, run->uuid.text,
                      run->steps[step].uuid.text, run->steps[step].attempt);
}

/* Starts the step's next attempt. */
static inline void made_attempt(struct made_log *log, struct made_run *run, uint32_t step)
{
    struct made_step *made = &run->steps[step];

    if (made->attempt > 0)
        close(made->journal);
    made->attempt++;
    made->offset = made->lines = 0;
    auto_free char *dir = made_attempt_dir(log, run, step);
    auto_free char *path = fs_join(dir, KEEPER_JOURNAL);
    MADE(fs_mkdirs(dir, 0755, e));
    made->journal = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(made->journal >= 0);
    made_event(log, run, EVENT_STEP_STARTED, step);
}

/* A line of the step's journal, with `size` bytes of text in it. */
static inline int64_t made_line(struct made_log *log, struct made_run *run, uint32_t step,
                                const char *event, size_t size)
{
    struct made_step *made = &run->steps[step];
    struct notice_subject subject = made_subject(run, step);
    auto_buf struct buf line = {0};
    int64_t id;

    buf_printf(&line, "{\"n\":%" PRIu64 ",\"time\":\"%s\",\"event\":\"%s\",\"output\":\"",
               ++made->lines, time_text_now().text, event);
    buf_reserve(&line, size);
    for (size_t i = 0; i < size; i++)
        line.data[line.len++] = (char)('a' + (i * 7 + made->lines) % 26);
    buf_puts(&line, "\"}");
    const struct store_line stored = {
        .step = step,
        .attempt = made->attempt,
        .event = event,
        .time = clock_wall(),
        .offset = made->offset,
        .length = (uint32_t)line.len,
    };
    MADE(store_add_line(log->store, run->id, &stored, &id, e));
    notices_add_line(&log->notices, id, &subject, &stored, (struct str){line.data, line.len});
    buf_putc(&line, '\n');
    assert_int_equal(write(made->journal, line.data, line.len), line.len);
    made->offset += line.len;
    return id;
}

/* The run's last event, and its row as that of an ended one. */
static inline int64_t made_end(struct made_log *log, struct made_run *run)
{
    run->is_over = true;
    MADE(store_set_run(log->store, run->id, STATUS_SUCCESS, CAUSE_NONE, 1, 2, e));
    return made_event(log, run, EVENT_RUN_FINISHED, STEP_NONE);
}

static inline int64_t made_deletion(struct made_log *log, struct made_run *run)
{
    msec now = clock_wall();
    int64_t id;

    run->is_deleted = true;
    MADE(store_delete_run(log->store, run->id, run->uuid.text, now, &id, e));
    notices_add_deletion(&log->notices, id, run->id, run->uuid.text, now);
    return id;
}

static inline int made_shred_all(struct store *store, int64_t run, struct err *e)
{
    int removed;

    do
        removed = store_shred(store, run, 1000, e);
    while (removed > 0);
    return removed;
}

/* Removes what is left of a deleted run: some events, or (rows 0) all, and the journals. */
static inline void made_shred(struct made_log *log, const struct made_run *run, uint32_t rows)
{
    auto_free char *dir = fs_join(log->runs_dir, run->uuid.text);

    MADE(store_begin(log->store, e));
    if (rows > 0)
        MADE(store_shred(log->store, run->id, rows, e));
    else
        MADE(made_shred_all(log->store, run->id, e));
    made_commit(log);
    if (rows == 0)
        MADE(fs_remove_tree(dir, e));
}
