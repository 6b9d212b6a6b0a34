#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernel-gateway/keeper/keeper.h"
#include "kernel-gateway/keeper/packet.h"
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
    uint64_t news;       /* what clients are told: 8 bytes */
    bool has_none;       /* nothing is told */
    struct buf commands; /* as they came, one a line */
    size_t command_count;
    int taken[4]; /* descriptors that came with them and were taken */
    size_t taken_count;
    bool takes;
};

static void on_stop(void *user, enum cause cause)
{
    struct world *world = user;

    assert_true(world->stop_count < COUNT(world->stops));
    world->stops[world->stop_count++] = cause;
}

static void on_command(void *user, const char *command, int *fd)
{
    struct world *world = user;

    buf_printf(&world->commands, "%s\n", command);
    world->command_count++;
    if (world->takes && *fd >= 0) {
        assert_true(world->taken_count < COUNT(world->taken));
        world->taken[world->taken_count++] = take_fd(fd);
    }
}

static void on_news(void *user, struct buf *out)
{
    const struct world *world = user;

    if (!world->has_none)
        buf_put(out, &world->news, sizeof world->news);
}

static const struct keeper_events events = {
    .stop = on_stop, .command = on_command, .news = on_news};

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
    world->keeper = keeper_open(&birth, &events, world);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    keeper_close(world->keeper);
    for (size_t i = 0; i < world->taken_count; i++)
        close(world->taken[i]);
    buf_clear(&world->commands);
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

static void change(struct world *world)
{
    world->news++;
    keeper_notify(world->keeper);
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

/* Turns until this is the newest that the client has heard. */
static void hears(struct world *world, int client, uint64_t news)
{
    uint64_t number = newest(client);

    while (number != news) {
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

static void a_client_is_told_at_once_and_whenever_there_are_news(void **state)
{
    struct world *world = *state;

    change(world);
    int client = connect_to(world);
    hears(world, client, world->news);
    for (int i = 0; i < 5; i++) {
        change(world);
        hears(world, client, world->news);
    }
    close(client);
}

static void where_there_are_no_news_nothing_is_told(void **state)
{
    struct world *world = *state;

    world->has_none = true;
    int client = connect_to(world);
    assert_int_equal(newest(client), NO_NUMBER);
    assert_false(is_at_end(client));
    world->has_none = false;
    change(world);
    hears(world, client, world->news);
    close(client);
}

static void every_client_hears_the_news(void **state)
{
    struct world *world = *state;
    int clients[4];

    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = connect_to(world);
    change(world);
    for (size_t i = 0; i < COUNT(clients); i++)
        hears(world, clients[i], world->news);
    for (size_t i = 0; i < COUNT(clients); i++)
        close(clients[i]);
}

#define PLACES 16

static void one_client_too_many_waits_until_another_leaves(void **state)
{
    struct world *world = *state;
    int clients[PLACES];

    for (size_t i = 0; i < PLACES; i++)
        clients[i] = connect_to(world);
    int late = connect_to(world);
    assert_true(send(late, "admit me", 8, 0) > 0);
    settle(world); /* would never end if it was asked again and again */
    assert_int_equal(newest(late), NO_NUMBER);
    assert_false(is_at_end(late));
    assert_int_equal(world->command_count, 0);

    close(clients[2]);
    settle(world);
    assert_int_equal(newest(late), world->news);
    assert_string_equal(buf_text(&world->commands), "admit me\n");
    clients[2] = late;
    for (size_t i = 0; i < PLACES; i++) {
        assert_false(is_at_end(clients[i]));
        close(clients[i]);
    }
}

static void a_client_that_never_reads_holds_up_nobody(void **state)
{
    struct world *world = *state;
    int deaf = connect_to(world), client = connect_to(world);

    for (int i = 0; i < 500; i++) { /* several hundred packets fill a socket */
        change(world);
        hears(world, client, world->news);
    }
    command(world, deaf, "stop timeout"); /* it can still speak */
    assert_int_equal(world->stop_count, 1);
    assert_true(newest(deaf) < world->news); /* and what it reads is old, */
    hears(world, deaf, world->news);         /* until the newest comes by itself */
    settle(world);
    close(client);
    close(deaf);
}

static void a_flood_of_news_is_told_in_few_packets(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);
    size_t numbers = 0;
    uint64_t number = 0;

    for (int i = 0; i < 1000; i++)
        change(world);
    while (number != world->news) {
        turn(world);
        while (recv(client, &number, sizeof number, 0) == (ssize_t)sizeof number)
            numbers++;
    }
    assert_true(numbers <= 3);
    close(client);
}

static void the_last_news_are_told_before_the_end(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);

    change(world);
    uint64_t news = world->news;
    keeper_close(take_ptr(&world->keeper));
    assert_int_equal(newest(client), news);
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

static void what_is_no_stop_is_left_to_the_driver(void **state)
{
    static const char *const rows[] = {
        "stop", "Stop timeout", "stopp timeout", " stop timeout", "go", "\xff\xfe\x01",
    };
    struct world *world = *state;
    int client = connect_to(world);
    auto_buf struct buf expected = {0};

    for (size_t i = 0; i < COUNT(rows); i++) {
        command(world, client, rows[i]);
        buf_printf(&expected, "%s\n", rows[i]);
    }
    assert_string_equal(buf_text(&world->commands), expected.data);
    command(world, client, "stop "); /* and why? */
    assert_int_equal(world->stop_count, 0);
    assert_int_equal(world->command_count, COUNT(rows));
    close(client);
}

static void a_command_may_be_long_and_is_cut_off_where_it_is_too_long(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);
    auto_free char *large = mem_zalloc(KEEPER_COMMAND_MAX + 101);

    memset(large, 'x', KEEPER_COMMAND_MAX);
    command(world, client, large);
    assert_int_equal(world->commands.len, KEEPER_COMMAND_MAX + 1);
    memset(large, 'x', KEEPER_COMMAND_MAX + 100);
    command(world, client, large);
    assert_int_equal(world->commands.len, 2 * (KEEPER_COMMAND_MAX + 1));
    command(world, client, "stop timeout"); /* it was not dropped for it */
    assert_int_equal(world->stop_count, 1);
    close(client);
}

/* --- with descriptors --- */

static size_t open_descriptors(void)
{
    size_t count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void send_with(struct world *world, int client, const char *text, size_t fd_count)
{
    int pair[2], fds[PACKET_FDS_MAX];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = pair[1];
    assert_int_equal(packet_send(client, text, strlen(text), fds, fd_count, 0), 0);
    close(pair[1]);
    settle(world);
    if (world->taken_count > 0) { /* the first one is the one that was sent */
        char byte;
        assert_int_equal(write(world->taken[world->taken_count - 1], "!", 1), 1);
        assert_int_equal(read(pair[0], &byte, 1), 1);
    }
    close(pair[0]);
}

static void a_descriptor_that_is_taken_stays_open(void **state)
{
    struct world *world = *state;
    int client = connect_to(world);
    size_t before = open_descriptors();

    world->takes = true;
    send_with(world, client, "admit {}", 1);
    assert_int_equal(world->taken_count, 1);
    assert_true(fcntl(world->taken[0], F_GETFD) & FD_CLOEXEC);
    send_with(world, client, "admit {}", PACKET_FDS_MAX); /* those behind the first are closed */
    assert_int_equal(world->taken_count, 2);
    assert_int_equal(open_descriptors(), before + 2);
    assert_string_equal(buf_text(&world->commands), "admit {}\nadmit {}\n");
    close(client);
}

static void a_descriptor_that_nobody_takes_is_closed(void **state)
{
    static const char *const rows[] = {"admit {}", "stop timeout", "stop "};
    struct world *world = *state;
    int client = connect_to(world);
    size_t before = open_descriptors();

    for (size_t i = 0; i < COUNT(rows); i++)
        send_with(world, client, rows[i], 1);
    assert_int_equal(open_descriptors(), before);
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
    int clients[PLACES];
    for (size_t i = 0; i < COUNT(clients); i++)
        clients[i] = connect_to(world);
    for (size_t i = 0; i < COUNT(clients); i++) {
        assert_int_equal(newest(clients[i]), 0);
        close(clients[i]);
    }
}

static void a_client_that_speaks_and_leaves_at_once_is_heard_to_its_end(void **state)
{
    struct world *world = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", world->socket);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    for (int i = 0; i < 100; i++)
        assert_true(send(fd, "go", 2, 0) > 0);
    close(fd);
    settle(world);
    assert_int_equal(world->command_count, 100);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_client_is_told_at_once_and_whenever_there_are_news),
        TEST(where_there_are_no_news_nothing_is_told),
        TEST(every_client_hears_the_news),
        TEST(one_client_too_many_waits_until_another_leaves),
        TEST(a_client_that_never_reads_holds_up_nobody),
        TEST(a_flood_of_news_is_told_in_few_packets),
        TEST(the_last_news_are_told_before_the_end),
        TEST(commands_are_obeyed),
        TEST(what_is_no_stop_is_left_to_the_driver),
        TEST(a_command_may_be_long_and_is_cut_off_where_it_is_too_long),
        TEST(a_descriptor_that_is_taken_stays_open),
        TEST(a_descriptor_that_nobody_takes_is_closed),
        TEST(a_client_that_speaks_and_leaves_at_once_is_heard_to_its_end),
        TEST(one_turn_is_enough_to_hear_who_spoke_before),
        TEST(any_client_may_command),
        TEST(the_last_word_of_a_client_that_left_is_heard),
        TEST(a_client_that_leaves_stops_nothing),
        TEST(the_end_of_the_engine_stops_once),
        TEST(sigterm_stops),
        TEST(a_blocking_call_sees_commands_and_the_end_of_the_engine),
        TEST(the_lock_is_free_when_everything_is_done),
        TEST(it_adopts_what_its_children_leave_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
