#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/child.h"
#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "runner/engine/attempt.h"
#include "runner/engine/janitor.h"
#include "runner/step/task.h"
#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <pthread.h>

/* `removed` comes on the janitor's thread: it writes the run's number into a pipe. */
struct world {
    char *root;
    struct state state;
    struct janitor *janitor;
    int removed[2];
};

static void on_removed(void *user, int64_t run)
{
    struct world *world = user;

    (void)!write(world->removed[1], &run, sizeof run);
}

static int set_up(void **at)
{
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    assert_int_equal(state_open(&world->state, world->root, &e), 0);
    assert_int_equal(pipe(world->removed), 0);
    world->janitor = janitor_new(on_removed, world);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    janitor_free(world->janitor);
    close(world->removed[0]);
    close(world->removed[1]);
    state_close(&world->state);
    scratch_free(world->root);
    free(world);
    return 0;
}

static int64_t next_removed(struct world *world)
{
    struct pollfd fd = {world->removed[0], POLLIN, 0};
    int64_t run = 0;

    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_int_equal(read(world->removed[0], &run, sizeof run), (ssize_t)sizeof run);
    return run;
}

/* It does one thing after the other: what was asked before is done when this is. */
static void wait_for_all(struct world *world)
{
    janitor_remove(world->janitor, &world->state, 4711, fs_join(world->root, "nothing"));
    assert_int_equal(next_removed(world), 4711);
}

/* --- files --- */

static void files_are_removed_and_that_is_told(void **at)
{
    struct world *world = *at;

    for (int64_t run = 1; run <= 5; run++) {
        auto_free char *name = mem_printf("runs/%lld/steps/a/1/journal", (long long)run);
        scratch_put(world->root, name, "x");
    }
    for (int64_t run = 1; run <= 4; run++)
        janitor_remove(world->janitor, &world->state, run,
                       mem_printf("%s/runs/%lld", world->root, (long long)run));
    for (int64_t run = 1; run <= 5; run++) {
        auto_free char *path = mem_printf("%s/runs/%lld", world->root, (long long)run);
        if (run <= 4)
            assert_int_equal(next_removed(world), run);
        assert_int_equal(fs_exists(path), run == 5);
    }
}

static void files_that_are_gone_are_removed(void **at)
{
    wait_for_all(*at);
}

/* It goes on with what else there is. */
static void what_cannot_be_removed_is_not_told(void **at)
{
    struct world *world = *at;

    /* Nothing can be removed below a path whose parent is no directory. */
    scratch_put(world->root, "file", "");
    janitor_remove(world->janitor, &world->state, 1, fs_join(world->root, "file/below"));
    wait_for_all(world);
    struct pollfd fd = {world->removed[0], POLLIN, 0};
    assert_int_equal(poll(&fd, 1, 0), 0);
}

/* --- attempts --- */

/* An attempt that is in the middle of something, as its engine and its keeper left it. */
static char *leave_attempt(struct world *world, const char *mark)
{
    auto_free char *name = mem_printf("runs/r/steps/s/%s", mark);
    auto_free char *directory = fs_join(world->root, name);
    auto_free char *sockets = state_socket_dir(&world->state, mark);
    auto_free char *link = fs_join(sockets, "attempt");
    auto_buf struct buf text = {0};
    struct task task = {0};
    struct err e;

#define X(name) task.name = mem_strdup("the " #name);
    TASK_NEEDED_TEXTS(X)
#undef X
    task.kind = STEP_SHELL;
    assert_int_equal(json_parse(&task.parameters, STR("{}"), JSON_STRICT, NULL, &e), 0);
    task_encode(&task, &text);
    task_clear(&task);
    scratch_put(directory, TASK_FILE, text.data);
    scratch_put(directory, KEEPER_LOCK, "1\n");
    assert_int_equal(fs_mkdirs(sockets, 0755, &e), 0);
    assert_int_equal(symlink(directory, link), 0);
    return take_ptr(&directory);
}

static struct child start_marked(const char *mark)
{
    auto_free char *variable = mem_printf("SEGUE_ATTEMPT=%s", mark);
    struct child_options options = {
        .argv = (const char *const[]){"sleep", "1000", NULL},
        .env = (const char *const[]){"PATH=/usr/bin:/bin", variable, NULL},
    };
    struct child child;
    struct err e;

    if (child_start(&options, &child, &e) < 0)
        fail_msg("%s", e.text);
    return child;
}

static void check_ended(struct child *child)
{
    struct pollfd fd = {child->pidfd, POLLIN, 0};
    struct child_status status;

    assert_int_equal(poll(&fd, 1, 60000), 1);
    assert_true(child_reap(child->pid, &status));
    assert_false(status.exited);
    close(child->pidfd);
}

static void what_a_mark_leads_to_is_ended(void **at)
{
    struct world *world = *at;
    char mark[11];

    keeper_mark(mark);
    auto_free char *directory = leave_attempt(world, mark);
    auto_free char *sockets = state_socket_dir(&world->state, mark);
    struct child child = start_marked(mark);
    janitor_clean(world->janitor, &world->state, mark);
    check_ended(&child);
    wait_for_all(world);
    assert_false(fs_exists(sockets));
    assert_true(fs_exists(directory)); /* what it has written stays */
}

static void what_a_living_keeper_holds_is_left_to_it(void **at)
{
    struct world *world = *at;
    char mark[11];
    struct err e;

    keeper_mark(mark);
    auto_free char *directory = leave_attempt(world, mark);
    auto_free char *sockets = state_socket_dir(&world->state, mark);
    auto_free char *lock = fs_join(directory, KEEPER_LOCK);
    struct child child = start_marked(mark);
    int lock_fd = fs_lock(lock, &e);
    janitor_clean(world->janitor, &world->state, mark);
    wait_for_all(world);
    struct pollfd fd = {child.pidfd, POLLIN, 0};
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_true(fs_exists(sockets));
    assert_int_equal(janitor_marks(world->janitor), 1); /* it is looked after */
    janitor_clean(world->janitor, &world->state, mark);
    wait_for_all(world);
    assert_int_equal(janitor_marks(world->janitor), 1); /* once */
    close(lock_fd);
    janitor_clean(world->janitor, &world->state, mark);
    check_ended(&child);
    wait_for_all(world);
    assert_int_equal(janitor_marks(world->janitor), 0);
}

/* Nothing leads from it to an attempt: it was being made, or removed. */
static void a_mark_that_leads_nowhere_is_removed(void **at)
{
    struct world *world = *at;
    auto_free char *sockets = state_socket_dir(&world->state, "abcdefghij");

    scratch_put(sockets, "s/x", "");
    janitor_clean(world->janitor, &world->state, "abcdefghij");
    wait_for_all(world);
    assert_false(fs_exists(sockets));
}

static void what_other_engines_left_is_ended(void **at)
{
    struct world *world = *at;
    struct state other;
    char mark[11];
    struct err e;

    keeper_mark(mark);
    assert_int_equal(state_create(&other, world->root, &e), 0);
    auto_free char *mine = state_socket_dir(&world->state, mark);
    auto_free char *its = state_socket_dir(&other, mark);
    auto_free char *directory = leave_attempt(world, mark);
    assert_int_equal(rename(mine, its), 0);
    struct child child = start_marked(mark);
    janitor_clean_others(world->janitor, &world->state);
    wait_for_all(world);
    assert_true(fs_exists(its)); /* its engine lives */
    state_close(&other);
    janitor_clean_others(world->janitor, &world->state);
    check_ended(&child);
    wait_for_all(world);
    assert_false(fs_exists(its));
}

/* --- life --- */

static void letting_go_waits_for_nothing_else(void **at)
{
    struct world *world = *at;
    struct err e;

    for (int i = 0; i < 1000; i++) {
        auto_free char *path = mem_printf("%s/runs/%d", world->root, i);
        assert_int_equal(fs_mkdirs(path, 0755, &e), 0);
    }
    for (int i = 0; i < 1000; i++)
        janitor_remove(world->janitor, &world->state, i, mem_printf("%s/runs/%d", world->root, i));
    janitor_free(take_ptr(&world->janitor));
    /* What was told is gone, in their order; the rest is still there. */
    close(world->removed[1]);
    world->removed[1] = -1;
    int64_t next = 0, run;
    for (; read(world->removed[0], &run, sizeof run) == (ssize_t)sizeof run; next++)
        assert_int_equal(run, next);
    for (int i = 0; i < 1000; i++) {
        auto_free char *path = mem_printf("%s/runs/%d", world->root, i);
        assert_int_equal(fs_exists(path), i >= next);
    }
    janitor_free(NULL);
}

struct asker {
    pthread_t thread;
    struct world *world;
    int number;
};

static void *ask(void *user)
{
    struct asker *asker = user;

    for (int i = 0; i < 200; i++)
        janitor_remove(asker->world->janitor, &asker->world->state, asker->number * 200 + i,
                       mem_printf("%s/nothing", asker->world->root));
    return NULL;
}

static void many_threads_ask(void **at)
{
    struct world *world = *at;
    struct asker askers[4];
    int next[4] = {0};

    for (int i = 0; i < 4; i++) {
        askers[i] = (struct asker){.world = world, .number = i};
        assert_int_equal(pthread_create(&askers[i].thread, NULL, ask, &askers[i]), 0);
    }
    for (int i = 0; i < 800; i++) {
        int64_t run = next_removed(world);
        assert_int_equal(run % 200, next[run / 200]++);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(askers[i].thread, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_removed_and_that_is_told),
        TEST(files_that_are_gone_are_removed),
        TEST(what_cannot_be_removed_is_not_told),
        TEST(what_a_mark_leads_to_is_ended),
        TEST(what_a_living_keeper_holds_is_left_to_it),
        TEST(a_mark_that_leads_nowhere_is_removed),
        TEST(what_other_engines_left_is_ended),
        TEST(letting_go_waits_for_nothing_else),
        TEST(many_threads_ask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
