/* Clients that are too slow, over sockets and with a patience of a quarter of a second: that they
 * are cut off at all, whatever they send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/watch.h"
#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    serve(&served, (struct server_limits){.patience_ms = 250});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

/* Until it ends; what comes before does not matter. */
static void wait_for_end(struct client *client)
{
    while (client_fill(client))
        continue;
}

/* A byte now and then, until the server has enough of it. */
static void drip(struct client *client, const char *bytes, size_t count)
{
    for (size_t i = 0;; i = (i + 1) % count) {
        struct pollfd fd = {client->fd, POLLIN, 0};
        if (!client_try_send(client, bytes + i, 1))
            return;
        if (poll(&fd, 1, 1) > 0)
            break;
    }
    wait_for_end(client);
}

static void who_is_slow_is_cut_off(void **state)
{
    static const struct {
        const char *name, *begin, *drip;
    } rows[] = {
        {"nothing", "", NULL},
        {"empty lines", "", "\r\n"},
        {"a part of a request", "GET /hel", NULL},
        {"a path without end", "GET /", "x"},
        {"headers without end", "GET /hello HTTP/1.1\r\n", "X: y\r\n"},
        {"a part of a body", POST("/echo", "100") "{", NULL},
        {"a body in drips", POST("/echo", "100000") "{", "x"},
        {"chunks in drips", POST_CHUNKED("/echo"), "1\r\nx\r\n"},
        {"a refused body in drips", "POST /echo HTTP/1.1\r\n" LOCAL "Content-Length: 50000\r\n\r\n",
         "x"},
        {"a trailer in drips", POST_CHUNKED("/echo") "0\r\n", "X: y\r\n"},
        {"silence after a request", GET("/hello"), NULL},
        {"slow after a request", GET("/hello") "GET /", "x"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_client struct client client = client_open(served.port);
        client_send(&client, rows[i].begin);
        if (rows[i].drip)
            drip(&client, rows[i].drip, strlen(rows[i].drip));
        else
            wait_for_end(&client);
    }
}

/* Each megabyte buys ten seconds: others come and are cut off meanwhile. */
static void who_sends_much_is_given_time(void **state)
{
    static char body[1000000];
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    memset(body, 'x', sizeof body);
    client_send(&client, POST("/large", "1000001"));
    assert_true(client_try_send(&client, body, sizeof body));
    for (int i = 0; i < 3; i++) {
        auto_client struct client other = client_open(served.port);
        wait_for_end(&other);
    }
    client_send(&client, "x");
    client_take_reply(&client, &reply);
    expect_status(&reply, 200);
    assert_int_equal(reply.body.len, 1000001);
}

/* However long the handler takes. */
static void who_waits_for_an_answer_is_not_cut_off(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_send(&client, GET("/hold"));
    wait_for_held(&served, 1);
    for (int i = 0; i < 3; i++) {
        auto_client struct client other = client_open(served.port);
        wait_for_end(&other);
    }
    release_held(&served);
    client_take_reply(&client, &reply);
    expect_status(&reply, 200);
}

static void they_are_counted(void **state)
{
    auto_buf struct buf text = {0};
    const char *at;

    (void)state;
    server_metrics(served.server, &text);
    at = strstr(text.data, "\nsegue_http_slow_clients_total ");
    assert_non_null(at);
    assert_true(atoi(strchr(at, ' ')) >= 12);
}

static void read_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

/* Two that are late, and two at the end; of each two the first was released before. */
static void what_was_released_is_left_alone(void **state)
{
    int pairs[4][2];
    struct peer *peers[4];
    struct err e;
    char byte = 0;
    struct watch *late = watch_new(1, &e), *patient = watch_new(1000 * PATIENCE_S, &e);

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pairs[i]), 0);
        peers[i] = peer_open(i < 2 ? late : patient, pairs[i][0]);
        if (i % 2 == 0) {
            peer_release(peers[i]);
            peer_await(peers[i]);
        }
    }
    read_end(pairs[1][1]); /* cut off */
    watch_cut_all(patient);
    read_end(pairs[3][1]);
    for (int i = 0; i < 4; i += 2) {
        assert_int_equal(send(pairs[i][1], "x", 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(pairs[i][0], &byte, 1, 0), 1);
        assert_int_equal(byte, 'x');
    }
    for (int i = 0; i < 4; i++) {
        peer_close(peers[i]);
        close(pairs[i][0]);
        close(pairs[i][1]);
    }
    assert_int_equal(watch_cut_count(late), 1);
    watch_free(late);
    watch_free(patient);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_slow_is_cut_off),
        cmocka_unit_test(who_sends_much_is_given_time),
        cmocka_unit_test(who_waits_for_an_answer_is_not_cut_off),
        cmocka_unit_test(they_are_counted),
        cmocka_unit_test(what_was_released_is_left_alone),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
