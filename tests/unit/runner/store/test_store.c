#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/store/store.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "tests/unit/runner/run/made_plan.c"
#include "tests/unit/runner/store/faulty_disk.c"
#include "tests/unit/runner/store/store_checks.c"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

/* ---- a directory and a store for each test ---- */

struct fixture {
    char *dir;
    char *path;
    struct store *store;
    int64_t run;
};

static const struct store_run a_run = {
    .uuid = "11111111-0000-4000-8000-000000000000",
    .project = "/projects/one",
    .pipeline_path = "pipeline.json",
    .pipeline_uuid = "p1",
    .pipeline_name = "First",
    .run_type = "selection",
    .uuids = "[\"a\"]",
    .parameters = "{\"x\": 0.1}",
    .images = "{}",
    .options = "{\"in_place\": false}",
    .job_uuid = "",
    .rerun_of = "",
    .created_time = 1700000000123,
    .step_count = 2,
};

static const struct store_frozen a_frozen = {
    .definition = {"{\"steps\"\0: {}}\xff", 16},
    .environments = "[{\"name\":\"\"}]",
};

static int64_t add_run(struct store *store, const struct store_run *run)
{
    int64_t id = 0;
    OK(store_begin(store, e));
    OK(store_add_run(store, run, &a_frozen, &id, e));
    for (uint32_t i = 0; i < run->step_count; i++) {
        char uuid[16];
        snprintf(uuid, sizeof uuid, "step-%u", i);
        struct store_step step = {
            .step = i, .uuid = uuid, .title = "T", .file_path = "t.ipynb", .failure = ""};
        OK(store_add_step(store, id, &step, e));
    }
    OK(store_commit(store, STORE_LAZY, e));
    return id;
}

static int set_up(void **state)
{
    char name[] = "/tmp/segue-store-XXXXXX";
    struct fixture *f = mem_zalloc(sizeof *f);
    assert_non_null(mkdtemp(name));
    f->dir = mem_strdup(name);
    f->path = mem_printf("%s/segue.db", name);
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
    f->run = add_run(f->store, &a_run);
    *state = f;
    memset(&disk, 0, sizeof disk);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    memset(&disk, 0, sizeof disk);
    store_close(f->store);
    OK(fs_remove_tree(f->dir, e));
    free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

static void reopen(struct fixture *f)
{
    store_close(take_ptr(&f->store));
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
}

static int64_t add_event(struct store *store, int64_t run, enum run_event_kind kind, uint32_t step)
{
    int64_t id = 0;
    struct run_event event = {.kind = kind, .step = step, .attempt = 1, .time = 1700000001000};
    OK(store_add_event(store, run, &event, NULL, &id, e));
    return id;
}

/* A batch of three events in one transaction. */
static int try_batch(struct store *store, int64_t run, enum store_sync sync, struct err *e)
{
    struct run_event event = {.kind = EVENT_STEP_STARTED, .attempt = 1, .time = 1};
    int64_t id;
    if (store_begin(store, e) < 0)
        return -1;
    for (int i = 0; i < 3; i++)
        if (store_add_event(store, run, &event, NULL, &id, e) < 0)
            return -1;
    return store_commit(store, sync, e);
}

static int count_event(void *data, const struct store_event *event, struct err *e)
{
    (void)event;
    (void)e;
    ++*(unsigned *)data;
    return 0;
}

static unsigned events_in(struct store *store)
{
    unsigned count = 0;
    OK(store_events_after(store, 0, 0, UINT32_MAX, count_event, &count, e));
    return count;
}

/* ---- what is written can be read ---- */

static int copy_run(void *data, const struct store_run *run, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s %s %s %s %s %s %s %s %s %s %s|%s|%s %s %lld %lld %lld %u;",
               (long long)run->id, run->uuid, run->project, run->pipeline_path, run->pipeline_uuid,
               run->pipeline_name, run->run_type, run->uuids, run->parameters, run->images,
               run->options, run->job_uuid, run->rerun_of, status_name(run->status),
               cause_name(run->cause), (long long)run->created_time, (long long)run->started_time,
               (long long)run->finished_time, run->step_count);
    return 0;
}

static void run_comes_back_as_it_was(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};
    const struct store_filter by_uuid = {.uuid = a_run.uuid};
    const struct store_filter all = {0};
    const char *fields = "1 11111111-0000-4000-8000-000000000000 /projects/one pipeline.json p1 "
                         "First selection [\"a\"] {\"x\": 0.1} {} {\"in_place\": false} ||PENDING "
                         " 1700000000123 0 0 2;";
    OK(store_runs(f->store, &all, copy_run, &got, e));
    assert_string_equal(buf_text(&got), fields);
    buf_reset(&got);
    OK(store_runs(f->store, &by_uuid, copy_run, &got, e));
    assert_string_equal(buf_text(&got), fields);
    buf_reset(&got);
    OK(store_run(f->store, a_run.uuid, copy_run, &got, e));
    assert_string_equal(buf_text(&got), fields);
    REFUSED(ERR_NOT_FOUND, store_run(f->store, "r9", copy_run, &got, e));
}

static void run_changes_status(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};
    OK(store_begin(f->store, e));
    OK(store_set_run(f->store, f->run, STATUS_FAILURE, CAUSE_CELL_ERROR, 17, 18, e));
    REFUSED(ERR_NOT_FOUND, store_set_run(f->store, 99, STATUS_STARTED, CAUSE_NONE, 1, 0, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    reopen(f);
    OK(store_runs(f->store, &(struct store_filter){0}, copy_run, &got, e));
    assert_non_null(strstr(buf_text(&got), "FAILURE cell_error 1700000000123 17 18 2;"));
}

static int list_run(void *data, const struct store_run *run, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)run->id);
    return 0;
}

static void runs_are_filtered(void **state)
{
    struct fixture *f = *state;
    struct store_run run = a_run;
    run.uuid = "r2";
    run.project = "/projects/two";
    add_run(f->store, &run);
    run.uuid = "r3";
    run.pipeline_uuid = "p3";
    run.job_uuid = "j";
    add_run(f->store, &run);
    OK(store_begin(f->store, e));
    OK(store_set_run(f->store, 1, STATUS_STARTED, CAUSE_NONE, 5, 0, e));
    OK(store_set_run(f->store, 2, STATUS_SUCCESS, CAUSE_NONE, 5, 6, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    const unsigned open = 1u << STATUS_PENDING | 1u << STATUS_STARTED;
    const struct {
        struct store_filter filter;
        const char *ids;
    } rows[] = {
        {{0}, "3 2 1 "},
        {{.limit = 2}, "3 2 "},
        {{.before = 3}, "2 1 "},
        {{.uuid = "r2"}, "2 "},
        {{.uuid = "r9"}, ""},
        {{.project = "/projects/two"}, "3 2 "},
        {{.project = "/projects/two", .pipeline_uuid = "p1"}, "2 "},
        {{.job_uuid = "j"}, "3 "},
        {{.statuses = open}, "3 1 "},
        {{.statuses = 1u << STATUS_SUCCESS}, "2 "},
        {{.statuses = 1u << STATUS_SUCCESS | 1u << STATUS_STARTED}, "2 1 "},
        {{.project = "' OR 1=1 --"}, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf got = {0};
        OK(store_runs(f->store, &rows[i].filter, list_run, &got, e));
        assert_string_equal(buf_text(&got), rows[i].ids);
    }
}

static int copy_step(void *data, const struct store_step *step, struct err *e)
{
    (void)e;
    buf_printf(data, "%u %s %s %s %s %s %u %u %u %lld %lld %s;", step->step, step->uuid,
               step->title, step->file_path, status_name(step->status), cause_name(step->cause),
               step->attempt, step->cells_total, step->cells_done, (long long)step->started_time,
               (long long)step->finished_time, step->failure);
    return 0;
}

static void steps_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};
    struct store_step step = {.step = 1,
                              .status = STATUS_FAILURE,
                              .cause = CAUSE_TIMEOUT,
                              .attempt = 3,
                              .cells_total = 9,
                              .cells_done = 4,
                              .started_time = 100,
                              .finished_time = 200,
                              .failure = "{\"message\": \"late\"}"};
    OK(store_begin(f->store, e));
    OK(store_set_step(f->store, f->run, &step, e));
    step.step = 2;
    REFUSED(ERR_NOT_FOUND, store_set_step(f->store, f->run, &step, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    OK(store_steps(f->store, f->run, copy_step, &got, e));
    assert_string_equal(
        buf_text(&got),
        "0 step-0 T t.ipynb PENDING  0 0 0 0 0 ;"
        "1 step-1 T t.ipynb FAILURE timeout 3 9 4 100 200 {\"message\": \"late\"};");
}

static void attempts_keep_their_offset(void **state)
{
    struct fixture *f = *state;
    struct store_attempt attempt = {.step = 1, .attempt = 2, .mark = "k3j9x2"};
    struct store_attempt got;
    OK(store_begin(f->store, e));
    OK(store_add_attempt(f->store, f->run, &attempt, e));
    REFUSED(ERR_CONFLICT, store_add_attempt(f->store, f->run, &attempt, e));
    OK(store_set_offset(f->store, f->run, 1, 2, UINT64_C(5000000000), e));
    REFUSED(ERR_NOT_FOUND, store_set_offset(f->store, f->run, 1, 1, 7, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    reopen(f);
    OK(store_attempt(f->store, f->run, 1, 2, &got, e));
    assert_string_equal(got.mark, "k3j9x2");
    assert_int_equal(got.offset, UINT64_C(5000000000));
    REFUSED(ERR_NOT_FOUND, store_attempt(f->store, f->run, 0, 1, &got, e));
}

static int copy_event(void *data, const struct store_event *event, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s '%s' %s %d %u %lld '%s' '%s' %lld '%s' %llu+%u;",
               (long long)event->id, event->run_uuid, event->step_uuid, event->event,
               (int)event->step, event->attempt, (long long)event->time, event->status,
               event->cause, (long long)event->retry_at, event->payload,
               (unsigned long long)event->offset, event->length);
    return 0;
}

static void events_come_back_as_they_were(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};
    const struct run_event started = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE, .time = 10};
    const struct run_event retrying = {.kind = EVENT_STEP_RETRYING,
                                       .step = 1,
                                       .attempt = 2,
                                       .cause = CAUSE_KERNEL_DIED,
                                       .time = 11,
                                       .retry_at = 12};
    const struct run_event finished = {.kind = EVENT_STEP_FINISHED,
                                       .status = STATUS_FAILURE,
                                       .step = 0,
                                       .attempt = 1,
                                       .cause = CAUSE_CELL_ERROR,
                                       .time = 13};
    const struct store_line line = {.step = 1,
                                    .attempt = 2,
                                    .event = "output",
                                    .time = 14,
                                    .offset = UINT64_C(6000000000),
                                    .length = 77};
    int64_t id;
    OK(store_begin(f->store, e));
    OK(store_add_event(f->store, f->run, &started, NULL, &id, e));
    assert_int_equal(id, 1);
    OK(store_add_event(f->store, f->run, &retrying, NULL, &id, e));
    OK(store_add_event(f->store, f->run, &finished, "{\"message\": \"x\"}", &id, e));
    OK(store_add_line(f->store, f->run, &line, &id, e));
    assert_int_equal(id, 4);
    OK(store_commit(f->store, STORE_DURABLE, e));
    OK(store_events_after(f->store, 0, 0, 100, copy_event, &got, e));
#define UUID "11111111-0000-4000-8000-000000000000"
    assert_string_equal(
        buf_text(&got),
        "1 " UUID " '' run_started -1 0 10 '' '' 0 '' 0+0;"
        "2 " UUID " 'step-1' step_retrying 1 2 11 '' 'kernel_died' 12 '' 0+0;"
        "3 " UUID " 'step-0' step_finished 0 1 13 'FAILURE' 'cell_error' 0 '{\"message\": \"x\"}' "
        "0+0;"
        "4 " UUID " 'step-1' output 1 2 14 '' '' 0 '' 6000000000+77;");
}

static int copy_id(void *data, const struct store_event *event, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld ", (long long)event->id);
    return event->id == 8 ? 1 : 0; /* enough */
}

static void events_are_read_from_a_cursor(void **state)
{
    struct fixture *f = *state;
    struct store_run other = a_run;
    other.uuid = "r2";
    int64_t second = add_run(f->store, &other);
    OK(store_begin(f->store, e));
    for (uint32_t i = 0; i < 5; i++) {
        add_event(f->store, f->run, EVENT_STEP_STARTED, 0);
        add_event(f->store, second, EVENT_STEP_STARTED, 0);
    }
    OK(store_commit(f->store, STORE_LAZY, e));
    const struct {
        int64_t after;
        int64_t run;
        uint32_t limit;
        int result;
        const char *ids;
    } rows[] = {
        {0, 0, 3, 0, "1 2 3 "},    {3, 0, 3, 0, "4 5 6 "},       {6, 0, 100, 1, "7 8 "},
        {10, 0, 100, 0, ""},       {0, 1, 100, 0, "1 3 5 7 9 "}, {3, 1, 1, 0, "5 "},
        {3, second, 2, 0, "4 6 "}, {0, 99, 100, 0, ""},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        auto_buf struct buf got = {0};
        struct err why;
        assert_int_equal(store_events_after(f->store, rows[i].after, rows[i].run, rows[i].limit,
                                            copy_id, &got, &why),
                         rows[i].result);
        assert_string_equal(buf_text(&got), rows[i].ids);
    }
}

static void ids_of_events_are_never_given_twice(void **state)
{
    struct fixture *f = *state;
    OK(store_begin(f->store, e));
    add_event(f->store, f->run, EVENT_RUN_STARTED, STEP_NONE);
    assert_int_equal(add_event(f->store, f->run, EVENT_STEP_STARTED, 0), 2);
    OK(store_commit(f->store, STORE_LAZY, e));
    store_close(take_ptr(&f->store));
    raw(f->path, "DELETE FROM events; DELETE FROM runs");
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
    assert_int_equal(add_run(f->store, &a_run), 2);
    OK(store_begin(f->store, e));
    assert_int_equal(add_event(f->store, 2, EVENT_RUN_STARTED, STEP_NONE), 3);
    OK(store_commit(f->store, STORE_LAZY, e));
}

/* ---- replay ---- */

static int apply_stored(void *data, const struct run_event *event, const char *step_uuid,
                        struct err *e)
{
    char expected[16] = "";
    if (event->step != STEP_NONE)
        snprintf(expected, sizeof expected, "step-%u", event->step);
    assert_string_equal(step_uuid, expected);
    return run_apply(data, event, e);
}

static void run_is_rebuilt_from_the_store(void **state)
{
    struct fixture *f = *state;
    struct made_plan m = made_plan_of(2, &(struct edge){0, 1}, 1);
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 0);
    auto_run struct run *rebuilt = run_new(&m.plan, &m.pipeline, 0);
    const struct store_line line = {.step = 0, .attempt = 1, .event = "output", .length = 9};
    const struct run_event events[] = {
        {.kind = EVENT_RUN_QUEUED, .step = STEP_NONE},
        {.kind = EVENT_RUN_STARTED, .step = STEP_NONE},
        {.kind = EVENT_STEP_STARTED, .step = 0, .attempt = 1},
        {.kind = EVENT_STEP_RETRYING,
         .step = 0,
         .attempt = 1,
         .cause = CAUSE_EXIT_CODE,
         .retry_at = 5000},
        {.kind = EVENT_STEP_STARTED, .step = 0, .attempt = 2, .time = 5000},
        {.kind = EVENT_STEP_FINISHED, .step = 0, .attempt = 2, .status = STATUS_SUCCESS},
        {.kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE},
        {.kind = EVENT_STEP_FINISHED,
         .step = 1,
         .status = STATUS_ABORTED,
         .cause = CAUSE_CANCELLED},
        {.kind = EVENT_RUN_FINISHED,
         .step = STEP_NONE,
         .status = STATUS_ABORTED,
         .cause = CAUSE_CANCELLED},
    };
    OK(store_begin(f->store, e));
    for (unsigned i = 0; i < sizeof events / sizeof *events; i++) {
        int64_t id;
        OK(run_apply(run, &events[i], e));
        OK(store_add_event(f->store, f->run, &events[i], NULL, &id, e));
        OK(store_add_line(f->store, f->run, &line, &id, e)); /* which a replay passes over */
    }
    OK(store_commit(f->store, STORE_LAZY, e));
    reopen(f);
    OK(store_replay(f->store, f->run, apply_stored, rebuilt, e));
    assert_int_equal(run_status(rebuilt), STATUS_ABORTED);
    assert_int_equal(run_step_status(rebuilt, 0), STATUS_SUCCESS);
    assert_int_equal(run_step_attempt(rebuilt, 0), 2);
    assert_int_equal(run_step_cause(rebuilt, 1), CAUSE_CANCELLED);
    REFUSED(ERR_CONFLICT, store_replay(f->store, f->run, apply_stored, rebuilt, e)); /* of run.c */
    made_plan_clear(&m);
}

static void log_with_an_unknown_event_is_damaged(void **state)
{
    struct fixture *f = *state;
    struct made_plan m = made_plan_of(2, NULL, 0);
    auto_run struct run *run = run_new(&m.plan, &m.pipeline, 0);
    raw(f->path, "INSERT INTO events(run, time, event) VALUES(1, 0, 'run_walked')");
    const char *text = REFUSED(ERR_IO, store_replay(f->store, f->run, apply_stored, run, e));
    assert_non_null(strstr(text, "event 1: \"run_walked\""));
    made_plan_clear(&m);
}

/* ---- transactions ---- */

static void what_is_not_committed_is_not_there(void **state)
{
    struct fixture *f = *state;
    OK(store_begin(f->store, e));
    add_event(f->store, f->run, EVENT_RUN_STARTED, STEP_NONE);
    store_rollback(f->store);
    store_rollback(f->store); /* nothing */
    assert_int_equal(events_in(f->store), 0);
    OK(store_begin(f->store, e));
    add_event(f->store, f->run, EVENT_RUN_STARTED, STEP_NONE);
    reopen(f);
    assert_int_equal(events_in(f->store), 0);
}

static void same_run_is_not_added_twice(void **state)
{
    struct fixture *f = *state;
    int64_t id = 0;
    OK(store_begin(f->store, e));
    REFUSED(ERR_CONFLICT, store_add_run(f->store, &a_run, &a_frozen, &id, e));
    assert_int_equal(id, 0);
    store_rollback(f->store);
}

static void readers_see_whole_transactions(void **state)
{
    struct fixture *f = *state;
    auto_store struct store *reader = NULL;
    OK(store_open(f->path, STORE_READ, &reader, e));
    OK(store_begin(f->store, e));
    add_event(f->store, f->run, EVENT_RUN_STARTED, STEP_NONE);
    assert_int_equal(events_in(reader), 0);
    OK(store_commit(f->store, STORE_LAZY, e));
    assert_int_equal(events_in(reader), 1);
    REFUSED(ERR_IO, try_batch(reader, f->run, STORE_LAZY, e)); /* it can only read */
    store_rollback(reader);
    assert_int_equal(events_in(f->store), 1);
}

static void durable_commits_sync_and_lazy_ones_do_not(void **state)
{
    struct fixture *f = *state;
    OK(try_batch(f->store, f->run, STORE_LAZY, e));
    assert_int_equal(disk.syncs, 0);
    OK(try_batch(f->store, f->run, STORE_DURABLE, e));
    assert_int_equal(disk.syncs, 1);
    disk.fail_syncs = true;
    OK(try_batch(f->store, f->run, STORE_LAZY, e));
    REFUSED(ERR_IO, try_batch(f->store, f->run, STORE_DURABLE, e));
}

/* ---- a process that dies ---- */

static void write_until_killed(const struct fixture *f, int report)
{
    struct store *store;
    struct err e;
    if (store_open(f->path, STORE_WRITE, &store, &e) < 0)
        _exit(1);
    for (;;)
        if (try_batch(store, f->run, STORE_LAZY, &e) < 0 || write(report, "x", 1) != 1)
            _exit(1);
}

static void kill_in_the_middle(struct fixture *f, unsigned acknowledged)
{
    int report[2];
    char byte;
    unsigned before = events_in(f->store);
    store_close(take_ptr(&f->store));
    assert_int_equal(pipe(report), 0);
    pid_t pid = fork();
    if (pid == 0)
        write_until_killed(f, report[1]);
    close(report[1]);
    for (unsigned i = 0; i < acknowledged; i++)
        assert_int_equal(read(report[0], &byte, 1), 1);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    while (read(report[0], &byte, 1) == 1)
        acknowledged++; /* told before it died */
    close(report[0]);
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
    unsigned added = events_in(f->store) - before;
    assert_int_equal(added % 3, 0);
    assert_true(added / 3 == acknowledged || added / 3 == acknowledged + 1);
}

static void kill_9_loses_nothing_that_was_committed(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 20; i++)
        kill_in_the_middle(f, 1 + i * 7);
}

static void kill_9_inside_a_transaction_leaves_nothing_of_it(void **state)
{
    struct fixture *f = *state;
    store_close(take_ptr(&f->store));
    pid_t pid = fork();
    if (pid == 0) {
        struct err e;
        struct run_event event = {.kind = EVENT_RUN_STARTED, .step = STEP_NONE};
        int64_t id;
        if (store_open(f->path, STORE_WRITE, &f->store, &e) < 0 ||
            try_batch(f->store, f->run, STORE_LAZY, &e) < 0 || store_begin(f->store, &e) < 0)
            _exit(1);
        for (int i = 0; i < 100000; i++) /* more than the cache: pages get into the WAL */
            if (store_add_event(f->store, f->run, &event, NULL, &id, &e) < 0)
                _exit(1);
        raise(SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
    assert_int_equal(events_in(f->store), 3);
}

/* ---- disks that are full or fail ---- */

/* The n-th write fails, for every n that there is: the transaction is refused as a whole and the
 * store goes on as soon as there is space again. */
static void fail_every_write(struct fixture *f, int code, enum err_code expected, unsigned length)
{
    for (unsigned n = 1;; n++) {
        struct err why = {0};
        unsigned before = events_in(f->store);
        memset(&disk, 0, sizeof disk);
        disk.fail_write = n;
        disk.fail_until = length ? n + length : 0;
        disk.fail_code = code;
        int result = try_batch(f->store, f->run, STORE_LAZY, &why);
        bool reached = disk.writes >= n;
        memset(&disk, 0, sizeof disk);
        if (!reached) {
            assert_int_equal(result, 0);
            assert_true(n > 3); /* else this has tested nothing */
            return;
        }
        assert_int_equal(result, -1);
        assert_int_equal(why.code, expected);
        store_rollback(f->store);
        assert_int_equal(events_in(f->store), before);
        OK(try_batch(f->store, f->run, STORE_DURABLE, e));
        reopen(f);
        assert_int_equal(events_in(f->store), before + 3);
    }
}

static void full_disk_refuses_and_recovers(void **state)
{
    fail_every_write(*state, SQLITE_FULL, ERR_NO_SPACE, 0);
    fail_every_write(*state, SQLITE_FULL, ERR_NO_SPACE, 1);
}

static void failing_disk_refuses_and_recovers(void **state)
{
    fail_every_write(*state, SQLITE_IOERR_WRITE, ERR_IO, 0);
    fail_every_write(*state, SQLITE_IOERR_WRITE, ERR_IO, 1);
}

static void full_disk_refuses_a_new_store(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/other.db", f->dir);
    struct store *store = NULL;
    disk.fail_write = 1;
    disk.fail_code = SQLITE_FULL;
    REFUSED(ERR_NO_SPACE, store_open(path, STORE_WRITE, &store, e));
    assert_null(store);
    memset(&disk, 0, sizeof disk);
    OK(store_open(path, STORE_WRITE, &store, e)); /* what is left there is no obstacle */
    store_close(store);
}

/* ---- files that are not what they should be ---- */

static void new_file_is_private(void **state)
{
    struct fixture *f = *state;
    auto_free char *wal = mem_printf("%s-wal", f->path);
    struct stat info;
    assert_int_equal(stat(f->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(stat(wal, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
}

static void newer_database_is_refused(void **state)
{
    struct fixture *f = *state;
    struct store *store = NULL;
    raw(f->path, "PRAGMA user_version=1000");
    for (int mode = STORE_WRITE; mode <= STORE_READ; mode++) {
        const char *text =
            REFUSED(ERR_INVALID, store_open(f->path, (enum store_mode)mode, &store, e));
        assert_non_null(strstr(text, "newer Segue"));
        assert_non_null(strstr(text, "1000"));
    }
    raw(f->path, "PRAGMA user_version=1"); /* and it was left as it was */
    assert_int_equal(events_in(f->store), 0);
}

static void reader_makes_and_changes_no_file(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/other.db", f->dir);
    struct store *store = NULL;
    REFUSED(ERR_NOT_FOUND, store_open(path, STORE_READ, &store, e));
    assert_false(fs_exists(path));
    raw(path, "CREATE TABLE t(x)");
    REFUSED(ERR_INVALID, store_open(path, STORE_READ, &store, e));
}

static void damaged_header_is_refused(void **state)
{
    struct fixture *f = *state;
    store_close(take_ptr(&f->store));
    overwrite(f->path, 0, 100);
    for (int mode = STORE_WRITE; mode <= STORE_READ; mode++) {
        const char *text =
            REFUSED(ERR_IO, store_open(f->path, (enum store_mode)mode, &f->store, e));
        assert_non_null(strstr(text, "is damaged"));
    }
}

static void damaged_pages_are_reported(void **state)
{
    struct fixture *f = *state;
    struct stat info;
    unsigned count = 0;
    for (int i = 0; i < 1000; i++)
        OK(try_batch(f->store, f->run, STORE_LAZY, e));
    store_close(take_ptr(&f->store));
    assert_int_equal(stat(f->path, &info), 0);
    overwrite(f->path, 20 * 4096, (size_t)info.st_size - 20 * 4096);
    OK(store_open(f->path, STORE_WRITE, &f->store, e));
    const char *text =
        REFUSED(ERR_IO, store_events_after(f->store, 0, 0, UINT32_MAX, count_event, &count, e));
    assert_non_null(strstr(text, "is damaged"));
}

/* ---- what a run is started from ---- */

static int copy_frozen(void *data, const struct store_run *run, const struct store_frozen *frozen,
                       struct err *e)
{
    (void)e;
    buf_printf(data, "%s %s ", run->uuid, frozen->environments);
    buf_put(data, frozen->definition.text, frozen->definition.len);
    return 7;
}

static void what_a_run_is_started_from_comes_back_to_the_byte(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};
    const char *head = "11111111-0000-4000-8000-000000000000 [{\"name\":\"\"}] ";
    struct err ignored;

    assert_int_equal(store_frozen(f->store, f->run, copy_frozen, &got, &ignored), 7);
    assert_int_equal(got.len, strlen(head) + a_frozen.definition.len);
    assert_memory_equal(got.data, head, strlen(head));
    assert_memory_equal(got.data + strlen(head), a_frozen.definition.text, a_frozen.definition.len);
    REFUSED(ERR_NOT_FOUND, store_frozen(f->store, 99, copy_frozen, &got, e));
}

static void sources_are_kept(void **state)
{
    struct fixture *f = *state;
    auto_buf struct buf got = {0};

    OK(store_sources(f->store, f->run, &got, e));
    assert_int_equal(got.len, 0); /* none */
    OK(store_begin(f->store, e));
    OK(store_set_sources(f->store, f->run, "[[1]]", e));
    OK(store_set_sources(f->store, f->run, "[[2]]", e)); /* the newest counts */
    OK(store_commit(f->store, STORE_LAZY, e));
    reopen(f);
    OK(store_sources(f->store, f->run, &got, e));
    assert_string_equal(buf_text(&got), "[[2]]");
}

/* ---- keys of requests ---- */

static void check_request(struct fixture *f, const char *key, const char *digest, const char *uuid)
{
    char got[65] = "";
    struct uuid run = {0};
    struct err ignored;

    assert_int_equal(store_request(f->store, key, got, &run, &ignored), digest != NULL);
    assert_string_equal(got, digest ? digest : "");
    assert_string_equal(run.text, digest ? uuid : "");
}

static void requests_are_known_by_their_keys(void **state)
{
    struct fixture *f = *state;
    const char *digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    check_request(f, "key", NULL, NULL);
    OK(store_begin(f->store, e));
    OK(store_add_request(f->store, "key", digest, f->run, e));
    REFUSED(ERR_CONFLICT, store_add_request(f->store, "key", "other", f->run, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    reopen(f);
    check_request(f, "key", digest, a_run.uuid);
    check_request(f, "Key", NULL, NULL); /* they are bytes */
    check_request(f, "' OR 1=1 --", NULL, NULL);
}

/* ---- whose turn it is ---- */

static void check_place(struct fixture *f, int64_t id, const struct store_run *like,
                        uint32_t position, const char *waiting_for)
{
    struct store_run run = *like;
    struct store_place place;

    run.id = id;
    OK(store_place(f->store, &run, &place, e));
    assert_int_equal(place.position, position);
    assert_string_equal(place.waiting_for.text, waiting_for);
}

static void runs_that_wait_have_a_place(void **state)
{
    struct fixture *f = *state;
    struct store_run run = a_run;
    const char *uuids[] = {a_run.uuid, "r2", "r3", "r4", "r5", "r6"};
    const struct {
        const char *project, *pipeline, *job;
    } rows[] = {{"/projects/one", "p2", ""},
                {"/projects/two", "p1", ""},
                {"/projects/one", "p1", "job"},
                {"/projects/one", "p1", ""},
                {"/projects/one", "p1", "job"}};

    for (unsigned i = 0; i < 5; i++) {
        run.uuid = uuids[i + 1];
        run.project = rows[i].project;
        run.pipeline_uuid = rows[i].pipeline;
        run.job_uuid = rows[i].job;
        add_run(f->store, &run);
    }
    run = a_run;
    check_place(f, 1, &run, 1, "");
    check_place(f, 5, &run, 4, a_run.uuid); /* the same project and pipeline, and no job's */
    run.pipeline_uuid = "p2";
    check_place(f, 2, &run, 2, "");
    run = a_run;
    run.project = "/projects/two";
    check_place(f, 3, &run, 3, "");
    run = a_run;
    run.job_uuid = "job";
    check_place(f, 4, &run, 1, "");
    check_place(f, 6, &run, 2, "");
    /* One that goes on takes no place, but is waited for; one that has ended is not. */
    run = a_run;
    OK(store_begin(f->store, e));
    OK(store_set_run(f->store, 1, STATUS_STARTED, CAUSE_NONE, 5, 0, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    check_place(f, 5, &run, 3, a_run.uuid);
    OK(store_begin(f->store, e));
    OK(store_set_run(f->store, 1, STATUS_SUCCESS, CAUSE_NONE, 5, 6, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    check_place(f, 5, &run, 3, "");
}

static void no_place_is_counted_beyond_the_last(void **state)
{
    struct fixture *f = *state;
    struct store_run run = a_run;

    for (int i = 2; i <= STORE_PLACE_MAX + 5; i++) {
        char uuid[16];
        snprintf(uuid, sizeof uuid, "r%d", i);
        run.uuid = uuid;
        add_run(f->store, &run);
    }
    check_place(f, STORE_PLACE_MAX - 1, &run, STORE_PLACE_MAX - 1, a_run.uuid);
    check_place(f, STORE_PLACE_MAX, &run, STORE_PLACE_MAX, a_run.uuid);
    check_place(f, STORE_PLACE_MAX + 5, &run, STORE_PLACE_MAX, a_run.uuid);
}

/* ---- the newest event ---- */

static void the_newest_event_is_known(void **state)
{
    struct fixture *f = *state;
    int64_t id = -1;

    OK(store_last_event(f->store, &id, e));
    assert_int_equal(id, 0);
    OK(try_batch(f->store, f->run, STORE_LAZY, e));
    OK(store_last_event(f->store, &id, e));
    assert_int_equal(id, 3);
}

/* ---- ends of runs ---- */

static int copy_finished(void *data, const struct store_finished *finished, struct err *e)
{
    (void)e;
    buf_printf(data, "%lld %s '%s' %s '%s' %lld;", (long long)finished->id, finished->run_uuid,
               finished->job_uuid, status_name(finished->status), cause_name(finished->cause),
               (long long)finished->time);
    return 0;
}

static int no_more(void *data, const struct store_finished *finished, struct err *e)
{
    (void)finished, (void)e;
    ++*(unsigned *)data;
    return 1;
}

static int64_t end_run(struct fixture *f, int64_t run, enum status status, enum cause cause)
{
    const struct run_event event = {.kind = EVENT_RUN_FINISHED,
                                    .step = STEP_NONE,
                                    .status = status,
                                    .cause = cause,
                                    .time = 1000 + run};
    int64_t id = 0;

    OK(store_begin(f->store, e));
    OK(store_add_event(f->store, run, &event, NULL, &id, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    return id;
}

static void ends_of_runs_are_followed(void **state)
{
    struct fixture *f = *state;
    struct store_run run = a_run;
    auto_buf struct buf got = {0};
    unsigned seen = 0;
    struct err ignored;

    run.uuid = "r2";
    run.job_uuid = "j1";
    add_run(f->store, &run);
    run.uuid = "r3";
    add_run(f->store, &run);
    OK(try_batch(f->store, 1, STORE_LAZY, e));
    assert_int_equal(end_run(f, 2, STATUS_FAILURE, CAUSE_TIMEOUT), 4);
    OK(try_batch(f->store, 1, STORE_LAZY, e));
    assert_int_equal(end_run(f, 3, STATUS_ABORTED, CAUSE_CANCELLED), 8);
    assert_int_equal(end_run(f, 1, STATUS_SUCCESS, CAUSE_NONE), 9);
    OK(store_finished_after(f->store, 0, 10, copy_finished, &got, e));
    assert_string_equal(buf_text(&got),
                        "4 r2 'j1' FAILURE 'timeout' 1002;"
                        "8 r3 'j1' ABORTED 'cancelled' 1003;"
                        "9 11111111-0000-4000-8000-000000000000 '' SUCCESS '' 1001;");
    buf_reset(&got);
    OK(store_finished_after(f->store, 4, 1, copy_finished, &got, e));
    assert_string_equal(buf_text(&got), "8 r3 'j1' ABORTED 'cancelled' 1003;");
    buf_reset(&got);
    OK(store_finished_after(f->store, 9, 10, copy_finished, &got, e));
    assert_string_equal(buf_text(&got), "");
    assert_int_equal(store_finished_after(f->store, 0, 10, no_more, &seen, &ignored), 1);
    assert_int_equal(seen, 1);
    raw(f->path, "UPDATE events SET status='WON' WHERE id=4");
    const char *text =
        REFUSED(ERR_IO, store_finished_after(f->store, 0, 10, copy_finished, &got, e));
    assert_non_null(strstr(text, "is damaged"));
}

static void ends_of_deleted_runs_are_passed_over(void **state)
{
    struct fixture *f = *state;
    struct store_run run = a_run;
    auto_buf struct buf got = {0};
    int64_t id;

    run.uuid = "r2";
    add_run(f->store, &run);
    end_run(f, 1, STATUS_SUCCESS, CAUSE_NONE);
    end_run(f, 2, STATUS_SUCCESS, CAUSE_NONE);
    OK(store_begin(f->store, e));
    OK(store_delete_run(f->store, 1, a_run.uuid, 1, &id, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    OK(store_finished_after(f->store, 0, 1, copy_finished, &got, e));
    assert_string_equal(buf_text(&got), "2 r2 '' SUCCESS '' 1002;");
}

/* ---- deleting ---- */

/* Everything that a run may leave in the file. */
static int64_t add_full_run(struct fixture *f, const char *uuid)
{
    struct store_run run = a_run;
    struct store_attempt attempt = {.step = 0, .attempt = 1, .mark = "m"};
    auto_free char *key = mem_printf("key of %s", uuid);

    run.uuid = uuid;
    int64_t id = add_run(f->store, &run);
    OK(try_batch(f->store, id, STORE_LAZY, e));
    OK(store_begin(f->store, e));
    OK(store_add_attempt(f->store, id, &attempt, e));
    OK(store_set_sources(f->store, id, "[]", e));
    OK(store_add_request(f->store, key, "digest", id, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    return id;
}

static int64_t count_rows(struct fixture *f, int64_t run)
{
    static const char *const tables[] = {"steps",  "attempts", "events",
                                         "frozen", "sources",  "requests"};
    sqlite3 *db = NULL;
    int64_t count = 0;

    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++) {
        auto_free char *sql =
            mem_printf("SELECT count(*) FROM %s WHERE run=%lld", tables[i], (long long)run);
        sqlite3_stmt *statement = NULL;
        assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        count += sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    return count;
}

static int64_t delete_run(struct fixture *f, int64_t run, const char *uuid)
{
    int64_t id = 0;

    OK(store_begin(f->store, e));
    OK(store_delete_run(f->store, run, uuid, 1700000002000, &id, e));
    OK(store_commit(f->store, STORE_DURABLE, e));
    return id;
}

static int shred(struct fixture *f, int64_t run, uint32_t limit)
{
    struct err why = {0};

    OK(store_begin(f->store, e));
    int removed = store_shred(f->store, run, limit, &why);
    OK(store_commit(f->store, STORE_LAZY, e));
    return removed;
}

static const char GONE[] = "22222222-0000-4000-8000-000000000000";

static void a_deleted_run_is_in_no_list(void **state)
{
    struct fixture *f = *state;
    int64_t run = add_full_run(f, GONE);
    auto_buf struct buf got = {0};
    struct store_trash trash = {0};
    struct err ignored;

    int64_t event = delete_run(f, run, GONE);
    OK(store_runs(f->store, &(struct store_filter){0}, list_run, &got, e));
    assert_string_equal(buf_text(&got), "1 ");
    REFUSED(ERR_NOT_FOUND, store_run(f->store, GONE, list_run, &got, e));
    REFUSED(ERR_NOT_FOUND, store_frozen(f->store, run, copy_frozen, &got, e));
    check_request(f, "key of 22222222-0000-4000-8000-000000000000", NULL, NULL);
    buf_reset(&got);
    OK(store_events_after(f->store, event - 1, run, 10, copy_event, &got, e));
    auto_free char *expected =
        mem_printf("%lld  '' run_deleted -1 0 1700000002000 '' '' 0 '{\"run_uuid\":\"%s\"}' 0+0;",
                   (long long)event, GONE);
    assert_string_equal(buf_text(&got), expected);
    assert_int_equal(store_next_trash(f->store, 0, &trash, &ignored), 1);
    assert_int_equal(trash.run, run);
    assert_string_equal(trash.run_uuid.text, GONE);
    assert_int_equal(store_next_trash(f->store, trash.id, &trash, &ignored), 0);
}

static void it_is_shredded_in_pieces(void **state)
{
    struct fixture *f = *state;
    int64_t run = add_full_run(f, GONE);
    struct store_trash trash;
    struct err ignored;

    for (int i = 0; i < 3; i++)
        OK(try_batch(f->store, run, STORE_LAZY, e));
    add_full_run(f, "r3");
    int64_t others = count_rows(f, 1) + count_rows(f, 3);
    delete_run(f, run, GONE);
    assert_int_equal(shred(f, run, 5), 5);
    reopen(f); /* whoever comes next goes on */
    assert_int_equal(shred(f, run, 5), 5);
    assert_int_equal(shred(f, run, 5), 2);
    assert_int_equal(shred(f, run, 5), 0);
    assert_int_equal(shred(f, run, 5), 0);
    assert_int_equal(count_rows(f, run), 1); /* run_deleted */
    assert_int_equal(count_rows(f, 1) + count_rows(f, 3), others);
    assert_int_equal(store_next_trash(f->store, 0, &trash, &ignored), 1);
    OK(store_begin(f->store, e));
    OK(store_forget_trash(f->store, run, e));
    OK(store_forget_trash(f->store, run, e)); /* twice is fine */
    OK(store_commit(f->store, STORE_LAZY, e));
    assert_int_equal(store_next_trash(f->store, 0, &trash, &ignored), 0);
}

static void numbers_of_deleted_runs_are_never_given_again(void **state)
{
    struct fixture *f = *state;
    int64_t run = add_full_run(f, GONE);
    struct store_run again = a_run;

    delete_run(f, run, GONE);
    while (shred(f, run, 100) > 0)
        ;
    reopen(f);
    again.uuid = GONE;
    assert_int_equal(add_run(f->store, &again), run + 1);
}

/* ---- a copy ---- */

static void a_copy_is_the_database_as_of_now(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/copy.db", f->dir);
    auto_buf struct buf got = {0};
    auto_store struct store *copy = NULL;
    struct stat info;

    OK(try_batch(f->store, f->run, STORE_LAZY, e));
    OK(store_copy(f->store, path, e));
    OK(try_batch(f->store, f->run, STORE_LAZY, e));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    OK(store_open(path, STORE_WRITE, &copy, e));
    assert_int_equal(events_in(copy), 3);
    OK(store_run(copy, a_run.uuid, list_run, &got, e));
    assert_string_equal(buf_text(&got), "1 ");
    OK(try_batch(copy, f->run, STORE_DURABLE, e)); /* it can be gone on with */
    assert_int_equal(events_in(copy), 6);
    REFUSED(ERR_IO, store_copy(f->store, f->path, e)); /* over nothing that is there */
    assert_int_equal(events_in(f->store), 6);
}

static void a_probe_tells_whether_it_can_be_written(void **state)
{
    struct fixture *f = *state;

    OK(store_begin(f->store, e));
    OK(store_probe(f->store, e));
    OK(store_commit(f->store, STORE_LAZY, e));
    disk.fail_write = 1;
    disk.fail_code = SQLITE_FULL;
    disk.writes = 0;
    OK(store_begin(f->store, e));
    OK(store_probe(f->store, e));
    REFUSED(ERR_NO_SPACE, store_commit(f->store, STORE_LAZY, e));
    store_rollback(f->store);
    memset(&disk, 0, sizeof disk);
    reopen(f);
}

/* ---- older files ---- */

/* As version 1 made it. */
static const char version_1[] =
    "CREATE TABLE runs("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT NOT NULL UNIQUE, status TEXT NOT NULL,"
    " cause TEXT NOT NULL, created_time INTEGER NOT NULL, started_time INTEGER NOT NULL,"
    " finished_time INTEGER NOT NULL, step_count INTEGER NOT NULL, project TEXT NOT NULL,"
    " pipeline_path TEXT NOT NULL, pipeline_uuid TEXT NOT NULL, pipeline_name TEXT NOT NULL,"
    " run_type TEXT NOT NULL, job_uuid TEXT NOT NULL, rerun_of TEXT NOT NULL,"
    " images TEXT NOT NULL, options TEXT NOT NULL, uuids TEXT NOT NULL,"
    " parameters TEXT NOT NULL, definition BLOB NOT NULL);"
    "CREATE INDEX runs_open ON runs(id) WHERE finished_time=0;"
    "CREATE INDEX runs_status ON runs(status);"
    "CREATE INDEX runs_project ON runs(project);"
    "CREATE INDEX runs_pipeline ON runs(pipeline_uuid);"
    "CREATE INDEX runs_job ON runs(job_uuid) WHERE job_uuid<>'';"
    "CREATE TABLE steps("
    " run INTEGER NOT NULL, step INTEGER NOT NULL, status TEXT NOT NULL, cause TEXT NOT NULL,"
    " attempt INTEGER NOT NULL, cells_total INTEGER NOT NULL, cells_done INTEGER NOT NULL,"
    " started_time INTEGER NOT NULL, finished_time INTEGER NOT NULL, uuid TEXT NOT NULL,"
    " title TEXT NOT NULL, file_path TEXT NOT NULL, failure TEXT NOT NULL,"
    " PRIMARY KEY(run, step)) WITHOUT ROWID;"
    "CREATE TABLE attempts("
    " run INTEGER NOT NULL, step INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " mark TEXT NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY(run, step, attempt)) WITHOUT ROWID;"
    "CREATE TABLE events("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, run INTEGER NOT NULL, step INTEGER, attempt INTEGER,"
    " time INTEGER NOT NULL, event TEXT NOT NULL, status TEXT, cause TEXT, retry_at INTEGER,"
    " offset INTEGER, length INTEGER, payload TEXT);"
    "CREATE INDEX events_run ON events(run);"
    "CREATE INDEX events_state ON events(run) WHERE length IS NULL;"
    "PRAGMA user_version=1;"
    "INSERT INTO runs VALUES(41, 'old', 'SUCCESS', '', 10, 11, 12, 1, '/projects/one', 'p.json',"
    " 'p1', 'First', 'full', '', '', '{}', '{}', '[]', '{}', CAST('{\"steps\": {}}' AS BLOB));"
    "INSERT INTO steps VALUES(41, 0, 'SUCCESS', '', 1, 2, 2, 11, 12, 's', 'T', 't.ipynb', '');"
    "INSERT INTO attempts VALUES(41, 0, 1, 'mark', 77);"
    "INSERT INTO events VALUES(5, 41, NULL, NULL, 10, 'run_queued', NULL, NULL, NULL, NULL, NULL,"
    " NULL);"
    "INSERT INTO events VALUES(6, 41, 0, 1, 11, 'output', NULL, NULL, NULL, 0, 77, NULL);";

static void a_file_of_version_1_is_brought_up_to_date(void **state)
{
    struct fixture *f = *state;
    auto_free char *path = mem_printf("%s/old.db", f->dir);
    auto_buf struct buf got = {0};
    auto_store struct store *store = NULL;
    struct store *reader = NULL;
    struct store_attempt attempt;
    struct err ignored;

    raw(path, version_1);
    const char *text = REFUSED(ERR_INVALID, store_open(path, STORE_READ, &reader, e));
    assert_non_null(strstr(text, "version 1"));
    OK(store_open(path, STORE_WRITE, &store, e));
    OK(store_runs(store, &(struct store_filter){0}, copy_run, &got, e));
    assert_string_equal(buf_text(&got), "41 old /projects/one p.json p1 First full [] {} {} {} "
                                        "||SUCCESS  10 11 12 1;");
    buf_reset(&got);
    assert_int_equal(store_frozen(store, 41, copy_frozen, &got, &ignored), 7);
    assert_non_null(strstr(buf_text(&got), " {\"steps\": {}}"));
    buf_reset(&got);
    OK(store_steps(store, 41, copy_step, &got, e));
    assert_string_equal(buf_text(&got), "0 s T t.ipynb SUCCESS  1 2 2 11 12 ;");
    OK(store_attempt(store, 41, 0, 1, &attempt, e));
    assert_int_equal(attempt.offset, 77);
    assert_int_equal(events_in(store), 2);
    assert_int_equal(add_run(store, &a_run), 42);
    OK(try_batch(store, 42, STORE_DURABLE, e));
    OK(store_open(path, STORE_READ, &reader, e)); /* now it can be read */
    store_close(reader);
}

/* Whichever write fails: it is a file of version 1, or one of today. */
static void an_update_that_fails_leaves_the_file_as_it_was(void **state)
{
    struct fixture *f = *state;

    for (unsigned n = 1;; n++) {
        auto_free char *path = mem_printf("%s/old-%u.db", f->dir, n);
        auto_buf struct buf got = {0};
        auto_store struct store *store = NULL;
        struct err why, ignored;
        raw(path, version_1);
        memset(&disk, 0, sizeof disk);
        disk.fail_write = n;
        disk.fail_code = SQLITE_FULL;
        int result = store_open(path, STORE_WRITE, &store, &why);
        bool reached = disk.writes >= n;
        store_close(take_ptr(&store));
        memset(&disk, 0, sizeof disk);
        if (result < 0)
            assert_int_equal(why.code, ERR_NO_SPACE);
        OK(store_open(path, STORE_WRITE, &store, e));
        assert_int_equal(store_frozen(store, 41, copy_frozen, &got, &ignored), 7);
        assert_non_null(strstr(buf_text(&got), " {\"steps\": {}}"));
        assert_int_equal(events_in(store), 2);
        if (!reached) {
            assert_int_equal(result, 0);
            assert_true(n > 3); /* else this has tested nothing */
            return;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(run_comes_back_as_it_was),
        TEST(run_changes_status),
        TEST(runs_are_filtered),
        TEST(steps_come_back_as_they_were),
        TEST(attempts_keep_their_offset),
        TEST(events_come_back_as_they_were),
        TEST(events_are_read_from_a_cursor),
        TEST(ids_of_events_are_never_given_twice),
        TEST(run_is_rebuilt_from_the_store),
        TEST(log_with_an_unknown_event_is_damaged),
        TEST(what_is_not_committed_is_not_there),
        TEST(same_run_is_not_added_twice),
        TEST(readers_see_whole_transactions),
        TEST(durable_commits_sync_and_lazy_ones_do_not),
        TEST(kill_9_loses_nothing_that_was_committed),
        TEST(kill_9_inside_a_transaction_leaves_nothing_of_it),
        TEST(full_disk_refuses_and_recovers),
        TEST(failing_disk_refuses_and_recovers),
        TEST(full_disk_refuses_a_new_store),
        TEST(new_file_is_private),
        TEST(newer_database_is_refused),
        TEST(reader_makes_and_changes_no_file),
        TEST(damaged_header_is_refused),
        TEST(damaged_pages_are_reported),
        TEST(what_a_run_is_started_from_comes_back_to_the_byte),
        TEST(sources_are_kept),
        TEST(requests_are_known_by_their_keys),
        TEST(runs_that_wait_have_a_place),
        TEST(no_place_is_counted_beyond_the_last),
        TEST(the_newest_event_is_known),
        TEST(ends_of_runs_are_followed),
        TEST(ends_of_deleted_runs_are_passed_over),
        TEST(a_deleted_run_is_in_no_list),
        TEST(it_is_shredded_in_pieces),
        TEST(numbers_of_deleted_runs_are_never_given_again),
        TEST(a_copy_is_the_database_as_of_now),
        TEST(a_probe_tells_whether_it_can_be_written),
        TEST(a_file_of_version_1_is_brought_up_to_date),
        TEST(an_update_that_fails_leaves_the_file_as_it_was),
    };
    return cmocka_run_group_tests(tests, faulty_disk_install, NULL);
}
