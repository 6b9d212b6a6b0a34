#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/json.h"
#include "runner/engine/engine.h"
#include "runner/step/step.h"
#include "runner/store/store.h"
#include "tests/unit/base/scratch.c"
#include "tests/unit/runner/engine/made_submission.c"
#include "tests/unit/runner/store/faulty_disk.c"

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A real engine, real keepers and real scripts; this program is its own nursery. */
struct world {
    char *root, *project;
    struct loop *loop;
    struct state state;
    struct engine *engine;
    int life[2];
    int64_t last_id;
    struct buf seen; /* "event[:step] " of everything that people look at, in order */
    struct buf json; /* one event a line */
    int finished, failed;
    struct err failure;
    /* Done at the first such event. */
    const char *on_event, *on_text;
    void (*action)(struct world *world);
};

static void on_event(void *user, const struct engine_event *event)
{
    struct world *world = user;

    assert_int_equal(world->finished, 0); /* nothing comes behind the end */
    assert_true(event->id > world->last_id);
    world->last_id = event->id;
    if (*event->event) {
        buf_puts(&world->seen, event->event);
        if (event->step != STEP_NONE)
            buf_printf(&world->seen, ":%u", event->step);
        buf_putc(&world->seen, ' ');
    }
    buf_puts(&world->json, event->json);
    buf_putc(&world->json, '\n');
    if (world->on_event && strcmp(event->event, world->on_event) == 0 &&
        strstr(event->json, world->on_text)) {
        world->on_event = NULL;
        world->action(world);
    }
}

static void on_finished(void *user)
{
    struct world *world = user;

    world->finished++;
    loop_stop(world->loop);
}

static void on_failed(void *user, const struct err *e)
{
    struct world *world = user;

    world->failed++;
    world->failure = *e;
}

static void open_engine(struct world *world, uint32_t max_parallel)
{
    static const char *const nursery[] = {"/proc/self/exe", "nursery", NULL};
    static const struct engine_events events = {
        .event = on_event, .finished = on_finished, .failed = on_failed};
    struct engine_options options = {.loop = world->loop,
                                     .state = &world->state,
                                     .sdk_dir = world->project,
                                     .nursery_argv = nursery,
                                     .limits = {{.runs = 1, .steps = max_parallel}},
                                     .life = ENGINE_ONCE,
                                     .life_fd = world->life[0]};
    struct err e;

    if (engine_open(&world->engine, &options, &events, world, &e) < 0)
        fail_msg("%s", e.text);
}

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    world->project = fs_join(world->root, "project");
    world->loop = loop_new();
    assert_int_equal(fs_mkdirs(world->project, 0755, &e), 0);
    assert_int_equal(state_create(&world->state, world->root, &e), 0);
    assert_int_equal(pipe2(world->life, O_CLOEXEC), 0);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    engine_close(world->engine);
    close(world->life[0]);
    close(world->life[1]);
    state_close(&world->state);
    loop_free(world->loop);
    buf_clear(&world->seen);
    buf_clear(&world->json);
    free(world->project);
    scratch_free(world->root);
    free(world);
    return 0;
}

static void put_script(const struct world *world, const char *name, const char *text)
{
    scratch_put(world->project, name, text);
}

static void submit(struct world *world, const char *definition)
{
    struct err e;

    if (engine_submit(world->engine, submission_of(world->project, definition, (struct request){0}),
                      &e) < 0)
        fail_msg("%s", e.text);
}

static void run(struct world *world, const char *definition)
{
    if (!world->engine)
        open_engine(world, 4);
    submit(world, definition);
    loop_run(world->loop);
    assert_int_equal(world->finished, 1);
}

static const struct run *state_of(const struct world *world)
{
    return live_run_state(engine_run(world->engine));
}

static void check_step(const struct world *world, uint32_t step, enum status status,
                       enum cause cause)
{
    const struct run *state = state_of(world);

    if (run_step_status(state, step) != status || run_step_cause(state, step) != cause)
        fail_msg("step %u: %s %s\n%s", step, status_name(run_step_status(state, step)),
                 cause_name(run_step_cause(state, step)), buf_text(&world->json));
}

static void check_run(const struct world *world, enum status status)
{
    if (run_status(state_of(world)) != status)
        fail_msg("%s\n%s", status_name(run_status(state_of(world))), buf_text(&world->json));
}

static bool has_seen(const struct world *world, const char *text)
{
    return strstr(buf_text(&world->seen), text) != NULL;
}

/* Each step of the plan has ended exactly once, and the run has, last. */
static void check_ends(const struct world *world)
{
    uint32_t count = live_run_submission(engine_run(world->engine))->plan->count;
    const char *end = world->seen.data + world->seen.len - strlen("run_finished ");

    assert_string_equal(end, "run_finished ");
    for (uint32_t i = 0; i < count; i++) {
        auto_free char *text = mem_printf("step_finished:%u ", i);
        const char *first = strstr(world->seen.data, text);
        assert_non_null(first);
        assert_null(strstr(first + 1, text));
    }
}

#define STEP(uuid, file, more) "'" uuid "':{'title':'" uuid "','file_path':'" file "'" more "}"
#define AFTER(uuids)           ",'incoming_connections':[" uuids "]"

/* --- a run --- */

static void a_run_goes_from_its_first_event_to_its_last(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo hello");
    run(world, "{'steps':{" STEP("a", "a.sh", "") "}}");
    assert_string_equal(world->seen.data, "run_queued run_started step_started:0 output:0 "
                                          "step_finished:0 run_finished ");
    check_run(world, STATUS_SUCCESS);
    assert_non_null(strstr(world->json.data, "\"hello\\n\""));
    assert_int_equal(world->failed, 0);
}

static void steps_wait_for_what_they_need(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo $SEGUE_STEP_UUID >>order");
    run(world, "{'steps':{" STEP("c", "a.sh", AFTER("'a','b'")) "," STEP("a", "a.sh", "") "," STEP(
                   "b", "a.sh", AFTER("'a'")) "}}");
    check_run(world, STATUS_SUCCESS);
    auto_free char *order = scratch_read(world->project, "order");
    assert_string_equal(order, "a\nb\nc\n");
    check_ends(world);
}

/* Each notes how many there are while it runs; none sees more than may be. */
static void no_more_run_than_may(void **at)
{
    struct world *world = *at;
    auto_buf struct buf definition = {0};

    put_script(world, "a.sh",
               "mkdir -p here; touch here/$$; ls here | wc -l >>counts; sleep 0.05; rm here/$$");
    buf_puts(&definition, "{'steps':{");
    for (int i = 0; i < 12; i++)
        buf_printf(&definition, "%s'%d':{'file_path':'a.sh'}", i ? "," : "", i);
    buf_puts(&definition, "}}");
    open_engine(world, 3);
    run(world, definition.data);
    check_run(world, STATUS_SUCCESS);
    auto_free char *counts = scratch_read(world->project, "counts");
    assert_int_equal(strlen(counts), 24);
    assert_int_equal(strspn(counts, "123\n"), 24);
    assert_true(strpbrk(counts, "23") != NULL); /* and some do at the same time */
}

static void a_failure_stops_what_needs_it_and_nothing_else(void **at)
{
    struct world *world = *at;

    put_script(world, "bad.sh", "echo the reason >&2; exit 5");
    put_script(world, "good.sh", "exit 0");
    run(world,
        "{'steps':{" STEP("a", "bad.sh", "") "," STEP("b", "good.sh", AFTER("'a'")) "," STEP(
            "c", "good.sh", AFTER("'b'")) "," STEP("d", "good.sh", "") "," STEP("e", "good.sh",
                                                                                AFTER("'d'")) "}}");
    check_run(world, STATUS_FAILURE);
    const struct submission *submission = live_run_submission(engine_run(world->engine));
    for (uint32_t i = 0; i < 5; i++) {
        char uuid = *submission_step(submission, i)->uuid;
        check_step(world, i,
                   uuid == 'a'                  ? STATUS_FAILURE
                   : uuid == 'b' || uuid == 'c' ? STATUS_ABORTED
                                                : STATUS_SUCCESS,
                   uuid == 'a'                  ? CAUSE_EXIT_CODE
                   : uuid == 'b' || uuid == 'c' ? CAUSE_UPSTREAM
                                                : CAUSE_NONE);
    }
    assert_non_null(strstr(world->json.data, "exit status 5: the reason"));
    check_ends(world);
}

static void a_failed_step_is_tried_again(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo x >>tries; [ $(wc -l <tries) -ge 3 ]");
    run(world, "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':4,'delay':0}") "}}");
    check_run(world, STATUS_SUCCESS);
    assert_int_equal(run_step_attempt(state_of(world), 0), 3);
    assert_true(has_seen(world, "step_retrying:0"));
    check_ends(world);
    /* Each attempt has its own journal. */
    for (int i = 1; i <= 3; i++) {
        auto_free char *path =
            mem_printf("%s/steps/a/%d/journal", live_run_dir(engine_run(world->engine)), i);
        assert_true(fs_exists(path));
    }
}

/* Of what the step has made everything else stays: it may go on with that. */
static void what_an_earlier_attempt_reported_is_gone(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh",
               "io=$SEGUE_IO_DIR/a; echo x >>tries\n"
               "if [ $(wc -l <tries) -ge 2 ]; then\n"
               "  [ ! -e $io/report.jsonl ] && [ ! -e $io/figures ] && [ -e $io/kept ]; exit\n"
               "fi\n"
               "mkdir -p $io/figures/more; touch $io/report.jsonl $io/figures/more/x.png $io/kept\n"
               "exit 1");
    run(world, "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':1,'delay':0}") "}}");
    check_run(world, STATUS_SUCCESS);
    assert_int_equal(run_step_attempt(state_of(world), 0), 2);
}

/* What a step makes of its directory leads nobody with more rights to other places. */
static void nothing_is_removed_through_a_link(void **at)
{
    struct world *world = *at;

    put_script(
        world, "a.sh",
        "if [ -e outside ]; then [ -e outside/report.jsonl ] && [ -e outside/figures ]; exit\n"
        "fi\n"
        "mkdir -p outside/figures; touch outside/report.jsonl\n"
        "rm -rf $SEGUE_IO_DIR/a; ln -s $PWD/outside $SEGUE_IO_DIR/a; exit 1");
    run(world, "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':1,'delay':0}") "}}");
    check_run(world, STATUS_SUCCESS);
    assert_int_equal(run_step_attempt(state_of(world), 0), 2);
}

static void tries_run_out(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "exit 9");
    run(world, "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':2,'delay':0}") "}}");
    check_run(world, STATUS_FAILURE);
    check_step(world, 0, STATUS_FAILURE, CAUSE_EXIT_CODE);
    assert_int_equal(run_step_attempt(state_of(world), 0), 3);
}

static void a_time_limit_ends_a_step(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "sleep 1000");
    run(world, "{'steps':{" STEP("a", "a.sh", ",'timeout':1") "}}");
    check_step(world, 0, STATUS_FAILURE, CAUSE_TIMEOUT);
    check_run(world, STATUS_FAILURE);
}

static void a_time_limit_ends_a_run(void **at)
{
    struct world *world = *at;
    struct err e;

    put_script(world, "a.sh", "sleep 100");
    open_engine(world, 4);
    struct submission *submission =
        submission_of(world->project,
                      "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':4,'delay':0}") "," STEP(
                          "b", "a.sh", AFTER("'a'")) "}}",
                      (struct request){.timeout_s = 1});
    assert_int_equal(engine_submit(world->engine, submission, &e), 0);
    loop_run(world->loop);
    check_run(world, STATUS_FAILURE);
    check_step(world, 0, STATUS_FAILURE, CAUSE_TIMEOUT);
    check_step(world, 1, STATUS_ABORTED, CAUSE_CANCELLED);
    assert_int_equal(run_cancel_cause(state_of(world)), CAUSE_TIMEOUT);
    assert_non_null(strstr(world->json.data, "the run took longer than its limit of 1 s"));
    assert_non_null(strstr(world->json.data, "the time limit of the run was over before"));
    check_ends(world);
}

/* It was looked for when the run was frozen: no other attempt would find it. */
static void a_missing_environment_is_not_looked_for_again(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "true");
    run(world, "{'steps':{" STEP("a", "a.sh",
                                 ",'environment':'none','retries':{'limit':4,'delay':0}") "}}");
    check_step(world, 0, STATUS_FAILURE, CAUSE_ENVIRONMENT_MISSING);
    assert_int_equal(run_step_attempt(state_of(world), 0), 1);
    check_ends(world);
}

static void a_missing_environment_fails_its_step(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "exit 0");
    run(world,
        "{'steps':{" STEP("a", "a.sh", ",'environment':'nowhere'") "," STEP("b", "a.sh", "") "}}");
    check_step(world, 0, STATUS_FAILURE, CAUSE_ENVIRONMENT_MISSING);
    check_step(world, 1, STATUS_SUCCESS, CAUSE_NONE);
    check_ends(world);
}

static void parameters_reach_the_step(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "cat $SEGUE_PIPELINE_PATH");
    run(world, "{'parameters':{'p':0.10},'steps':{" STEP("a", "a.sh", "") "}}");
    check_run(world, STATUS_SUCCESS);
    assert_non_null(strstr(world->json.data, "\\\"p\\\":0.10"));
}

static void many_steps_run_to_their_end(void **at)
{
    struct world *world = *at;
    auto_buf struct buf definition = {0};

    put_script(world, "a.sh", "exit 0");
    buf_puts(&definition, "{'steps':{");
    for (int i = 0; i < 100; i++)
        buf_printf(&definition, "%s'%d':{'file_path':'a.sh'}", i ? "," : "", i);
    buf_puts(&definition, "}}");
    run(world, definition.data);
    check_run(world, STATUS_SUCCESS);
    assert_int_equal(run_count(state_of(world), STATUS_SUCCESS), 100);
    check_ends(world);
}

/* --- cancelling --- */

static void cancel(struct world *world)
{
    engine_cancel_all(world->engine);
    engine_cancel_all(world->engine);
}

static void a_cancelled_run_stops_what_runs_and_starts_nothing_more(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo up; sleep 1000");
    world->on_event = "output";
    world->on_text = "up";
    world->action = cancel;
    run(world, "{'steps':{" STEP("a", "a.sh", ",'retries':{'limit':4,'delay':0}") "," STEP(
                   "b", "a.sh", AFTER("'a'")) "}}");
    check_run(world, STATUS_ABORTED);
    check_step(world, 0, STATUS_ABORTED, CAUSE_CANCELLED);
    check_step(world, 1, STATUS_ABORTED, CAUSE_CANCELLED);
    assert_int_equal(run_step_attempt(state_of(world), 0), 1);
    assert_int_equal(run_step_attempt(state_of(world), 1), 0);
    check_ends(world);
}

static void a_run_can_be_cancelled_at_once(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "touch started");
    open_engine(world, 4);
    engine_cancel_all(world->engine);
    submit(world, "{'steps':{" STEP("a", "a.sh", "") "}}");
    engine_cancel_all(world->engine);
    loop_run(world->loop);
    check_run(world, STATUS_ABORTED);
    auto_free char *started = fs_join(world->project, "started");
    assert_false(fs_exists(started));
    check_ends(world);
}

/* --- keepers that die --- */

/* The script has told its keeper's pid: its parent's. */
static void kill_keeper(struct world *world)
{
    const char *at = strstr(world->json.data, "keeper is ");

    kill(atoi(at + strlen("keeper is ")), SIGKILL);
}

static void a_step_whose_keeper_was_killed_is_lost(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo keeper is $PPID; sleep 1000");
    put_script(world, "b.sh", "exit 0");
    world->on_event = "output";
    world->on_text = "keeper is ";
    world->action = kill_keeper;
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "b.sh", AFTER("'a'")) "," STEP(
                   "c", "b.sh", "") "}}");
    check_run(world, STATUS_FAILURE);
    const struct submission *submission = live_run_submission(engine_run(world->engine));
    for (uint32_t i = 0; i < 3; i++) {
        char uuid = *submission_step(submission, i)->uuid;
        check_step(world, i,
                   uuid == 'a'   ? STATUS_FAILURE
                   : uuid == 'b' ? STATUS_ABORTED
                                 : STATUS_SUCCESS,
                   uuid == 'a'   ? CAUSE_STEP_LOST
                   : uuid == 'b' ? CAUSE_UPSTREAM
                                 : CAUSE_NONE);
    }
    check_ends(world);
    /* What it kept went with it. */
    assert_int_equal(child_kill_marked("SEGUE_RUN_UUID", submission->run_uuid.text), 0);
}

/* --- a store that cannot be written --- */

static void fill_state(struct world *world)
{
    scratch_fill_disk(world->state.dir);
}

static void a_full_disk_is_told_and_everything_ends(void **at)
{
    struct world *world = *at;

    /* On and on, so that something is left to be printed when the disk is full. */
    put_script(world, "a.sh", "echo up; while sleep 0.05; do yes | head -c 30000; done");
    if (!scratch_small_disk(world->state.dir, 2 << 20)) {
        skip();
        return;
    }
    auto_free char *runs = fs_join(world->state.dir, "runs");
    auto_free char *sockets = fs_join(world->state.dir, "k");
    struct err e;
    fs_mkdirs(runs, 0755, &e);
    fs_mkdirs(sockets, 0755, &e);
    world->on_event = "output";
    world->on_text = "up";
    world->action = fill_state;
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "a.sh", "") "}}");
    /* Either the store or a journal is the first that finds the disk full. */
    assert_true(world->failed == 1 || run_status(state_of(world)) == STATUS_FAILURE);
    assert_true(world->failed <= 1);
    if (world->failed)
        assert_int_equal(world->failure.code, ERR_NO_SPACE);
    engine_close(take_ptr(&world->engine));
    umount2(world->state.dir, MNT_DETACH);
}

static void a_run_whose_directory_cannot_be_made_fails(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "touch started");
    open_engine(world, 4);
    auto_free char *runs = fs_join(world->state.dir, "runs");
    assert_int_equal(rmdir(runs), 0);
    scratch_put(world->state.dir, "runs", "a file is in the way");
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "a.sh", AFTER("'a'")) "}}");
    check_run(world, STATUS_FAILURE);
    check_step(world, 0, STATUS_FAILURE, CAUSE_INTERNAL);
    check_step(world, 1, STATUS_ABORTED, CAUSE_UPSTREAM);
    assert_non_null(strstr(world->json.data, "runs"));
    auto_free char *started = fs_join(world->project, "started");
    assert_false(fs_exists(started));
    check_ends(world);
}

/* A step of which nothing can be written is no bug of ours. */
static void without_room_for_its_directory_a_step_fails(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "exit 0");
    open_engine(world, 4);
    auto_free char *runs = fs_join(world->state.dir, "runs");
    if (!scratch_small_disk(runs, 65536)) {
        skip();
        return;
    }
    scratch_fill_disk(runs);
    run(world, "{'steps':{" STEP("a", "a.sh", "") "}}");
    umount2(runs, MNT_DETACH);
    check_run(world, STATUS_FAILURE);
    check_step(world, 0, STATUS_FAILURE, CAUSE_STORAGE_FAILED);
}

static void a_run_that_cannot_be_stored_is_refused(void **at)
{
    struct world *world = *at;
    struct err e;

    put_script(world, "a.sh", "exit 0");
    open_engine(world, 4);
    disk.fail_write = 1;
    disk.fail_code = SQLITE_FULL;
    assert_int_equal(
        engine_submit(world->engine,
                      submission_of(world->project, "{'steps':{" STEP("a", "a.sh", "") "}}",
                                    (struct request){0}),
                      &e),
        -1);
    assert_int_equal(e.code, ERR_NO_SPACE);
    memset(&disk, 0, sizeof disk);
    assert_null(engine_run(world->engine));
    assert_int_equal(world->seen.len, 0); /* nobody hears of it */
}

static void an_engine_needs_its_nursery(void **at)
{
    static const char *const nursery[] = {"/tmp/segue-test-nowhere", NULL};
    struct world *world = *at;
    struct engine_options options = {.loop = world->loop,
                                     .state = &world->state,
                                     .sdk_dir = "/",
                                     .nursery_argv = nursery,
                                     .limits = {{.runs = 1, .steps = 1}},
                                     .life_fd = -1};
    struct engine_events events = {.finished = on_finished};
    struct err e;

    assert_int_equal(engine_open(&world->engine, &options, &events, world, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(world->engine);
    engine_close(NULL);
}

/* --- what is on disk --- */

static int check_row(void *data, const struct store_run *row, struct err *e)
{
    (void)e;
    assert_int_equal(row->status, STATUS_FAILURE);
    assert_true(row->finished_time >= row->started_time && row->started_time > 0);
    assert_int_equal(row->step_count, 2);
    *(int64_t *)data = row->id;
    return 0;
}

static int check_replayed(void *data, const struct run_event *event, const char *step_uuid,
                          struct err *e)
{
    (void)step_uuid;
    return run_apply(data, event, e);
}

/* A restart is a replay: the stored events lead to the same state. */
static void what_is_stored_leads_to_the_same_state(void **at)
{
    struct world *world = *at;
    auto_free char *path = fs_join(world->state.dir, "segue.db");
    auto_store struct store *store = NULL;
    int64_t id = 0;
    struct err e;

    put_script(world, "a.sh", "exit 5");
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "a.sh", AFTER("'a'")) "}}");
    assert_int_equal(store_open(path, STORE_READ, &store, &e), 0);
    assert_int_equal(store_runs(store, &(struct store_filter){0}, check_row, &id, &e), 0);
    const struct submission *submission = live_run_submission(engine_run(world->engine));
    auto_run struct run *replayed = run_new(submission->plan, submission->pipeline, 0);
    if (store_replay(store, id, check_replayed, replayed, &e) < 0)
        fail_msg("%s", e.text);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(run_step_status(replayed, i), run_step_status(state_of(world), i));
        assert_int_equal(run_step_cause(replayed, i), run_step_cause(state_of(world), i));
    }
    assert_int_equal(run_status(replayed), STATUS_FAILURE);
}

static int check_told(void *data, const struct store_event *event, struct err *e)
{
    const char **at = data;
    auto_free char *id = mem_printf("{\"id\":%lld,", (long long)event->id);

    (void)e;
    assert_int_equal(strncmp(*at, id, strlen(id)), 0);
    *at = strchr(*at, '\n') + 1;
    return 0;
}

static void what_was_told_is_what_is_stored(void **at)
{
    struct world *world = *at;
    auto_free char *path = fs_join(world->state.dir, "segue.db");
    auto_store struct store *store = NULL;
    struct err e;

    put_script(world, "a.sh", "for i in 1 2 3 4 5; do echo $i; sleep 0.01; done");
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "a.sh", "") "}}");
    assert_int_equal(store_open(path, STORE_READ, &store, &e), 0);
    const char *told = world->json.data;
    assert_int_equal(store_events_after(store, 0, 0, 1000, check_told, &told, &e), 0);
    assert_string_equal(told, "");
}

/* --- life --- */

static void nothing_is_left_when_it_is_over(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "setsid sleep 1000 & exit 0");
    run(world, "{'steps':{" STEP("a", "a.sh", "") "," STEP("b", "a.sh", "") "}}");
    check_run(world, STATUS_SUCCESS);
    auto_free char *sockets = fs_join(world->state.dir, "k");
    assert_int_equal(rmdir(sockets), 0); /* empty */
    assert_int_equal(live_run_attempts(engine_run(world->engine)), 0);
    auto_free char *run_uuid =
        mem_strdup(live_run_submission(engine_run(world->engine))->run_uuid.text);
    assert_int_equal(child_kill_marked("SEGUE_RUN_UUID", run_uuid), 0);
}

static pid_t keeper_told;

static void leave(struct world *world)
{
    const char *at = strstr(world->json.data, "keeper is ");

    keeper_told = atoi(at + strlen("keeper is "));
    loop_stop(world->loop);
}

static void closing_stops_nothing_but_the_life_pipe_does(void **at)
{
    struct world *world = *at;

    put_script(world, "a.sh", "echo keeper is $PPID; sleep 1000");
    open_engine(world, 4);
    world->on_event = "output";
    world->on_text = "keeper is ";
    world->action = leave;
    submit(world, "{'steps':{" STEP("a", "a.sh", "") "}}");
    loop_run(world->loop);
    auto_free char *run_uuid =
        mem_strdup(live_run_submission(engine_run(world->engine))->run_uuid.text);
    engine_close(take_ptr(&world->engine));
    int pidfd = (int)syscall(SYS_pidfd_open, keeper_told, 0);
    struct pollfd fd = {pidfd, POLLIN, 0};
    assert_true(pidfd >= 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    close(world->life[1]);
    world->life[1] = dup(0);
    assert_int_equal(poll(&fd, 1, 20000), 1);
    close(pidfd);
    assert_int_equal(child_kill_marked("SEGUE_RUN_UUID", run_uuid), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_goes_from_its_first_event_to_its_last),
        TEST(steps_wait_for_what_they_need),
        TEST(no_more_run_than_may),
        TEST(a_failure_stops_what_needs_it_and_nothing_else),
        TEST(a_failed_step_is_tried_again),
        TEST(what_an_earlier_attempt_reported_is_gone),
        TEST(nothing_is_removed_through_a_link),
        TEST(tries_run_out),
        TEST(a_time_limit_ends_a_step),
        TEST(a_time_limit_ends_a_run),
        TEST(a_missing_environment_is_not_looked_for_again),
        TEST(a_missing_environment_fails_its_step),
        TEST(parameters_reach_the_step),
        TEST(many_steps_run_to_their_end),
        TEST(a_cancelled_run_stops_what_runs_and_starts_nothing_more),
        TEST(a_run_can_be_cancelled_at_once),
        TEST(a_step_whose_keeper_was_killed_is_lost),
        TEST(a_full_disk_is_told_and_everything_ends),
        TEST(a_run_whose_directory_cannot_be_made_fails),
        TEST(without_room_for_its_directory_a_step_fails),
        TEST(a_run_that_cannot_be_stored_is_refused),
        TEST(an_engine_needs_its_nursery),
        TEST(what_is_stored_leads_to_the_same_state),
        TEST(what_was_told_is_what_is_stored),
        TEST(nothing_is_left_when_it_is_over),
        TEST(closing_stops_nothing_but_the_life_pipe_does),
    };

    signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, step_run);
    return cmocka_run_group_tests(tests, faulty_disk_install, NULL);
}
