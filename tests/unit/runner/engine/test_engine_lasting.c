/* The engine of a service: commands from other threads, runs that wait for their turn, and engines
 * that go on with what an earlier one has left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/engine/engine.h"
#include "runner/engine/executed.h"
#include "runner/engine/pipeline_lock.h"
#include "runner/engine/results.h"
#include "runner/step/step.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"
#include "tests/unit/runner/store/faulty_disk.c"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RUNS_MAX     20

/* A real engine, real keepers and real scripts; this program is its own nursery. Scripts wait for
 * a line of the pipe "gate" in the project. */
struct world {
    char *root, *project, *database;
    struct loop *loop;
    struct state state;
    struct engine *engine;
    struct engine_limits limits[RUN_CLASS_COUNT];
    bool is_holding;
    int gate;
    char runs[RUNS_MAX][37]; /* as they came */
    int run_count;
    struct buf seen; /* "name number-of-run[:step] " of everything that people look at, in order */
    struct buf json; /* one event a line */
    int event_count;
    int failed, recovered;
    struct err failure;
};

/* --- what is told --- */

static int number_of(struct world *world, const char *run_uuid)
{
    for (int i = 0; i < world->run_count; i++)
        if (strcmp(world->runs[i], run_uuid) == 0)
            return i + 1;
    assert_true(world->run_count < RUNS_MAX);
    strcpy(world->runs[world->run_count++], run_uuid);
    return world->run_count;
}

static void on_event(void *user, const struct engine_event *event)
{
    struct world *world = user;
    int run = number_of(world, event->run_uuid);

    if (*event->event) {
        buf_printf(&world->seen, "%s %d", event->event, run);
        if (event->step != STEP_NONE)
            buf_printf(&world->seen, ":%u", event->step);
        buf_puts(&world->seen, "; ");
    }
    buf_puts(&world->json, event->json);
    buf_putc(&world->json, '\n');
    world->event_count++;
}

static void on_failed(void *user, const struct err *e)
{
    struct world *world = user;

    world->failed++;
    world->failure = *e;
}

static void on_recovered(void *user)
{
    struct world *world = user;

    world->recovered++;
}

/* --- life --- */

static void open_engine(struct world *world)
{
    static const char *const nursery[] = {"/proc/self/exe", "nursery", NULL};
    static const struct engine_events events = {
        .event = on_event, .failed = on_failed, .recovered = on_recovered};
    struct engine_options options = {.loop = world->loop,
                                     .state = &world->state,
                                     .sdk_dir = world->project,
                                     .nursery_argv = nursery,
                                     .limits = {world->limits[0], world->limits[1]},
                                     .life = ENGINE_LASTING,
                                     .is_holding = world->is_holding,
                                     .life_fd = -1};
    struct err e;

    if (engine_open(&world->engine, &options, &events, world, &e) < 0)
        fail_msg("%s", e.text);
}

static void close_engine(struct world *world)
{
    engine_close(take_ptr(&world->engine));
}

static void reopen_engine(struct world *world)
{
    close_engine(world);
    open_engine(world);
}

static void make_gate(struct world *world)
{
    auto_free char *gate = fs_join(world->project, "gate");

    assert_int_equal(mkfifo(gate, 0666), 0);
    world->gate = open(gate, O_RDWR | O_CLOEXEC);
    assert_true(world->gate >= 0);
}

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    world->project = fs_join(world->root, "project");
    world->loop = loop_new();
    world->limits[RUN_INTERACTIVE] = (struct engine_limits){.runs = 4, .steps = 4};
    world->limits[RUN_BACKGROUND] = (struct engine_limits){.runs = 4, .steps = 4};
    assert_int_equal(fs_mkdirs(world->project, 0755, &e), 0);
    assert_int_equal(state_open(&world->state, world->root, &e), 0);
    world->database = fs_join(world->state.dir, "segue.db");
    make_gate(world);
    scratch_put(world->project, "wait.sh",
                "echo $SEGUE_STEP_UUID >>done; echo up; read line <gate");
    scratch_put(world->project, "note.sh", "echo $SEGUE_STEP_UUID >>done");
    scratch_put(world->project, "bad.sh", "exit 5");
    scratch_put(world->project, "keeper.sh", "echo $PPID >keeper; echo up; read line <gate");
    memset(&disk, 0, sizeof disk);
    alarm(240); /* what is waited for in vain ends the program */
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    memset(&disk, 0, sizeof disk);
    engine_close(world->engine);
    for (int i = 0; i < world->run_count; i++) /* what a test has left running */
        child_kill_marked("SEGUE_RUN_UUID", world->runs[i]);
    close(world->gate);
    state_close(&world->state);
    loop_free(world->loop);
    buf_clear(&world->seen);
    buf_clear(&world->json);
    free(world->database);
    free(world->project);
    scratch_free(world->root);
    free(world);
    alarm(0);
    return 0;
}

/* --- waiting --- */

static int count_of(const struct world *world, const char *text)
{
    int count = 0;

    for (const char *at = buf_text(&world->seen); (at = strstr(at, text)); at++)
        count++;
    return count;
}

static bool has_seen(const struct world *world, const char *text)
{
    return count_of(world, text) > 0;
}

static void wait_for_count(struct world *world, const char *text, int count)
{
    while (count_of(world, text) < count)
        loop_dispatch(world->loop, -1);
}

static void wait_for(struct world *world, const char *text)
{
    wait_for_count(world, text, 1);
}

static void release(struct world *world, int count)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(write(world->gate, "\n", 1), 1);
}

struct reply {
    bool is_done, has_error, is_repeated;
    struct err error;
    char run_uuid[37];
};

static void on_reply(void *user, const struct engine_reply *given)
{
    struct reply *reply = user;

    assert_false(reply->is_done); /* once */
    reply->is_done = true;
    reply->has_error = given->error != NULL;
    if (given->error)
        reply->error = *given->error;
    reply->is_repeated = given->is_repeated;
    strcpy(reply->run_uuid, given->run_uuid);
}

static void wait_for_reply(struct world *world, const struct reply *reply)
{
    while (!reply->is_done)
        loop_dispatch(world->loop, -1);
}

/* --- asking: from a thread that is not the engine's --- */

struct asking {
    struct engine *engine;
    enum { ASK_SUBMIT, ASK_CANCEL, ASK_DELETE } what;
    struct submission *submission;
    const struct request_key *key;
    const char *run_uuid;
    struct reply *reply;
};

static void *ask_now(void *user)
{
    struct asking *asking = user;
    struct reply *reply = asking->reply;
    struct err e;
    int result = -1;

    switch (asking->what) {
    case ASK_SUBMIT:
        result = engine_post_submit(asking->engine, asking->submission, asking->key, on_reply,
                                    reply, &e);
        break;
    case ASK_CANCEL:
        result = engine_post_cancel(asking->engine, asking->run_uuid, on_reply, reply, &e);
        break;
    case ASK_DELETE:
        result = engine_post_delete(asking->engine, asking->run_uuid, on_reply, reply, &e);
        break;
    }
    return result == 0 ? NULL : user;
}

static void ask(struct world *world, struct asking asking, struct reply *reply)
{
    pthread_t thread;
    void *failed;

    *reply = (struct reply){0};
    asking.engine = world->engine;
    asking.reply = reply;
    assert_int_equal(pthread_create(&thread, NULL, ask_now, &asking), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
}

static void post_submit(struct world *world, const char *definition, struct request wish,
                        const struct request_key *key, struct reply *reply)
{
    ask(world,
        (struct asking){.what = ASK_SUBMIT,
                        .submission = submission_of(world->project, definition, wish),
                        .key = key},
        reply);
}

static void check_done(const struct reply *reply)
{
    if (reply->has_error)
        fail_msg("%s", reply->error.text);
}

/* Gives the run's number. */
static int submit(struct world *world, const char *definition)
{
    struct reply reply;

    post_submit(world, definition, (struct request){0}, NULL, &reply);
    wait_for_reply(world, &reply);
    check_done(&reply);
    return number_of(world, reply.run_uuid);
}

static struct reply about(struct world *world, int what, const char *run_uuid)
{
    struct reply reply;

    ask(world, (struct asking){.what = what, .run_uuid = run_uuid}, &reply);
    wait_for_reply(world, &reply);
    return reply;
}

static struct reply cancel(struct world *world, int run)
{
    return about(world, ASK_CANCEL, world->runs[run - 1]);
}

static struct reply delete_run(struct world *world, int run)
{
    return about(world, ASK_DELETE, world->runs[run - 1]);
}

static void check_refused(struct reply reply, enum err_code code, const char *part)
{
    assert_true(reply.has_error);
    if (reply.error.code != code || !strstr(reply.error.text, part))
        fail_msg("%s: %s", err_name(reply.error.code), reply.error.text);
}

/* --- what is on disk --- */

static int copy_status(void *data, const struct store_run *run, struct err *e)
{
    (void)e;
    buf_printf(data, "%s %s", status_name(run->status), cause_name(run->cause));
    return 0;
}

static void check_run(struct world *world, int run, const char *expected)
{
    auto_store struct store *store = NULL;
    auto_buf struct buf got = {0};
    struct err e;

    if (store_open(world->database, STORE_READ, &store, &e) < 0 ||
        store_run(store, world->runs[run - 1], copy_status, &got, &e) < 0)
        fail_msg("%s", e.text);
    if (strcmp(got.data, expected) != 0)
        fail_msg("run %d: %s\n%s", run, got.data, buf_text(&world->json));
}

static void check_file(const struct world *world, const char *name, const char *expected)
{
    auto_free char *text = scratch_read(world->project, name);

    if (strcmp(text, expected) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", name, text, expected);
}

static int put_event(void *data, const struct store_event *event, struct err *e)
{
    (void)e;
    buf_printf(data, "%s %s %u %s %s; ", event->event, event->step_uuid, event->attempt,
               event->status, event->cause);
    return 0;
}

/* The log, without ids and times. free() it. */
static char *stored_events(const struct world *world)
{
    auto_store struct store *store = NULL;
    struct buf got = {0};
    struct err e;

    if (store_open(world->database, STORE_READ, &store, &e) < 0 ||
        store_events_after(store, 0, 0, 100000, put_event, &got, &e) < 0)
        fail_msg("%s", e.text);
    return buf_take(&got);
}

#define STEP(uuid, file, more) "'" uuid "':{'title':'" uuid "','file_path':'" file "'" more "}"
#define AFTER(uuids)           ",'incoming_connections':[" uuids "]"
#define PIPELINE(uuid, steps)  "{'uuid':'" uuid "','steps':{" steps "}}"
#define ONE(uuid, file)        PIPELINE(uuid, STEP("a", file, ""))

/* --- asking for runs --- */

static void a_run_is_asked_for_from_another_thread(void **at)
{
    struct world *world = *at;

    open_engine(world);
    int run = submit(world, ONE("p", "note.sh"));
    check_run(world, run, "STARTED ");
    wait_for(world, "run_finished 1");
    assert_string_equal(world->seen.data, "run_queued 1; run_started 1; step_started 1:0; "
                                          "step_finished 1:0; run_finished 1; ");
    check_run(world, run, "SUCCESS ");
    check_file(world, "done", "a\n");
}

static struct reply submit_with_key(struct world *world, const char *key, const char *digest)
{
    struct request_key request = {.key = (char *)key};
    struct reply reply;

    strcpy(request.digest, digest);
    post_submit(world, ONE("p", "note.sh"), (struct request){0}, &request, &reply);
    wait_for_reply(world, &reply);
    return reply;
}

static void asked_again_a_request_makes_no_second_run(void **at)
{
    struct world *world = *at;

    open_engine(world);
    struct reply first = submit_with_key(world, "key", "digest");
    check_done(&first);
    assert_false(first.is_repeated);
    for (int i = 0; i < 3; i++) {
        struct reply again = submit_with_key(world, "key", "digest");
        check_done(&again);
        assert_true(again.is_repeated);
        assert_string_equal(again.run_uuid, first.run_uuid);
        reopen_engine(world); /* the next one remembers */
    }
    check_refused(submit_with_key(world, "key", "another"), ERR_INVALID, "\"key\"");
    struct reply other = submit_with_key(world, "Key", "digest");
    check_done(&other);
    assert_false(other.is_repeated);
    wait_for_count(world, "run_finished", 2);
    assert_int_equal(world->run_count, 2);
    check_file(world, "done", "a\na\n");
}

/* All of them are there before the engine looks. */
static void the_same_key_comes_twice_at_once(void **at)
{
    struct world *world = *at;
    struct request_key key = {.key = (char[]){"key"}, .digest = "1"};
    struct request_key other = {.key = (char[]){"key"}, .digest = "2"};
    struct reply replies[3];

    open_engine(world);
    post_submit(world, ONE("p", "note.sh"), (struct request){0}, &key, &replies[0]);
    post_submit(world, ONE("p", "note.sh"), (struct request){0}, &key, &replies[1]);
    post_submit(world, ONE("p", "note.sh"), (struct request){0}, &other, &replies[2]);
    wait_for_reply(world, &replies[2]);
    check_done(&replies[0]);
    check_done(&replies[1]);
    assert_false(replies[0].is_repeated);
    assert_true(replies[1].is_repeated);
    assert_string_equal(replies[0].run_uuid, replies[1].run_uuid);
    check_refused(replies[2], ERR_INVALID, "\"key\"");
    wait_for(world, "run_finished 1");
    check_file(world, "done", "a\n");
}

static void the_key_of_a_deleted_run_is_free(void **at)
{
    struct world *world = *at;

    open_engine(world);
    struct reply first = submit_with_key(world, "key", "1");
    wait_for(world, "run_finished 1");
    struct reply deleted = delete_run(world, 1);
    check_done(&deleted);
    struct reply second = submit_with_key(world, "key", "2");
    check_done(&second);
    assert_false(second.is_repeated);
    assert_string_not_equal(second.run_uuid, first.run_uuid);
}

static void closing_answers_who_waits(void **at)
{
    struct world *world = *at;
    struct reply replies[2];

    open_engine(world);
    post_submit(world, ONE("p", "note.sh"), (struct request){0}, NULL, &replies[0]);
    ask(world, (struct asking){.what = ASK_CANCEL, .run_uuid = "x"}, &replies[1]);
    close_engine(world);
    for (int i = 0; i < 2; i++) {
        assert_true(replies[i].is_done);
        check_refused(replies[i], ERR_UNAVAILABLE, "stopping");
    }
    open_engine(world); /* it was refused, so it is not there */
    submit(world, ONE("p", "note.sh"));
    wait_for(world, "run_finished");
    assert_int_equal(world->run_count, 1);
}

enum { ASKERS = 4, EACH = 15 };

static void *ask_many(void *user)
{
    struct asking *askings = user;

    for (int i = 0; i < EACH; i++)
        if (ask_now(&askings[i]))
            return user;
    return NULL;
}

static void many_threads_ask_at_once(void **at)
{
    struct world *world = *at;
    pthread_t threads[ASKERS];
    struct asking askings[ASKERS][EACH];
    struct reply replies[ASKERS][EACH] = {0};
    int failed = 0;

    world->is_holding = true;
    open_engine(world);
    for (int i = 0; i < ASKERS * EACH; i++)
        askings[i / EACH][i % EACH] = (struct asking){.engine = world->engine,
                                                      .what = ASK_CANCEL,
                                                      .run_uuid = "nobody",
                                                      .reply = &replies[i / EACH][i % EACH]};
    for (int i = 0; i < ASKERS; i++) {
        askings[i][0].what = ASK_SUBMIT;
        askings[i][0].submission =
            submission_of(world->project, ONE("p", "note.sh"), (struct request){0});
        assert_int_equal(pthread_create(&threads[i], NULL, ask_many, askings[i]), 0);
    }
    for (int i = 0; i < ASKERS * EACH; i++)
        wait_for_reply(world, &replies[i / EACH][i % EACH]);
    for (int i = 0; i < ASKERS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
        check_done(&replies[i][0]);
        for (int k = 1; k < EACH; k++)
            failed += replies[i][k].error.code == ERR_NOT_FOUND;
    }
    assert_int_equal(failed, ASKERS * (EACH - 1));
    assert_int_equal(world->run_count, ASKERS);
}

/* --- cancelling and deleting --- */

static void a_run_that_waits_is_cancelled(void **at)
{
    struct world *world = *at;

    world->is_holding = true;
    open_engine(world);
    int run = submit(
        world, PIPELINE("p", STEP("a", "note.sh", "") "," STEP("b", "note.sh", AFTER("'a'"))));
    struct reply reply = cancel(world, run);
    check_done(&reply);
    assert_string_equal(world->seen.data,
                        "run_queued 1; cancel_requested 1; step_finished 1:0; step_finished 1:1; "
                        "run_finished 1; ");
    check_run(world, run, "ABORTED cancelled");
    check_refused(cancel(world, run), ERR_CONFLICT, "ABORTED");
    world->is_holding = false;
    reopen_engine(world);
    submit(world, ONE("p", "note.sh"));
    wait_for(world, "run_finished 2");
    check_file(world, "done", "a\n");
}

static void a_run_that_goes_on_is_cancelled(void **at)
{
    struct world *world = *at;

    open_engine(world);
    int run = submit(world, ONE("p", "wait.sh"));
    wait_for(world, "output");
    for (int i = 0; i < 2; i++) { /* twice is fine */
        struct reply reply = cancel(world, run);
        check_done(&reply);
    }
    wait_for(world, "run_finished 1");
    assert_int_equal(count_of(world, "cancel_requested"), 1);
    check_run(world, run, "ABORTED cancelled");
    check_refused(cancel(world, run), ERR_CONFLICT, "ABORTED");
}

static void who_is_not_there_cannot_be_cancelled_or_deleted(void **at)
{
    struct world *world = *at;

    open_engine(world);
    check_refused(about(world, ASK_CANCEL, "nobody"), ERR_NOT_FOUND, "nobody");
    check_refused(about(world, ASK_DELETE, ""), ERR_NOT_FOUND, "");
}

/* The run's directory and its line in the trash go a little later. */
static void wait_until_removed(struct world *world, int run)
{
    auto_free char *directory = state_run_dir(&world->state, world->runs[run - 1]);
    auto_store struct store *store = NULL;
    struct store_trash trash;
    struct err e;

    assert_int_equal(store_open(world->database, STORE_READ, &store, &e), 0);
    while (store_next_trash(store, 0, &trash, &e) == 1)
        loop_dispatch(world->loop, -1);
    assert_false(fs_exists(directory));
}

static void an_ended_run_is_deleted(void **at)
{
    struct world *world = *at;

    open_engine(world);
    int kept = submit(world, ONE("q", "note.sh"));
    int run = submit(world, ONE("p", "wait.sh"));
    auto_free char *directory = state_run_dir(&world->state, world->runs[run - 1]);
    auto_free char *other = state_run_dir(&world->state, world->runs[kept - 1]);
    wait_for(world, "output 2");
    check_refused(delete_run(world, run), ERR_CONFLICT, "cancel it first");
    release(world, 1);
    wait_for_count(world, "run_finished", 2);
    assert_true(fs_exists(directory));
    struct reply reply = delete_run(world, run);
    check_done(&reply);
    assert_true(has_seen(world, "run_deleted 2"));
    check_refused(delete_run(world, run), ERR_NOT_FOUND, "");
    check_refused(cancel(world, run), ERR_NOT_FOUND, "");
    wait_until_removed(world, run);
    assert_true(fs_exists(other));
    auto_free char *events = stored_events(world);
    assert_non_null(strstr(events, "run_deleted"));
    assert_null(strstr(events, "output"));
    check_run(world, kept, "SUCCESS ");
}

static void one_that_waits_is_not_deleted(void **at)
{
    struct world *world = *at;

    world->is_holding = true;
    open_engine(world);
    check_refused(delete_run(world, submit(world, ONE("p", "note.sh"))), ERR_CONFLICT, "");
}

/* An engine that was closed before everything was swept. */
static void the_next_engine_goes_on_sweeping(void **at)
{
    struct world *world = *at;

    open_engine(world);
    int run = submit(world, ONE("p", "note.sh"));
    wait_for(world, "run_finished 1");
    struct reply reply = delete_run(world, run);
    check_done(&reply);
    reopen_engine(world);
    wait_until_removed(world, run);
    auto_free char *events = stored_events(world);
    assert_string_equal(events, "run_deleted  0  ; ");
}

/* --- whose turn it is --- */

static void check_order(const struct world *world, const char *first, const char *second)
{
    const char *at = strstr(world->seen.data, first);

    if (!at || !strstr(at, second))
        fail_msg("\"%s\" is not before \"%s\" in %s", first, second, world->seen.data);
}

static void runs_of_one_pipeline_take_turns(void **at)
{
    struct world *world = *at;

    open_engine(world);
    submit(world, ONE("p", "wait.sh"));
    submit(world, ONE("p", "wait.sh"));
    submit(world, ONE("p", "wait.sh"));
    submit(world, ONE("q", "wait.sh"));
    wait_for(world, "output 1");
    wait_for(world, "output 4"); /* another pipeline's passes */
    assert_false(has_seen(world, "run_started 2"));
    assert_false(has_seen(world, "run_started 3"));
    release(world, 4);
    wait_for_count(world, "run_finished", 4);
    check_order(world, "run_finished 1", "run_started 2");
    check_order(world, "run_finished 2", "run_started 3");
}

/* It waits for something to happen, instead of trying again and again. */
static void check_comes_to_rest(struct world *world)
{
    struct pollfd fd = {loop_fd(world->loop), POLLIN, 0};

    for (int rounds = 0; poll(&fd, 1, 0) == 1; rounds++) {
        assert_true(rounds < 1000);
        loop_dispatch(world->loop, 0);
    }
}

/* Somebody else, of this machine, runs the pipeline on the same project. */
static void a_run_waits_for_one_outside_the_engine(void **at)
{
    struct world *world = *at;
    struct uuid key = results_key(world->project, "p");
    struct err e;

    int fd = pipeline_lock(world->root, &key, NULL, &e);
    assert_true(fd >= 0);
    open_engine(world);
    submit(world, ONE("p", "note.sh"));
    submit(world, ONE("p", "note.sh"));
    submit(world, ONE("q", "note.sh"));
    wait_for(world, "run_finished 3");
    assert_false(has_seen(world, "run_started 1"));
    check_comes_to_rest(world);
    struct reply reply = cancel(world, 2); /* what waits can be cancelled all the same */
    check_done(&reply);
    close(fd);
    wait_for(world, "run_finished 1");
    check_run(world, 1, "SUCCESS ");
    check_run(world, 2, "ABORTED cancelled");
    while ((fd = pipeline_try_lock(world->root, key.text, &e)) < 0)
        loop_dispatch(world->loop, -1); /* its keeper is just going */
    close(fd);
}

static void nobody_outside_begins_while_a_run_goes_on(void **at)
{
    struct world *world = *at;
    struct uuid key = results_key(world->project, "p");
    struct err e;

    open_engine(world);
    submit(world, ONE("p", "wait.sh"));
    wait_for(world, "output 1");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipeline_try_lock(world->root, key.text, &e), -1);
        assert_int_equal(e.code, ERR_CONFLICT);
        reopen_engine(world); /* nor while the next engine has it */
    }
    release(world, 1);
    wait_for(world, "run_finished 1");
}

static int submit_of_job(struct world *world, const char *job)
{
    struct reply reply;

    post_submit(world, ONE("p", "wait.sh"), (struct request){.job_uuid = job}, NULL, &reply);
    wait_for_reply(world, &reply);
    check_done(&reply);
    return number_of(world, reply.run_uuid);
}

static void classes_of_runs_have_limits_of_their_own(void **at)
{
    static const char job[] = "11111111-0000-4000-8000-000000000000";
    struct world *world = *at;

    world->limits[RUN_INTERACTIVE].runs = 1;
    world->limits[RUN_BACKGROUND].runs = 2;
    open_engine(world);
    for (int i = 0; i < 3; i++) /* runs of jobs go side by side, of the same pipeline too */
        submit_of_job(world, job);
    submit(world, ONE("p", "wait.sh"));
    submit(world, ONE("q", "wait.sh"));
    wait_for(world, "output 1");
    wait_for(world, "output 2");
    wait_for(world, "output 4");
    assert_false(has_seen(world, "run_started 3"));
    assert_false(has_seen(world, "run_started 5"));
    struct reply reply = cancel(world, 1);
    check_done(&reply);
    wait_for(world, "output 3");
    assert_false(has_seen(world, "run_started 5"));
    reply = cancel(world, 4);
    check_done(&reply);
    wait_for(world, "output 5");
    release(world, 3);
    wait_for_count(world, "run_finished", 5);
}

static void classes_of_steps_have_limits_of_their_own(void **at)
{
    static const char job[] = "11111111-0000-4000-8000-000000000000";
    struct world *world = *at;

    world->limits[RUN_INTERACTIVE].steps = 1;
    world->limits[RUN_BACKGROUND].steps = 1;
    open_engine(world);
    submit_of_job(world, job);
    submit_of_job(world, job);
    submit(world, ONE("p", "wait.sh"));
    submit(world, ONE("q", "wait.sh"));
    wait_for(world, "output 1");
    wait_for(world, "output 3");
    assert_int_equal(count_of(world, "run_started"), 4);
    assert_int_equal(count_of(world, "step_started"), 2);
    release(world, 4);
    wait_for_count(world, "run_finished", 4);
    check_order(world, "step_finished 1:0", "step_started 2:0");
    check_order(world, "step_finished 3:0", "step_started 4:0");
}

/* Its uuid is chosen before there is the run, so that it can be asked for again after a kill. */
static void a_job_asks_for_its_run_twice(void **at)
{
    static const struct request wish = {.job_uuid = "11111111-0000-4000-8000-000000000000",
                                        .run_uuid = "22222222-0000-4000-8000-000000000000"};
    struct world *world = *at;
    struct reply replies[2];

    open_engine(world);
    for (int i = 0; i < 2; i++) {
        post_submit(world, ONE("p", "note.sh"), wish, NULL, &replies[i]);
        wait_for_reply(world, &replies[i]);
        check_done(&replies[i]);
        assert_string_equal(replies[i].run_uuid, wish.run_uuid);
        assert_int_equal(replies[i].is_repeated, i == 1);
    }
    wait_for(world, "run_finished 1");
    reopen_engine(world);
    post_submit(world, ONE("p", "note.sh"), wish, NULL, &replies[1]);
    wait_for_reply(world, &replies[1]);
    check_done(&replies[1]);
    assert_true(replies[1].is_repeated);
    assert_int_equal(count_of(world, "run_queued"), 1);
    check_file(world, "done", "a\n");
}

/* On its copy, behind whoever waits, and its results are nobody's latest. */
static void a_run_of_a_job_keeps_to_itself(void **at)
{
    static const char look[] = "echo $SEGUE_PROJECT_DIR $(nice) >seen\n"
                               "mkdir -p $SEGUE_IO_DIR/a; echo '[]' >$SEGUE_IO_DIR/a/index.json";
    struct world *world = *at;
    auto_free char *copy = fs_join(world->root, "copy");
    struct uuid key = results_key(world->project, "p");
    struct reply reply;

    scratch_put(copy, "look.sh", look);
    scratch_put(world->project, "look.sh", look);
    open_engine(world);
    post_submit(
        world, ONE("p", "look.sh"),
        (struct request){.job_uuid = "11111111-0000-4000-8000-000000000000", .workspace = copy},
        NULL, &reply);
    wait_for_reply(world, &reply);
    check_done(&reply);
    wait_for(world, "run_finished 1");
    auto_free char *seen = scratch_read(copy, "seen");
    auto_free char *expected = mem_printf("%s %d\n", copy, getpriority(PRIO_PROCESS, 0) + 10);
    auto_free char *mine = fs_join(world->project, "seen");
    auto_free char *none = results_latest(world->root, &key, "a");
    assert_string_equal(seen, expected);
    assert_false(fs_exists(mine));
    assert_false(fs_exists(none));

    submit(world, ONE("p", "look.sh"));
    wait_for(world, "run_finished 2");
    auto_free char *live = mem_printf("%s %d\n", world->project, getpriority(PRIO_PROCESS, 0));
    auto_free char *latest = results_latest(world->root, &key, "a");
    check_file(world, "seen", live);
    assert_true(fs_exists(latest));
}

static void while_it_holds_nothing_begins(void **at)
{
    struct world *world = *at;

    world->is_holding = true;
    open_engine(world);
    submit(world, ONE("p", "note.sh"));
    submit(world, ONE("q", "note.sh"));
    assert_string_equal(world->seen.data, "run_queued 1; run_queued 2; ");
    check_run(world, 1, "PENDING ");
    auto_free char *directory = state_run_dir(&world->state, world->runs[0]);
    assert_false(fs_exists(directory)); /* nothing but rows */
    world->is_holding = false;
    reopen_engine(world);
    wait_for_count(world, "run_finished", 2);
    check_file(world, "done", "a\na\n");
}

/* The order is that of acceptance for the next engine too. */
static void the_next_engine_keeps_the_order(void **at)
{
    struct world *world = *at;

    world->limits[RUN_INTERACTIVE].runs = 1;
    open_engine(world);
    submit(world, ONE("p", "wait.sh"));
    wait_for(world, "output 1");
    submit(world, ONE("p", "note.sh"));
    submit(world, ONE("q", "note.sh"));
    reopen_engine(world);
    submit(world, ONE("p", "note.sh"));
    assert_int_equal(count_of(world, "run_started"), 1); /* the one that goes on still counts */
    release(world, 1);
    wait_for(world, "run_finished 4");
    check_order(world, "run_started 2", "run_started 3");
    check_order(world, "run_started 3", "run_started 4");
}

/* --- one engine after the other --- */

static const char chain[] =
    PIPELINE("p", STEP("a", "wait.sh", "") "," STEP("b", "wait.sh", AFTER("'a'")) "," STEP(
                      "c", "wait.sh", AFTER("'b'")));

/* Runs the chain; each script is let go as soon as its output was told. At the event number
 * `close_at` (0: never) the engine is closed and another one opened. */
static void run_chain(struct world *world, int close_at)
{
    int released = 0;
    bool was_closed = close_at == 0;

    open_engine(world);
    submit(world, chain);
    for (;;) {
        if (!was_closed && world->event_count >= close_at) {
            reopen_engine(world);
            was_closed = true;
        }
        for (int outputs = count_of(world, "output"); released < outputs; released++)
            release(world, 1);
        if (has_seen(world, "run_finished"))
            break;
        loop_dispatch(world->loop, -1);
    }
    check_run(world, 1, "SUCCESS ");
    check_file(world, "done", "a\nb\nc\n"); /* each exactly once */
}

static void engine_after_engine_makes_the_same_run(void **at)
{
    struct world *world = *at;
    int last = 1;

    run_chain(world, 0);
    auto_free char *undisturbed = stored_events(world);
    int total = world->event_count;
    assert_true(total >= 12);
    for (int close_at = 1; close_at <= total; close_at++, last++) {
        tear_down(at);
        set_up(at);
        world = *at;
        run_chain(world, close_at);
        auto_free char *events = stored_events(world);
        if (strcmp(events, undisturbed) != 0)
            fail_msg("closed at event %d:\n%s\n%s", close_at, events, undisturbed);
        assert_int_equal(world->event_count, total); /* and each was told once */
    }
}

/* The script ends while nobody is there to see it. */
static void what_ended_meanwhile_is_taken_up(void **at)
{
    struct world *world = *at;

    open_engine(world);
    scratch_put(world->project, "end.sh", "echo up; read line <gate; echo more; touch ended");
    int run = submit(world, ONE("p", "end.sh"));
    wait_for(world, "output 1");
    close_engine(world);
    auto_free char *ended = fs_join(world->project, "ended");
    auto_free char *sockets = fs_join(world->state.dir, "k");
    release(world, 1);
    while (!fs_exists(ended))
        sched_yield();
    open_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, run, "SUCCESS ");
    assert_non_null(strstr(world->json.data, "more"));
    while (rmdir(sockets) < 0) /* nothing is left there, as soon as its keeper is gone */
        loop_dispatch(world->loop, -1);
}

static void cancelled_by_one_it_is_stopped_by_the_next(void **at)
{
    struct world *world = *at;

    open_engine(world);
    scratch_put(world->project, "deaf.sh", "trap '' INT TERM; echo up; sleep 1000; sleep 1000");
    int run = submit(world, ONE("p", "deaf.sh"));
    wait_for(world, "output 1");
    struct reply reply = cancel(world, run);
    check_done(&reply);
    reopen_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, run, "ABORTED cancelled");
    assert_int_equal(count_of(world, "step_stopping"), 1);
}

static void wait_for_end_of(pid_t pid)
{
    auto_close int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd fd = {pidfd, POLLIN, 0};

    if (pidfd >= 0)
        assert_int_equal(poll(&fd, 1, 60000), 1);
}

static void a_keeper_that_died_meanwhile_is_lost(void **at)
{
    struct world *world = *at;

    open_engine(world);
    int run = submit(
        world, PIPELINE("p", STEP("a", "keeper.sh", "") "," STEP("b", "note.sh", AFTER("'a'"))));
    wait_for(world, "output 1");
    close_engine(world);
    auto_free char *pid = scratch_read(world->project, "keeper");
    kill(atoi(pid), SIGKILL);
    wait_for_end_of(atoi(pid));
    open_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, run, "FAILURE step_lost");
    auto_free char *events = stored_events(world);
    assert_non_null(strstr(events, "step_finished a 1 FAILURE step_lost; "));
    assert_non_null(strstr(events, "step_finished b 0 ABORTED upstream; "));
    assert_int_equal(child_kill_marked("SEGUE_RUN_UUID", world->runs[run - 1]), 0);
}

/* --- states that an engine that was killed in the wrong moment leaves --- */

/* What is added to a run that waits, in the store, while no engine is there. */
struct left {
    struct world *world;
    struct store *store;
    struct submission *submission;
    int64_t run;
    char mark[11];
};

static int take_left(void *data, const struct store_run *run, const struct store_frozen *frozen,
                     struct err *e)
{
    struct left *left = data;

    return submission_restore(run, frozen, &left->submission, e);
}

static struct left leave(struct world *world, const char *definition, struct request wish)
{
    struct left left = {.world = world, .run = 1};
    struct reply reply;
    struct err e;

    world->is_holding = true;
    open_engine(world);
    post_submit(world, definition, wish, NULL, &reply);
    wait_for_reply(world, &reply);
    check_done(&reply);
    close_engine(world);
    world->is_holding = false;
    if (store_open(world->database, STORE_WRITE, &left.store, &e) < 0 ||
        store_frozen(left.store, left.run, take_left, &left, &e) < 0 ||
        store_begin(left.store, &e) < 0)
        fail_msg("%s", e.text);
    keeper_mark(left.mark);
    return left;
}

static void leave_event(struct left *left, struct run_event event)
{
    int64_t id;
    struct err e;

    event.time = clock_wall();
    if (store_add_event(left->store, left->run, &event, NULL, &id, &e) < 0)
        fail_msg("%s", e.text);
}

/* The run has begun, and the first attempt of its first step was decided. */
static void leave_decision(struct left *left)
{
    struct store_attempt attempt = {.attempt = 1};
    struct err e;

    memcpy(attempt.mark, left->mark, sizeof left->mark);
    leave_event(left, (struct run_event){.kind = EVENT_RUN_STARTED, .step = STEP_NONE});
    leave_event(left, (struct run_event){.kind = EVENT_STEP_STARTED, .step = 0, .attempt = 1});
    if (store_add_attempt(left->store, left->run, &attempt, &e) < 0 ||
        store_set_run(left->store, left->run, STATUS_STARTED, CAUSE_NONE, 1, 0, &e) < 0)
        fail_msg("%s", e.text);
}

static char *left_directory(const struct left *left)
{
    const char *uuid = submission_step(left->submission, 0)->uuid;

    return mem_printf("%s/runs/%s/steps/%s/1", left->world->state.dir,
                      left->submission->run_uuid.text, uuid);
}

static void end_leaving(struct left *left)
{
    struct err e;

    assert_int_equal(store_commit(left->store, STORE_LAZY, &e), 0);
    store_close(left->store);
    submission_free(left->submission);
}

static void what_was_decided_and_not_begun_is_begun_once(void **at)
{
    for (int prepared = 0; prepared <= 2; prepared++) {
        struct world *world = *at;
        struct left left = leave(world, ONE("p", "note.sh"), (struct request){0});
        auto_free char *directory = left_directory(&left);
        auto_free char *sockets = state_socket_dir(&world->state, left.mark);
        leave_decision(&left);
        end_leaving(&left);
        if (prepared >= 1) {
            scratch_put(directory, "task.json", "{");
            scratch_put(sockets, "s/shell", "");
        }
        if (prepared == 2)
            scratch_put(directory, KEEPER_LOCK, "");
        open_engine(world);
        wait_for(world, "run_finished 1");
        check_run(world, 1, "SUCCESS ");
        check_file(world, "done", "a\n");
        auto_free char *events = stored_events(world);
        assert_string_equal(events, "run_queued  0  ; run_started  0  ; step_started a 1  ; "
                                    "step_finished a 1 SUCCESS ; run_finished  0 SUCCESS ; ");
        tear_down(at);
        set_up(at);
    }
}

static void what_was_cancelled_before_it_began_does_not_go_on(void **at)
{
    struct world *world = *at;
    struct left left = leave(world, ONE("p", "wait.sh"), (struct request){0});

    leave_decision(&left);
    leave_event(&left, (struct run_event){.kind = EVENT_CANCEL_REQUESTED, .step = STEP_NONE});
    leave_event(
        &left, (struct run_event){
                   .kind = EVENT_STEP_STOPPING, .step = 0, .attempt = 1, .cause = CAUSE_CANCELLED});
    end_leaving(&left);
    open_engine(world);
    wait_for(world, "run_finished 1"); /* nobody opens the gate */
    check_run(world, 1, "ABORTED cancelled");
}

static void raw(const struct world *world, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(world->database, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void a_run_that_cannot_be_read_ends_and_says_why(void **at)
{
    static const char *const rows[] = {
        "UPDATE frozen SET definition='{\"steps\"' WHERE run=1",
        "UPDATE frozen SET environments='[' WHERE run=1",
        "UPDATE frozen SET environments='[]' WHERE run=1",
        "UPDATE runs SET run_type='sideways' WHERE id=1",
        "UPDATE runs SET uuids='[\"nobody\"]' WHERE id=1",
        "UPDATE runs SET options='' WHERE id=1",
    };

    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        struct world *world = *at;
        struct left left = leave(world, ONE("p", "note.sh"), (struct request){0});
        if (i % 2) /* one that has begun */
            leave_decision(&left);
        end_leaving(&left);
        raw(world, rows[i / 2]);
        open_engine(world);
        submit(world, ONE("p", "note.sh")); /* the next of its pipeline */
        wait_for(world, "run_finished 2");
        check_run(world, 1, "FAILURE internal");
        check_run(world, 2, "SUCCESS ");
        const char *said = strstr(world->json.data, "run_finished");
        if (!said || !strstr(said, "cannot be taken up again") || !strstr(said, "\"internal\""))
            fail_msg("%s\n%s", rows[i / 2], world->json.data);
        tear_down(at);
        set_up(at);
    }
}

static void a_run_whose_events_do_not_fit_ends_with_its_steps(void **at)
{
    struct world *world = *at;
    struct left left = leave(world, ONE("p", "note.sh"), (struct request){0});

    leave_decision(&left);
    end_leaving(&left);
    raw(world, "UPDATE events SET attempt=7 WHERE event='step_started'");
    open_engine(world);
    submit(world, ONE("p", "note.sh")); /* the next of its pipeline */
    wait_for(world, "run_finished 2");
    check_run(world, 1, "FAILURE internal");
    check_run(world, 2, "SUCCESS ");
    assert_non_null(strstr(world->json.data, "do not fit each other"));
    auto_free char *events = stored_events(world);
    if (!strstr(events, "step_finished a 0 ABORTED internal"))
        fail_msg("%s", events);
    check_file(world, "done", "a\n"); /* of the second run alone */
}

/* --- in place, over a restart --- */

static const char NOTEBOOK[] = "{\"cells\":[],\"metadata\":{},\"nbformat\":4,\"nbformat_minor\":5}";
static const char EXECUTED[] = "{\"cells\":[],\"metadata\":{\"executed\":1},\"nbformat\":4}";

/* A notebook that was begun by one engine and has succeeded since. */
static void leave_notebook(struct world *world)
{
    scratch_put(world->project, "n.ipynb", NOTEBOOK);
    struct left left = leave(world, ONE("p", "n.ipynb"), (struct request){.in_place = true});
    auto_free char *directory = left_directory(&left);
    auto_free char *run_dir = state_run_dir(&world->state, left.submission->run_uuid.text);
    struct executed *executed = executed_new(left.submission, run_dir);
    auto_buf struct buf sources = {0};
    struct err e;

    executed_put_sources(executed, &sources);
    assert_int_equal(store_set_sources(left.store, left.run, sources.data, &e), 0);
    scratch_put("/", executed_path(executed, 0), EXECUTED);
    executed_free(executed);
    leave_decision(&left);
    end_leaving(&left);
    scratch_put(directory, KEEPER_LOCK, "999999999\n");
    scratch_put(directory, KEEPER_JOURNAL,
                "{\"n\":1,\"time\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"step_finished\","
                "\"status\":\"SUCCESS\"}\n");
}

static void an_unchanged_notebook_is_written_in_place(void **at)
{
    struct world *world = *at;

    leave_notebook(world);
    open_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, 1, "SUCCESS ");
    check_file(world, "n.ipynb", EXECUTED);
}

static void a_notebook_that_was_changed_meanwhile_is_left_alone(void **at)
{
    struct world *world = *at;

    leave_notebook(world);
    scratch_put(world->project, "n.ipynb", "mine");
    open_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, 1, "FAILURE write_refused");
    check_file(world, "n.ipynb", "mine");
    auto_free char *events = stored_events(world);
    assert_non_null(strstr(events, "step_finished a 1 FAILURE write_refused; "));
}

/* The engine before has written it and could not note that any more. */
static void a_notebook_that_was_written_already_is_no_conflict(void **at)
{
    struct world *world = *at;

    leave_notebook(world);
    scratch_put(world->project, "n.ipynb", EXECUTED);
    open_engine(world);
    wait_for(world, "run_finished 1");
    check_run(world, 1, "SUCCESS ");
    check_file(world, "n.ipynb", EXECUTED);
}

/* --- a store that cannot be written --- */

static void break_disk(int code)
{
    memset(&disk, 0, sizeof disk);
    disk.fail_write = 1;
    disk.fail_code = code;
}

static struct reply try_submit(struct world *world, const char *definition)
{
    struct reply reply;

    post_submit(world, definition, (struct request){0}, NULL, &reply);
    wait_for_reply(world, &reply);
    return reply;
}

static void commands_are_refused_until_the_store_can_be_written(void **at)
{
    static const struct {
        int sqlite;
        enum err_code code;
    } rows[] = {{SQLITE_FULL, ERR_NO_SPACE}, {SQLITE_IOERR_WRITE, ERR_IO}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct world *world = *at;
        open_engine(world);
        submit(world, ONE("p", "note.sh"));
        wait_for(world, "run_finished 1");
        break_disk(rows[i].sqlite);
        for (int k = 0; k < 3; k++)
            check_refused(try_submit(world, ONE("p", "note.sh")), rows[i].code, "");
        assert_int_equal(world->failed, 1); /* told once */
        assert_int_equal(world->failure.code, rows[i].code);
        assert_int_equal(world->recovered, 0);
        memset(&disk, 0, sizeof disk);
        while (world->recovered == 0)
            loop_dispatch(world->loop, -1);
        submit(world, ONE("p", "note.sh"));
        wait_for(world, "run_finished 2");
        check_file(world, "done", "a\na\n");
        assert_int_equal(world->failed, 1);
        assert_int_equal(world->recovered, 1);
        tear_down(at);
        set_up(at);
    }
}

/* It is tried, even when there is nothing to be written. */
static void nothing_to_write_is_not_taken_for_recovery(void **at)
{
    struct world *world = *at;

    open_engine(world);
    break_disk(SQLITE_FULL);
    check_refused(try_submit(world, ONE("p", "note.sh")), ERR_NO_SPACE, "");
    unsigned before = disk.writes;
    while (world->recovered == 0 && disk.writes < before + 2)
        loop_dispatch(world->loop, -1);
    assert_int_equal(world->recovered, 0);
    assert_int_equal(world->failed, 1);
}

static void what_runs_does_not_notice_that_the_store_fails(void **at)
{
    struct world *world = *at;

    open_engine(world);
    submit(world, chain);
    submit(world, PIPELINE("q", STEP("w", "note.sh", "")));
    wait_for(world, "output 1");
    wait_for(world, "run_finished 2");
    break_disk(SQLITE_FULL);
    release(world, 1); /* the first script ends, which cannot be noted now */
    while (world->failed == 0)
        loop_dispatch(world->loop, -1);
    check_refused(cancel(world, 1), ERR_NO_SPACE, "");
    memset(&disk, 0, sizeof disk);
    wait_for_count(world, "output 1", 2);
    assert_int_equal(world->failed, 1);
    assert_int_equal(world->recovered, 1);
    release(world, 1);
    wait_for_count(world, "output 1", 3);
    release(world, 1);
    wait_for(world, "run_finished 1");
    check_run(world, 1, "SUCCESS ");
    check_run(world, 2, "SUCCESS ");
    auto_free char *done = scratch_read(world->project, "done");
    assert_int_equal(strlen(done), 8); /* each exactly once */
    assert_int_equal(count_of(world, "step_started 1"), 3);
    assert_int_equal(count_of(world, "step_finished 1"), 3);
}

/* Every write of a run's life fails once: it comes to the same end, and nothing runs twice. */
static void whichever_write_fails_the_run_is_the_same(void **at)
{
    for (unsigned n = 1;; n++) {
        struct world *world = *at;
        open_engine(world);
        loop_dispatch(world->loop, 0);
        memset(&disk, 0, sizeof disk);
        disk.fail_write = n;
        disk.fail_until = n + 1;
        disk.fail_code = SQLITE_FULL;
        struct reply reply = try_submit(world, PIPELINE("p", STEP("a", "note.sh", "")));
        if (reply.has_error) {
            check_refused(reply, ERR_NO_SPACE, "");
            submit(world, PIPELINE("p", STEP("a", "note.sh", "")));
        }
        wait_for(world, "run_finished");
        check_run(world, 1, "SUCCESS ");
        check_file(world, "done", "a\n");
        bool was_reached = disk.writes >= n;
        assert_true(world->failed <= 1);
        if (!was_reached) {
            assert_true(n > 8); /* else this has tested nothing */
            return;
        }
        tear_down(at);
        set_up(at);
    }
}

static void figures_are_told(void **at)
{
    struct world *world = *at;
    auto_buf struct buf text = {0};

    open_engine(world);
    submit(world, ONE("p", "note.sh"));
    submit(world, ONE("q", "bad.sh"));
    wait_for_count(world, "run_finished", 2);
    engine_metrics(world->engine, &text);
    static const char *const lines[] = {
        "SUCCESS", "FAILURE", "class=\"interactive\"", "class=\"background\"", "# TYPE", "# HELP"};
    for (size_t i = 0; i < COUNT(lines); i++)
        if (!strstr(buf_text(&text), lines[i]))
            fail_msg("no %s in %s", lines[i], buf_text(&text));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_is_asked_for_from_another_thread),
        TEST(asked_again_a_request_makes_no_second_run),
        TEST(the_same_key_comes_twice_at_once),
        TEST(the_key_of_a_deleted_run_is_free),
        TEST(closing_answers_who_waits),
        TEST(many_threads_ask_at_once),
        TEST(a_run_that_waits_is_cancelled),
        TEST(a_run_that_goes_on_is_cancelled),
        TEST(who_is_not_there_cannot_be_cancelled_or_deleted),
        TEST(an_ended_run_is_deleted),
        TEST(one_that_waits_is_not_deleted),
        TEST(the_next_engine_goes_on_sweeping),
        TEST(runs_of_one_pipeline_take_turns),
        TEST(a_run_waits_for_one_outside_the_engine),
        TEST(nobody_outside_begins_while_a_run_goes_on),
        TEST(classes_of_runs_have_limits_of_their_own),
        TEST(classes_of_steps_have_limits_of_their_own),
        TEST(a_job_asks_for_its_run_twice),
        TEST(a_run_of_a_job_keeps_to_itself),
        TEST(while_it_holds_nothing_begins),
        TEST(the_next_engine_keeps_the_order),
        TEST(engine_after_engine_makes_the_same_run),
        TEST(what_ended_meanwhile_is_taken_up),
        TEST(cancelled_by_one_it_is_stopped_by_the_next),
        TEST(a_keeper_that_died_meanwhile_is_lost),
        TEST(what_was_decided_and_not_begun_is_begun_once),
        TEST(what_was_cancelled_before_it_began_does_not_go_on),
        TEST(a_run_that_cannot_be_read_ends_and_says_why),
        TEST(a_run_whose_events_do_not_fit_ends_with_its_steps),
        TEST(an_unchanged_notebook_is_written_in_place),
        TEST(a_notebook_that_was_changed_meanwhile_is_left_alone),
        TEST(a_notebook_that_was_written_already_is_no_conflict),
        TEST(commands_are_refused_until_the_store_can_be_written),
        TEST(nothing_to_write_is_not_taken_for_recovery),
        TEST(what_runs_does_not_notice_that_the_store_fails),
        TEST(whichever_write_fails_the_run_is_the_same),
        TEST(figures_are_told),
    };

    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, step_run);
    return cmocka_run_group_tests(tests, faulty_disk_install, NULL);
}
