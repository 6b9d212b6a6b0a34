#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/keeper_handle.h"
#include "tests/unit/base/scratch.c"

#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

/* --- the keeper: its news are its pid, how many commands it has heard, and the last of them --- */

struct actor {
    struct keeper *keeper;
    size_t heard;
    char last[64];
};

static void on_command(void *user, const char *command, int *fd)
{
    struct actor *actor = user;

    (void)fd;
    actor->heard++;
    snprintf(actor->last, sizeof actor->last, "%s", command);
    keeper_notify(actor->keeper);
    if (strcmp(command, "end") == 0)
        loop_stop(keeper_loop(actor->keeper));
}

static void on_stop(void *user, enum cause cause)
{
    struct actor *actor = user;

    (void)cause;
    loop_stop(keeper_loop(actor->keeper));
}

static void put_news(void *user, struct buf *out)
{
    const struct actor *actor = user;

    buf_printf(out, "%d %zu %s", getpid(), actor->heard, actor->last);
}

static int act(const struct keeper_birth *birth)
{
    static const struct keeper_events events = {
        .stop = on_stop, .command = on_command, .news = put_news};
    struct actor actor = {0};

    actor.keeper = keeper_open(birth, &events, &actor);
    loop_run(keeper_loop(actor.keeper));
    keeper_close(actor.keeper);
    return 0;
}

/* --- the daemon's side --- */

struct world {
    char *root, *directory, *sockets;
    struct loop *loop;
    struct nursery *nursery;
    struct keeper_site site;
    int life[2];
    struct keeper_handle *handle;
    char news[200]; /* the newest */
    size_t news_count, ends;
};

static void on_news(void *user, struct str packet)
{
    struct world *world = user;

    assert_int_equal(world->ends, 0);
    world->news_count++;
    snprintf(world->news, sizeof world->news, STR_FMT, STR_ARG(packet));
}

static void on_ended(void *user)
{
    struct world *world = user;

    world->ends++;
    assert_true(keeper_has_ended(world->handle));
}

static const struct keeper_handle_events events = {.news = on_news, .ended = on_ended};

static int set_up(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "nursery", NULL};
    struct world *world = mem_zalloc(sizeof *world);
    struct err e;

    world->root = scratch_new();
    world->directory = fs_join(world->root, "kernel");
    world->sockets = fs_join(world->root, "k/mark");
    assert_int_equal(fs_mkdirs(world->directory, 0700, &e), 0);
    assert_int_equal(pipe2(world->life, O_CLOEXEC), 0);
    world->loop = loop_new();
    world->site = (struct keeper_site){.directory = world->directory, .socket_dir = world->sockets};
    assert_int_equal(nursery_start(&world->nursery, nursery, &e), 0);
    *at = world;
    return 0;
}

static int tear_down(void **at)
{
    struct world *world = *at;

    keeper_handle_free(world->handle);
    close(world->life[0]);
    close(world->life[1]); /* whatever keeper is left ends */
    nursery_free(world->nursery);
    loop_free(world->loop);
    scratch_free(world->root);
    free(world->directory);
    free(world->sockets);
    free(world);
    return 0;
}

static int try_bear(struct world *world, struct err *e)
{
    return keeper_bear(&world->handle, world->loop, world->nursery, &world->site, world->life[0],
                       &events, world, e);
}

static void bear(struct world *world)
{
    struct err e;

    if (try_bear(world, &e) < 0)
        fail_msg("%s", e.text);
}

static int try_adopt(struct world *world, enum keeper_found *found, struct err *e)
{
    return keeper_adopt(&world->handle, found, world->loop, world->directory, world->sockets,
                        &events, world, e);
}

static enum keeper_found adopt(struct world *world)
{
    enum keeper_found found;
    struct err e;

    if (try_adopt(world, &found, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(world->handle != NULL, found == KEEPER_LIVES);
    return found;
}

/* The daemon goes; its keeper does not notice. */
static void forget(struct world *world)
{
    keeper_handle_free(take_ptr(&world->handle));
    world->news[0] = 0;
}

/* Turns the loop until these are the end of the newest news. */
static void hear(struct world *world, const char *expected)
{
    size_t len = strlen(expected);

    while (strlen(world->news) < len ||
           strcmp(world->news + strlen(world->news) - len, expected) != 0)
        loop_dispatch(world->loop, -1);
}

static void await_end(struct world *world)
{
    while (world->ends == 0)
        loop_dispatch(world->loop, -1);
    assert_int_equal(world->ends, 1);
}

static pid_t keeper_pid(struct world *world)
{
    while (!world->news[0])
        loop_dispatch(world->loop, -1);
    return atoi(world->news);
}

static void marks_differ_and_fit(void **at)
{
    char marks[200][11];

    (void)at;
    for (size_t i = 0; i < 200; i++) {
        keeper_mark(marks[i]);
        assert_int_equal(strlen(marks[i]), 10);
        assert_int_equal(strspn(marks[i], "abcdefghijklmnopqrstuvwxyz234567"), 10);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(marks[i], marks[k]);
    }
}

/* --- living --- */

static void a_keeper_is_told_and_heard(void **at)
{
    struct world *world = *at;

    bear(world);
    hear(world, " 0 ");
    assert_int_equal(keeper_tell(world->handle, "start"), 0);
    hear(world, " 1 start");
    assert_false(keeper_has_ended(world->handle));
}

static void what_it_is_told_at_once_is_not_lost(void **at)
{
    struct world *world = *at;

    bear(world);
    for (int i = 0; i < 20; i++) /* it may not have begun to look */
        assert_int_equal(keeper_tell(world->handle, "go"), 0);
    hear(world, " 20 go");
}

static void its_last_news_come_before_its_end(void **at)
{
    struct world *world = *at;

    bear(world);
    keeper_tell(world->handle, "end");
    await_end(world);
    hear(world, " 1 end");
    assert_int_equal(keeper_tell(world->handle, "too late"), -1);
}

static void news_that_were_not_read_in_time_come_before_the_end_too(void **at)
{
    struct world *world = *at;

    bear(world);
    for (int i = 0; i < 99; i++)
        keeper_tell(world->handle, "go");
    keeper_tell(world->handle, "end");
    while (keeper_is_alive(world->directory)) /* it has gone before we read anything */
        sched_yield();
    await_end(world);
    hear(world, " 100 end");
}

static void a_keeper_that_was_killed_is_noticed(void **at)
{
    struct world *world = *at;

    bear(world);
    hear(world, " 0 ");
    assert_true(keeper_is_alive(world->directory));
    keeper_kill(world->handle);
    await_end(world);
    assert_false(keeper_is_alive(world->directory));
}

static void a_keeper_ends_with_the_life_it_was_given(void **at)
{
    struct world *world = *at;

    bear(world);
    close(world->life[1]);
    world->life[1] = dup(0);
    await_end(world);
}

static void a_directory_without_a_lock_has_no_keeper(void **at)
{
    struct world *world = *at;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);

    assert_false(keeper_is_alive(world->directory));
    assert_false(fs_exists(lock)); /* to ask makes none */
}

/* --- where it lives --- */

static void its_place_has_the_way_back(void **at)
{
    struct world *world = *at;
    auto_free char *link = fs_join(world->sockets, "attempt"), *s = fs_join(world->sockets, "s");
    char target[500] = "";
    struct stat st;

    bear(world);
    assert_true(readlink(link, target, sizeof target - 1) > 0);
    assert_string_equal(target, world->directory);
    assert_int_equal(stat(s, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void its_kernels_sockets_are_given_to_whom_it_runs_as(void **at)
{
    struct world *world = *at;
    auto_free char *s = fs_join(world->sockets, "s");
    struct stat st;

    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: giving away needs root\n");
        skip();
        return;
    }
    world->site.change_user = true;
    world->site.uid = 12345;
    world->site.gid = 54321;
    bear(world);
    assert_int_equal(stat(s, &st), 0);
    assert_int_equal(st.st_uid, 12345);
    assert_int_equal(st.st_gid, 54321);
}

static void sockets_are_cleared_unless_something_may_be_left(void **at)
{
    struct world *world = *at;
    auto_free char *link = fs_join(world->sockets, "attempt");

    bear(world);
    keeper_kill(world->handle);
    await_end(world);
    keeper_clear_sockets(world->sockets);
    assert_true(fs_exists(link));
    assert_int_equal(unlink(link), 0);
    keeper_clear_sockets(world->sockets);
    assert_false(fs_exists(world->sockets));
    keeper_clear_sockets(world->sockets); /* again: nothing */
}

/* --- refusals --- */

static void check_refused(struct world *world, enum err_code code)
{
    struct err e;

    assert_int_equal(try_bear(world, &e), -1);
    if (e.code != code)
        fail_msg("%s: %s", err_name(e.code), e.text);
    assert_null(world->handle);
    assert_int_equal(fs_exists(world->sockets), code == ERR_UNAVAILABLE);
}

static void a_second_keeper_is_not_borne(void **at)
{
    struct world *world = *at;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;
    auto_close int fd = fs_lock(lock, &e);

    check_refused(world, ERR_CONFLICT);
}

static void a_path_that_is_too_long_for_a_socket_is_refused(void **at)
{
    struct world *world = *at;

    free(world->sockets);
    world->sockets = mem_printf("%s/%0100d", world->root, 7);
    world->site.socket_dir = world->sockets;
    check_refused(world, ERR_LIMIT);
}

static void without_a_place_for_sockets_there_is_no_keeper(void **at)
{
    struct world *world = *at;

    scratch_put(world->root, "k", "a file is in the way");
    check_refused(world, ERR_IO);
}

static void a_nursery_that_was_killed_is_told(void **at)
{
    static const char *const nursery[] = {"/proc/self/exe", "die", NULL};
    struct world *world = *at;
    struct err e;

    nursery_free(world->nursery);
    assert_int_equal(nursery_start(&world->nursery, nursery, &e), 0);
    check_refused(world, ERR_UNAVAILABLE);
    assert_int_equal(adopt(world), KEEPER_NEVER_BEGUN);
}

/* --- taking up --- */

static void one_that_lives_is_taken_up(void **at)
{
    struct world *world = *at;

    bear(world);
    keeper_tell(world->handle, "go");
    hear(world, " 1 go");
    for (int i = 0; i < 3; i++) { /* daemon after daemon */
        forget(world);
        assert_int_equal(adopt(world), KEEPER_LIVES);
        hear(world, " 1 go"); /* by itself */
    }
    keeper_tell(world->handle, "end");
    await_end(world);
}

static void the_death_of_one_that_was_taken_up_is_noticed(void **at)
{
    struct world *world = *at;

    bear(world);
    pid_t pid = keeper_pid(world);
    forget(world);
    assert_int_equal(adopt(world), KEEPER_LIVES);
    kill(pid, SIGKILL);
    await_end(world);
}

static void one_that_has_ended_is_gone(void **at)
{
    struct world *world = *at;

    bear(world);
    keeper_pid(world); /* it has begun */
    keeper_kill(world->handle);
    await_end(world);
    forget(world);
    assert_int_equal(adopt(world), KEEPER_GONE);
}

static void one_that_was_only_decided_or_prepared_has_never_begun(void **at)
{
    struct world *world = *at;

    assert_int_equal(adopt(world), KEEPER_NEVER_BEGUN);
    scratch_put(world->directory, KEEPER_LOCK, "");
    assert_int_equal(adopt(world), KEEPER_NEVER_BEGUN);
}

/* The number in the lock is by now that of some other process. */
static void a_number_that_means_somebody_else_is_not_the_keepers(void **at)
{
    struct world *world = *at;
    auto_free char *pid = mem_printf("%d\n", getpid());

    scratch_put(world->directory, KEEPER_LOCK, pid);
    assert_int_equal(adopt(world), KEEPER_GONE);
}

static void one_that_is_held_by_nobody_known_cannot_be_taken_up(void **at)
{
    static const char *const numbers[] = {"", "999999999\n"};
    struct world *world = *at;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);

    for (size_t i = 0; i < 2; i++) {
        enum keeper_found found;
        struct err e;
        scratch_put(world->directory, KEEPER_LOCK, numbers[i]);
        auto_close int lock_fd = fs_lock(lock, &e);
        assert_true(lock_fd >= 0);
        assert_int_equal(try_adopt(world, &found, &e), -1);
        assert_int_equal(e.code, ERR_UNAVAILABLE);
        assert_null(world->handle);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(marks_differ_and_fit),
        TEST(a_keeper_is_told_and_heard),
        TEST(what_it_is_told_at_once_is_not_lost),
        TEST(its_last_news_come_before_its_end),
        TEST(news_that_were_not_read_in_time_come_before_the_end_too),
        TEST(a_keeper_that_was_killed_is_noticed),
        TEST(a_keeper_ends_with_the_life_it_was_given),
        TEST(a_directory_without_a_lock_has_no_keeper),
        TEST(its_place_has_the_way_back),
        TEST(its_kernels_sockets_are_given_to_whom_it_runs_as),
        TEST(sockets_are_cleared_unless_something_may_be_left),
        TEST(a_second_keeper_is_not_borne),
        TEST(a_path_that_is_too_long_for_a_socket_is_refused),
        TEST(without_a_place_for_sockets_there_is_no_keeper),
        TEST(a_nursery_that_was_killed_is_told),
        TEST(one_that_lives_is_taken_up),
        TEST(the_death_of_one_that_was_taken_up_is_noticed),
        TEST(one_that_has_ended_is_gone),
        TEST(one_that_was_only_decided_or_prepared_has_never_begun),
        TEST(a_number_that_means_somebody_else_is_not_the_keepers),
        TEST(one_that_is_held_by_nobody_known_cannot_be_taken_up),
    };

    if (argc > 1 && strcmp(argv[1], "nursery") == 0)
        return nursery_serve(3, act);
    if (argc > 1) /* a nursery that ends before it has heard anything */
        return 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
