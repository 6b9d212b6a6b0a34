/* Real keepers with a fake kernel, found by their sockets in a state directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/engine/recover.h"
#include "runner/engine/step_kernels.h"
#include "tests/unit/runner/step/notebook_step.c"

struct world {
    char *root;
    struct state state;
};

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    assert_int_equal(state_open(&world->state, world->root, &e), 0);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    state_close(&world->state);
    scratch_free(world->root);
    free(world);
    return 0;
}

/* As the engine would have it: k/<mark> with the socket and the way to the attempt's directory. */
static void put_mark(const struct world *world, const char *mark, const char *directory,
                     const char *socket_path)
{
    auto_free char *sockets = state_socket_dir(&world->state, mark);
    auto_free char *link = fs_join(sockets, "attempt");
    auto_free char *keeper = fs_join(sockets, KEEPER_SOCKET);
    struct err e;

    assert_int_equal(fs_mkdirs(sockets, 0755, &e), 0);
    assert_int_equal(symlink(directory, link), 0);
    if (socket_path)
        assert_int_equal(symlink(socket_path, keeper), 0);
}

static void start(const struct world *world, struct step_keeper *keeper, const struct cell *cells,
                  int64_t keep_s, const char *awaited)
{
    init(keeper, cells, FAKE_KERNEL);
    keeper->task.keep_kernel_s = keep_s;
    keeper->task.environment = mem_strdup("python");
    step_keeper_start(keeper);
    auto_free char *socket_path = fs_join(keeper->root, KEEPER_SOCKET);
    put_mark(world, keeper->task.attempt_id, keeper->attempt, socket_path);
    step_keeper_await(keeper, awaited);
}

static const struct cell hangs[] = {{"up\nhang", NULL}, {0}};
static const struct cell fails[] = {{"raise ValueError", NULL}, {0}};

static struct uuid id_of(const struct step_keeper *keeper)
{
    auto_free char *name = mem_printf("segue.attempt.%s", keeper->task.attempt_id);

    return uuid_from_name(name);
}

static void stop(struct step_keeper *keeper)
{
    step_keeper_stop(keeper, "cancelled");
    assert_int_equal(step_keeper_wait(keeper), 0);
    step_keeper_clear(keeper);
}

static size_t count_listed(const struct world *world)
{
    struct step_kernel *kernels;
    size_t count = step_kernels_list(&world->state, &kernels);

    for (size_t i = 0; i < count; i++)
        step_kernel_clear(&kernels[i]);
    free(kernels);
    return count;
}

static void nothing_runs(void **at)
{
    assert_int_equal(count_listed(*at), 0);
}

static void a_step_that_runs_and_one_that_was_kept(void **at)
{
    const struct world *world = *at;
    struct step_keeper running, kept;
    struct step_kernel *kernels;

    start(world, &running, hangs, 0, "up\\n");
    start(world, &kept, fails, 3600, "step_finished");
    assert_int_equal(step_kernels_list(&world->state, &kernels), 2);
    assert_string_equal(kernels[0].id, id_of(&running).text); /* the older one */
    assert_string_equal(kernels[0].name, "fake");
    assert_string_equal(kernels[0].run_uuid, running.task.run_uuid);
    assert_string_equal(kernels[0].step_uuid, running.task.step_uuid);
    assert_string_equal(kernels[0].source, running.task.source);
    assert_string_equal(kernels[0].launcher, "process");
    assert_string_equal(kernels[0].environment, "python");
    assert_null(kernels[0].image);
    assert_int_equal(kernels[0].attempt, 1);
    assert_int_equal(kernels[0].news.activity, KERNEL_ACTIVITY_BUSY);
    assert_true(kernels[0].created_us > 0);
    assert_false(kernels[0].is_kept);
    assert_true(kernels[1].is_kept);
    assert_int_equal(kernels[1].news.activity, KERNEL_ACTIVITY_IDLE);
    for (int i = 0; i < 2; i++)
        step_kernel_clear(&kernels[i]);
    free(kernels);
    stop(&running);
    stop(&kept);
    assert_int_equal(count_listed(world), 0);
}

/* Scripts, steps whose keepers are gone, and what is no step at all. */
static void what_has_no_kernel_of_a_step(void **at)
{
    const struct world *world = *at;
    struct step_keeper script, running;
    auto_free char *elsewhere = fs_join(world->root, "kernels/1");
    auto_free char *socket_path = NULL;

    step_keeper_init(&script, STEP_SHELL, "a.sh", "echo up; sleep 1000");
    step_keeper_start(&script);
    socket_path = fs_join(script.root, KEEPER_SOCKET);
    put_mark(world, script.task.attempt_id, script.attempt, socket_path);
    step_keeper_await(&script, "up\\n");
    scratch_put(elsewhere, "interactive.json", "{}");
    put_mark(world, "interactiv", elsewhere,
             socket_path); /* a keeper that listens, of another kind */
    put_mark(world, "gonegonego", "/no/such/directory", NULL);
    start(world, &running, hangs, 0, "up\\n");
    assert_int_equal(count_listed(world), 1);
    kill(running.pid, SIGKILL);
    step_keeper_wait(&running);
    child_kill_marked("SEGUE_ATTEMPT", running.task.attempt_id);
    assert_int_equal(count_listed(world), 0);
    step_keeper_clear(&running);
    stop(&script);
}

static void one_is_found_and_told(void **at)
{
    const struct world *world = *at;
    struct step_keeper keeper;
    struct step_kernel kernel;
    struct err e;

    start(world, &keeper, hangs, 0, "up\\n");
    assert_false(step_kernels_find(&world->state, "00000000-0000-4000-8000-000000000000", &kernel));
    assert_false(step_kernels_find(&world->state, "", &kernel));
    assert_true(step_kernels_find(&world->state, id_of(&keeper).text, &kernel));
    assert_string_equal(kernel.name, "fake");
    assert_int_equal(step_kernel_tell(&kernel, "interrupt", &e), 0);
    check_end(&keeper, "FAILURE", "cell_error", "KeyboardInterrupt");
    assert_int_equal(step_kernel_tell(&kernel, "interrupt", &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    step_kernel_clear(&kernel);
    step_keeper_clear(&keeper);
}

static void a_kept_one_is_released(void **at)
{
    const struct world *world = *at;
    struct step_keeper keeper;
    struct step_kernel kernel;

    start(world, &keeper, fails, 3600, "step_finished");
    assert_true(step_kernels_find(&world->state, id_of(&keeper).text, &kernel));
    while (!step_kernel_release(kernel.socket_path))
        ; /* it waits for a moment only */
    assert_int_equal(step_keeper_wait(&keeper), 0);
    assert_true(step_kernel_release(kernel.socket_path)); /* is gone already */
    step_kernel_clear(&kernel);
    step_keeper_clear(&keeper);
}

/* What belongs to a run is ended, and nothing of another run. */
static void of_a_run_everything_is_ended(void **at)
{
    const struct world *world = *at;
    auto_free char *marks = fs_join(world->state.dir, "k");
    struct step_keeper mine, other;

    start(world, &mine, fails, 3600, "step_finished");
    start(world, &other, fails, 3600, "step_finished");
    auto_free char *sockets = state_socket_dir(&world->state, mine.task.attempt_id);
    assert_int_equal(recover_mark(sockets, mine.task.attempt_id), -1); /* it lives */
    assert_true(fs_exists(sockets));
    while (recover_run(marks, mine.root) < 0)
        ; /* it waits for a moment only */
    assert_int_equal(step_keeper_wait(&mine), 0);
    assert_false(fs_exists(sockets));
    assert_int_equal(count_listed(world), 1);
    assert_int_equal(recover_run(marks, mine.root), 0);
    step_keeper_clear(&mine);
    stop(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_runs),
        TEST(a_step_that_runs_and_one_that_was_kept),
        TEST(what_has_no_kernel_of_a_step),
        TEST(one_is_found_and_told),
        TEST(a_kept_one_is_released),
        TEST(of_a_run_everything_is_ended),
    };

    if (argc == 3 && strcmp(argv[1], FAKE_KERNEL) == 0)
        cell_kernel(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
