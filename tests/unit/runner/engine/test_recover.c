#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/json.h"
#include "kernel-gateway/keeper/keeper.h"
#include "runner/engine/recover.h"
#include "runner/step/notebook_task.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define MARK "abcdefghij"

static const char SOURCE[] =
    "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"one\",\"source\":\"1\",\"metadata\":{},"
    "\"outputs\":[],\"execution_count\":null},"
    "{\"cell_type\":\"code\",\"id\":\"two\",\"source\":\"2\",\"metadata\":{},\"outputs\":[],"
    "\"execution_count\":null}],"
    "\"metadata\":{},\"nbformat\":4,\"nbformat_minor\":5}";

/* A first cell that has ended, a second one in the middle, a torn line. */
static const char JOURNAL[] =
    "{\"n\":1,\"time\":\"2026-01-01T00:00:00.000000Z\",\"event\":\"cell_started\","
    "\"cell_index\":0,\"cells_total\":2}\n"
    "{\"n\":2,\"time\":\"2026-01-01T00:00:01.000000Z\",\"event\":\"output\",\"cell_index\":0,"
    "\"output\":{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"of the first cell\"}}\n"
    "{\"n\":3,\"time\":\"2026-01-01T00:00:02.000000Z\",\"event\":\"cell_finished\","
    "\"cell_index\":0,\"cells_total\":2,\"status\":\"ok\",\"execution_count\":1,\"timing\":{}}\n"
    "{\"n\":4,\"time\":\"2026-01-01T00:00:03.000000Z\",\"event\":\"cell_started\","
    "\"cell_index\":1,\"cells_total\":2}\n"
    "{\"n\":5,\"time\":\"2026-01-01T00:00:04.000000Z\",\"event\":\"output\",\"cell_index\":1,"
    "\"output\":{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"of the second\"}}\n"
    "{\"n\":6,\"time\":\"2026-01-01T00:00:05.000000Z\",\"event\":\"output\",\"cell_ind";

/* What a killed `segue run` left behind. */
struct world {
    char *root;
    char *dead;     /* its state directory */
    char *attempt;  /* the attempt's directory in it */
    char *sockets;  /* k/MARK */
    char *executed; /* the copy that is to be completed */
};

static void put_task(const struct world *world, const char *launcher, int64_t kind)
{
    auto_free char *source = fs_join(world->root, "project/a.ipynb");
    auto_buf struct buf text = {0};
    auto_free char *kernel_sockets = fs_join(world->sockets, "s");
    struct task task = {
#define X(name) .name = (char *)"the " #name,
        TASK_NEEDED_TEXTS(X)
#undef X
    };
    struct err e;

    task.kind = kind;
    task.launcher = (char *)launcher;
    task.attempt_id = (char *)MARK;
    task.source = source;
    task.output = world->executed;
    task.socket_dir = kernel_sockets;

    assert_int_equal(json_parse(&task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    task_encode(&task, &text);
    json_clear(&task.parameters);
    scratch_put(world->attempt, TASK_FILE, text.data);
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    setenv("DOCKER_HOST", "unix:///tmp/segue-test-nowhere.sock", 1);
    world->root = scratch_new();
    world->dead = fs_join(world->root, "cli/deadbeef");
    world->attempt = fs_join(world->dead, "runs/r/steps/s/1");
    world->sockets = fs_join(world->dead, "k/" MARK);
    world->executed = fs_join(world->dead, "runs/r/executed/a.ipynb");
    auto_free char *executed_dir = fs_dirname(world->executed);
    auto_free char *link = fs_join(world->sockets, "attempt");
    scratch_put(world->root, "project/a.ipynb", SOURCE);
    scratch_put(world->dead, "lock", "");
    scratch_put(world->attempt, KEEPER_LOCK, "");
    scratch_put(world->attempt, SOURCE_FILE, SOURCE);
    scratch_put(world->attempt, KEEPER_JOURNAL, JOURNAL);
    scratch_put(world->sockets, "s/kernel-1", "");
    assert_int_equal(fs_mkdirs(executed_dir, 0755, &e), 0);
    assert_int_equal(symlink(world->attempt, link), 0);
    put_task(world, "process", STEP_NOTEBOOK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    scratch_free(world->root);
    free(world->dead);
    free(world->attempt);
    free(world->sockets);
    free(world->executed);
    free(world);
    return 0;
}

/* A kernel that nobody keeps any more. */
static struct child marked(const char *mark)
{
    auto_free char *entry = mem_printf("SEGUE_ATTEMPT=%s", mark);
    struct child_options options = {
        .argv = (const char *const[]){"/bin/sleep", "1000", NULL},
        .env = (const char *const[]){entry, NULL},
    };
    struct child child;
    struct err e;

    assert_int_equal(child_start(&options, &child, &e), 0);
    return child;
}

static bool has_ended(const struct child *child)
{
    struct pollfd fd = {child->pidfd, POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static void put_away(struct child *child)
{
    kill(child->pid, SIGKILL);
    waitpid(child->pid, NULL, 0);
    close(child->pidfd);
}

static void check_completed(const struct world *world)
{
    auto_free char *text = scratch_read("/", world->executed + 1);

    if (!strstr(text, "of the first cell") || !strstr(text, "of the second"))
        fail_msg("%s", text);
}

static void what_a_dead_engine_left_is_cleared(void **state)
{
    struct world *world = *state;
    struct child kernel = marked(MARK), other = marked("another");

    recover_state_dirs(world->root);
    assert_true(has_ended(&kernel));
    assert_false(has_ended(&other));
    check_completed(world);
    assert_false(fs_exists(world->sockets));
    assert_true(fs_exists(world->attempt)); /* what happened can still be read */
    put_away(&kernel);
    put_away(&other);
}

/* The notebook is completed as it was when the step began. */
static void what_became_of_the_source_meanwhile_is_nothing_to_us(void **state)
{
    static const char *const sources[] = {
        "{\"cells\":[],\"metadata\":{},\"nbformat\":4,\"nbformat_minor\":5}", "no notebook", NULL};
    struct world *world = *state;
    auto_free char *source = fs_join(world->root, "project/a.ipynb");
    struct err e;

    assert_int_equal(recover_notebook(world->attempt, &e), 0);
    auto_free char *expected = scratch_read("/", world->executed + 1);
    for (size_t i = 0; i < COUNT(sources); i++) {
        if (sources[i])
            scratch_put(world->root, "project/a.ipynb", sources[i]);
        else
            assert_int_equal(unlink(source), 0);
        assert_int_equal(unlink(world->executed), 0);
        if (recover_notebook(world->attempt, &e) < 0)
            fail_msg("%s", e.text);
        check_completed(world);
        auto_free char *text = scratch_read("/", world->executed + 1);
        assert_string_equal(text, expected);
    }
}

static void again_is_fine(void **state)
{
    struct world *world = *state;

    recover_state_dirs(world->root);
    auto_free char *once = scratch_read("/", world->executed + 1);
    recover_state_dirs(world->root);
    auto_free char *twice = scratch_read("/", world->executed + 1);
    assert_string_equal(once, twice);
    check_completed(world);
}

static void what_belongs_to_a_living_engine_is_left_alone(void **state)
{
    struct world *world = *state;
    auto_free char *lock = fs_join(world->dead, "lock");
    struct err e;
    auto_close int fd = fs_lock(lock, &e);
    struct child kernel = marked(MARK);

    recover_state_dirs(world->root);
    assert_false(has_ended(&kernel));
    assert_true(fs_exists(world->sockets));
    assert_false(fs_exists(world->executed));
    put_away(&kernel);
}

static void what_belongs_to_a_living_keeper_is_left_alone(void **state)
{
    struct world *world = *state;
    auto_free char *lock = fs_join(world->attempt, KEEPER_LOCK);
    struct err e;
    auto_close int fd = fs_lock(lock, &e);
    struct child kernel = marked(MARK);

    recover_state_dirs(world->root);
    assert_false(has_ended(&kernel));
    assert_true(fs_exists(world->sockets));
    assert_false(fs_exists(world->executed));
    put_away(&kernel);
}

/* What is still being set up has no lock yet. */
static void a_directory_without_a_lock_is_left_alone(void **state)
{
    struct world *world = *state;
    auto_free char *lock = fs_join(world->dead, "lock");

    assert_int_equal(unlink(lock), 0);
    recover_state_dirs(world->root);
    assert_true(fs_exists(world->sockets));
}

static void without_docker_a_container_waits_for_the_next_time(void **state)
{
    struct world *world = *state;
    struct child kernel = marked(MARK);

    put_task(world, "docker", STEP_NOTEBOOK);
    recover_state_dirs(world->root);
    assert_true(fs_exists(world->sockets));
    check_completed(world); /* that needs no Docker */
    put_away(&kernel);
}

static void damage_holds_up_nothing(void **state)
{
    static const struct {
        const char *name, *file, *content;
    } rows[] = {
        {"a task that is none", TASK_FILE, "nonsense"},
        {"an empty task", TASK_FILE, "{}"},
        {"a task of the wrong kind", TASK_FILE, "[]"},
        {"an empty journal", KEEPER_JOURNAL, ""},
        {"a journal that is none", KEEPER_JOURNAL, "nonsense\nand more\n"},
    };
    struct world *world = *state;
    auto_free char *link = fs_join(world->sockets, "attempt");
    struct err e;

    for (size_t i = 0; i < COUNT(rows); i++) {
        put_task(world, "process", STEP_NOTEBOOK);
        scratch_put(world->attempt, KEEPER_JOURNAL, JOURNAL);
        scratch_put(world->attempt, rows[i].file, rows[i].content);
        fs_mkdirs(world->sockets, 0755, &e);
        (void)!symlink(world->attempt, link);
        struct child kernel = marked(MARK);
        recover_state_dirs(world->root);
        if (!has_ended(&kernel) || fs_exists(world->sockets))
            fail_msg("%s", rows[i].name);
        put_away(&kernel);
    }
}

static void sockets_that_lead_nowhere_are_removed(void **state)
{
    struct world *world = *state;
    auto_free char *link = fs_join(world->sockets, "attempt");
    auto_free char *empty = fs_join(world->dead, "k/unlinked00");
    struct err e;

    assert_int_equal(fs_mkdirs(empty, 0755, &e), 0);
    assert_int_equal(fs_remove_tree(world->attempt, &e), 0);
    recover_state_dirs(world->root);
    assert_false(fs_exists(world->sockets));
    assert_false(fs_exists(empty));
}

static void a_script_has_no_notebook_to_complete(void **state)
{
    struct world *world = *state;
    struct err e;

    put_task(world, "process", STEP_SHELL);
    assert_int_equal(recover_attempt(world->attempt, MARK, LAUNCHER_PROCESS, &e), 0);
    assert_false(fs_exists(world->executed));
}

static void the_first_thing_that_fails_is_told_and_the_rest_is_done(void **state)
{
    struct world *world = *state;
    auto_free char *journal = fs_join(world->attempt, KEEPER_JOURNAL);
    struct child kernel = marked(MARK);
    struct err e;

    assert_int_equal(recover_attempt(world->attempt, MARK, LAUNCHER_DOCKER, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    check_completed(world);
    assert_int_equal(unlink(journal), 0);
    assert_int_equal(recover_attempt(world->attempt, MARK, LAUNCHER_PROCESS, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_true(has_ended(&kernel));
    put_away(&kernel);
}

static void nothing_to_clear_is_fine(void **state)
{
    (void)state;
    recover_state_dirs("/tmp/segue-test-nowhere");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_dead_engine_left_is_cleared),
        TEST(what_became_of_the_source_meanwhile_is_nothing_to_us),
        TEST(again_is_fine),
        TEST(what_belongs_to_a_living_engine_is_left_alone),
        TEST(what_belongs_to_a_living_keeper_is_left_alone),
        TEST(a_directory_without_a_lock_is_left_alone),
        TEST(without_docker_a_container_waits_for_the_next_time),
        TEST(damage_holds_up_nothing),
        TEST(sockets_that_lead_nowhere_are_removed),
        TEST(a_script_has_no_notebook_to_complete),
        TEST(the_first_thing_that_fails_is_told_and_the_rest_is_done),
        TEST(nothing_to_clear_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
