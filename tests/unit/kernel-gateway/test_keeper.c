#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "kernel-gateway/keeper.h"
#include "tests/unit/base/scratch.c"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A keeper in the test's own process: its loop turns when the test says so. */
struct world {
    char *directory;
    char *socket;
    int life; /* the end that the engine holds; -1: closed */
    struct keeper *keeper;
    enum cause stops[16];
    size_t stop_count;
};

static void on_stop(void *user, enum cause cause)
{
    struct world *world = user;

    assert_true(world->stop_count < COUNT(world->stops));
    world->stops[world->stop_count++] = cause;
}

static const struct keeper_events events = {.stop = on_stop};

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static int set_up(void **state)
{
    struct world *world = mem_zalloc(sizeof *world);
    int life[2];
    struct err e;

    world->directory = scratch_new();
    world->socket = fs_join(world->directory, KEEPER_SOCKET);
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    assert_int_equal(pipe2(life, O_CLOEXEC), 0);
    struct keeper_birth birth = {.directory = world->directory,
                                 .lock_fd = fs_lock(lock, &e),
                                 .listen_fd = listen_at(world->socket),
                                 .life_fd = life[0]};
    world->life = life[1];
    assert_int_equal(keeper_open(&world->keeper, &birth, &events, world, &e), 0);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    keeper_close(world->keeper);
    if (world->life >= 0)
        close(world->life);
    scratch_free(world->directory);
    free(world->socket);
    free(world);
    return 0;
}

static void turn(struct world *world)
{
    loop_dispatch(keeper_loop(world->keeper), -1);
}

/* Everything that is ready now. */
static void settle(struct world *world)
{
    struct pollfd fd = {loop_fd(keeper_loop(world->keeper)), POLLIN, 0};

    while (poll(&fd, 1, 0) == 1)
        turn(world);
}

static int connect_to(struct world *world)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    settle(world);
    return fd;
}

static void add_line(struct world *world)
{
    struct err e;

    journal_begin(keeper_journal(world->keeper), "output");
    assert_int_equal(keeper_commit(world->keeper, NULL, &e), 0);
}

#define NO_NUMBER UINT64_MAX

/* The newest number that the client was told. */
static uint64_t newest(int client)
{
    uint64_t number, last = NO_NUMBER;

    while (recv(client, &number, sizeof number, 0) == (ssize_t)sizeof number)
        last = number;
    return last;
}

/* Turns until the client has heard of this length. */
static void hears(struct world *world, int client, uint64_t size)
{
    uint64_t number = newest(client);

    while (number != size) {
        turn(world);
        uint64_t later = newest(client);
        number = later == NO_NUMBER ? number : later;
    }
}

static void command(struct world *world, int client, const char *text)
{
    assert_int_equal(send(client, text, strlen(text), 0), (ssize_t)strlen(text));
    settle(world);
}

static bool is_at_end(int client)
{
    char byte;

    newest(client);
    return recv(client, &byte, 1, 0) == 0;
}

/* --- up --- */

static void a_client_is_told_the_length_at_once_and_when_it_grows(void **state)
{
    struct world *world = *state;

    add_line(world);
    int client = connect_to(world);
    hears(world, client, journal_size(keeper_journal(world->keeper)));
    for (int i = 0; i < 5; i++) {
        add_line(world);
        hears(world, client, journal_size(keeper_journal(world->keeper)));
    }
    close(client);
}

static void an_empty_journal_has_length_0(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);

    assert_int_equal(newest(client), 0);
    close(client);
}

static void every_client_hears_of_every_line(void **state)
{
    struct world *world = *state;
    int clients[4];

    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = connect_to(world);
    add_line(world);
    for (size_t i = 0; i < COUNT(clients); i++)
        hears(world, clients[i], journal_size(keeper_journal(world->keeper)));
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
}

static void one_client_too_many_is_turned_away_until_another_leaves(void **state)
{
    struct world *world = *state;
    int clients[4];

    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = connect_to(world);
    int late = connect_to(world);
    assert_int_equal(newest(late), NO_NUMBER);
    assert_true(is_at_end(late));
    close(late);
    for (size_t i = 0; i < COUNT(clients); i++)
        assert_false(is_at_end(clients[i]));

    close(clients[2]);
    settle(world);
    clients[2] = connect_to(world);
    assert_int_equal(newest(clients[2]), 0);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
}

static void a_client_that_never_reads_holds_up_nobody(void **state)
{
    struct world *world = *state;
    int deaf = connect_to(world), client = connect_to(world);

    for (int i = 0; i < 500; i++) { /* several hundred packets fill a socket */
        add_line(world);
        hears(world, client, journal_size(keeper_journal(world->keeper)));
    }
    command(world, deaf, "stop timeout"); /* it can still speak */
    assert_int_equal(world->stop_count, 1);
    close(client);
    close(deaf);
}

static void a_flood_of_lines_is_told_in_few_numbers(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);
    size_t numbers = 0;
    uint64_t number = 0;

    for (int i = 0; i < 1000; i++)
        add_line(world);
    while (number != journal_size(keeper_journal(world->keeper))) {
        turn(world);
        while (recv(client, &number, sizeof number, 0) == (ssize_t)sizeof number)
            numbers++;
    }
    assert_true(numbers <= 3);
    close(client);
}

static void the_last_line_is_told_before_the_end(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);

    add_line(world);
    uint64_t size = journal_size(keeper_journal(world->keeper));
    keeper_close(take_ptr(&world->keeper));
    assert_int_equal(newest(client), size);
    assert_true(is_at_end(client));
    close(client);
}

/* --- down --- */

static void commands_are_obeyed(void **state)
{
    static const struct {
        const char *command;
        enum cause cause;
    } rows[] = {
        {"stop cancelled", CAUSE_CANCELLED},
        {"stop timeout", CAUSE_TIMEOUT},
        {"stop storage_failed", CAUSE_STORAGE_FAILED},
        {"stop nobody_knows_why", CAUSE_INTERNAL},
    };
    struct world *world = *state;
    int client = connect_to(world);

    for (size_t i = 0; i < COUNT(rows); i++) {
        command(world, client, rows[i].command);
        assert_int_equal(world->stop_count, i + 1);
        assert_int_equal(world->stops[i], rows[i].cause);
    }
    close(client);
}

static void what_is_no_command_is_not_heard(void **state)
{
    static const char *const rows[] = {
        "stop", "Stop timeout", "stopp timeout", " stop timeout",
        "go",   "\xff\xfe\x01", "stop ", /* and why? */
    };
    struct world *world = *state;
    int client = connect_to(world);

    for (size_t i = 0; i < COUNT(rows); i++) {
        command(world, client, rows[i]);
        if (world->stop_count != 0)
            fail_msg("\"%s\" was obeyed", rows[i]);
    }
    auto_free char *large = mem_zalloc(10000);
    memset(large, 'x', 9999);
    command(world, client, large);
    assert_int_equal(world->stop_count, 0);
    command(world, client, "stop timeout"); /* it was not dropped for it */
    assert_int_equal(world->stop_count, 1);
    close(client);
}

/* For a step that looks once before it starts its work. */
static void one_turn_is_enough_to_hear_who_spoke_before(void **state)
{
    struct world *world = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_true(send(fd, "stop cancelled", 14, 0) > 0);
    turn(world);
    assert_int_equal(world->stop_count, 1);
    settle(world);
    assert_int_equal(world->stop_count, 1);
}

static void any_client_may_command(void **state)
{
    struct world *world = *state;
    int first = connect_to(world), second = connect_to(world);

    command(world, second, "stop timeout");
    command(world, first, "stop cancelled");
    assert_int_equal(world->stop_count, 2);
    assert_int_equal(world->stops[1], CAUSE_CANCELLED);
    close(first);
    close(second);
}

static void the_last_word_of_a_client_that_left_is_heard(void **state)
{
    struct world *world = *state;
    int client = connect_to(world); /* and it does not read what it is told */

    assert_true(send(client, "stop timeout", 12, 0) > 0);
    close(client);
    settle(world);
    assert_int_equal(world->stop_count, 1);
    /* Its place is free again. */
    int clients[4];
    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = connect_to(world);
    for (size_t i = 0; i < COUNT(clients); i++) {
        assert_int_equal(newest(clients[i]), 0);
        close(clients[i]);
    }
}

static void a_client_that_leaves_stops_nothing(void **state)
{
    struct world *world = *state;

    close(connect_to(world));
    settle(world);
    assert_int_equal(world->stop_count, 0);
}

static void the_end_of_the_engine_stops_once(void **state)
{
    struct world *world = *state;

    close(world->life);
    world->life = -1;
    turn(world);
    assert_int_equal(world->stop_count, 1);
    assert_int_equal(world->stops[0], CAUSE_CANCELLED);
    settle(world); /* would never end if that went on */
    assert_int_equal(world->stop_count, 1);
}

static void sigterm_stops(void **state)
{
    struct world *world = *state;

    raise(SIGTERM);
    turn(world);
    assert_int_equal(world->stop_count, 1);
    assert_int_equal(world->stops[0], CAUSE_CANCELLED);
}

/* --- for calls that block --- */

static bool would_cancel(const struct world *world)
{
    struct pollfd fd = {keeper_cancel_fd(world->keeper), POLLIN, 0};

    return poll(&fd, 1, 0) == 1;
}

static void a_blocking_call_sees_commands_and_the_end_of_the_engine(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);

    assert_false(would_cancel(world));
    assert_true(send(client, "stop timeout", 12, 0) > 0);
    assert_true(would_cancel(world));
    settle(world);
    assert_false(would_cancel(world));
    close(client);
    settle(world);
    assert_false(would_cancel(world)); /* one that left is forgotten */
    close(world->life);
    world->life = -1;
    assert_true(would_cancel(world));
}

/* --- life --- */

static void the_lock_is_free_when_everything_is_done(void **state)
{
    struct world *world = *state;
    auto_free char *lock = fs_join(world->directory, KEEPER_LOCK);
    struct err e;

    assert_int_equal(fs_lock(lock, &e), -1);
    keeper_close(take_ptr(&world->keeper));
    auto_close int fd = fs_lock(lock, &e);
    assert_true(fd >= 0);
}

static void it_adopts_what_its_children_leave_behind(void **state)
{
    int is_subreaper = 0;

    (void)state;
    prctl(PR_GET_CHILD_SUBREAPER, &is_subreaper);
    assert_int_equal(is_subreaper, 1);
}

static void a_journal_is_gone_on_with(void **state)
{
    struct world *world = *state;
    struct keeper_birth birth = {.lock_fd = dup(0), .listen_fd = dup(0), .life_fd = -1};
    auto_free char *other = fs_join(world->directory, "other");
    struct keeper *keeper;
    struct err e;

    scratch_put(other, KEEPER_JOURNAL, "{\"n\":1}\n{\"n\":2,");
    close(birth.listen_fd);
    auto_free char *socket = fs_join(other, KEEPER_SOCKET);
    birth.listen_fd = listen_at(socket);
    birth.directory = other;
    assert_int_equal(keeper_open(&keeper, &birth, &events, world, &e), 0);
    assert_int_equal(journal_size(keeper_journal(keeper)), 8);
    keeper_close(keeper);
}

static void without_a_directory_there_is_no_keeper(void **state)
{
    struct keeper_birth birth = {"/tmp/segue-test-nowhere", -1, -1, -1};
    struct keeper *keeper = NULL;
    struct err e;

    (void)state;
    assert_int_equal(keeper_open(&keeper, &birth, &events, NULL, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
    assert_null(keeper);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_told_the_length_at_once_and_when_it_grows),
        TEST(an_empty_journal_has_length_0),
        TEST(every_client_hears_of_every_line),
        TEST(one_client_too_many_is_turned_away_until_another_leaves),
        TEST(a_client_that_never_reads_holds_up_nobody),
        TEST(a_flood_of_lines_is_told_in_few_numbers),
        TEST(the_last_line_is_told_before_the_end),
        TEST(commands_are_obeyed),
        TEST(what_is_no_command_is_not_heard),
        TEST(one_turn_is_enough_to_hear_who_spoke_before),
        TEST(any_client_may_command),
        TEST(the_last_word_of_a_client_that_left_is_heard),
        TEST(a_client_that_leaves_stops_nothing),
        TEST(the_end_of_the_engine_stops_once),
        TEST(sigterm_stops),
        TEST(a_blocking_call_sees_commands_and_the_end_of_the_engine),
        TEST(the_lock_is_free_when_everything_is_done),
        TEST(it_adopts_what_its_children_leave_behind),
        TEST(a_journal_is_gone_on_with),
        TEST(without_a_directory_there_is_no_keeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
