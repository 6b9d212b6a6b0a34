/* Life of a server: how it starts, and how it ends with work under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- starting --- */

static void a_port_that_is_taken_is_a_conflict(void **state)
{
    struct served served;
    struct server *second = NULL;
    struct err e;

    (void)state;
    serve(&served, (struct server_limits){0});
    struct server_options options = {
        .address = "127.0.0.1", .port = (uint16_t)served.port, .token = "t"};
    assert_int_equal(server_start(&second, &options, NULL, &e), -1);
    assert_int_equal(e.code, ERR_CONFLICT);
    assert_non_null(strstr(e.text, "127.0.0.1"));
    assert_null(second);
    serve_end(&served);
    assert_int_equal(server_start(&second, &options, NULL, &e), 0);
    server_stop(second);
}

static void what_is_no_address_here_is_refused(void **state)
{
    static const char *const addresses[] = {"localhost", "", "127.0.0.256", "[::1]", "192.0.2.1"};

    (void)state;
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct server_options options = {.address = addresses[i], .token = "t"};
        struct server *server = NULL;
        struct err e;
        if (server_start(&server, &options, NULL, &e) == 0)
            fail_msg("\"%s\" was taken", addresses[i]);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void it_listens_on_ipv6_too(void **state)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct server_options options = {.address = "::1",
                                     .token = "secret",
                                     .routes = served_routes,
                                     .route_count = COUNT(served_routes)};
    auto_reply struct reply reply = {0};
    struct server *server;
    struct err e;

    (void)state;
    if (server_start(&server, &options, NULL, &e) < 0) {
        print_message("skipped: no IPv6 here: %s\n", e.text);
        skip();
    }
    auto_client struct client client = {.fd = socket(AF_INET6, SOCK_STREAM, 0)};
    address.sin6_port = htons(server_port(server));
    assert_int_equal(connect(client.fd, (struct sockaddr *)&address, sizeof address), 0);
    client_ask(&client, "GET /hello HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", &reply);
    expect_status(&reply, 200);
    server_stop(server);
}

/* --- stopping --- */

static void nothing_is_stopped_too(void **state)
{
    (void)state;
    server_stop(NULL);
}

struct stopping {
    struct served *served;
    pthread_t thread;
};

static void *run_stop(void *user)
{
    struct served *served = user;
    server_stop(served->server);
    return NULL;
}

/* From here on new requests are refused: how the test knows that the stop has begun. */
static void begin_stop(struct stopping *stopping, struct served *served, struct client *witness)
{
    auto_reply struct reply reply = {0};

    stopping->served = served;
    pthread_create(&stopping->thread, NULL, run_stop, served);
    do {
        client_ask(witness, GET("/hello"), &reply);
    } while (reply.status == 200);
    expect_status(&reply, 503);
    assert_string_equal(reply_header(&reply, "Connection"), "close");
    client_expect_end(witness);
}

static void finish_stop(struct stopping *stopping)
{
    pthread_join(stopping->thread, NULL);
    stopping->served->server = NULL;
}

#define PATIENT ((struct server_limits){.stop_grace_ms = 1000 * PATIENCE_S})
#define HASTY   ((struct server_limits){.stop_grace_ms = 1})

static void pending_answers_are_waited_for_and_sent(void **state)
{
    auto_reply struct reply reply = {0};
    struct stopping stopping;
    struct served served;

    (void)state;
    serve(&served, PATIENT);
    auto_client struct client idle = client_open(served.port);
    auto_client struct client pending = client_open(served.port);
    auto_client struct client witness = client_open(served.port);
    client_ask(&idle, GET("/hello"), &reply);
    client_send(&pending, GET("/hold"));
    wait_for_held(&served, 1);
    begin_stop(&stopping, &served, &witness);
    release_held(&served);
    client_take_reply(&pending, &reply);
    expect_reply(&reply, 200, "{\"hello\":true}");
    client_expect_end(&pending);
    client_expect_end(&idle);
    finish_stop(&stopping);
    serve_end(&served);
}

/* What is answered after that is thrown away, in its own time. */
static void who_does_not_answer_is_cut_off(void **state)
{
    struct client pending[20];
    struct served served;

    (void)state;
    serve(&served, HASTY);
    for (unsigned i = 0; i < 20; i++) {
        pending[i] = client_open(served.port);
        client_send(&pending[i], i % 2 ? GET("/hold") : POST("/hold", "1") "x");
    }
    wait_for_held(&served, 20);
    server_stop(served.server);
    served.server = NULL;
    for (int i = 0; i < 20; i++) {
        client_expect_end(&pending[i]);
        client_close(&pending[i]);
        assert_non_null(exchange_header(served.held[i], "Host"));
        assert_string_equal(exchange_path(served.held[i]), "/hold");
    }
    release_held(&served);
    serve_end(&served);
}

static void a_blocked_worker_is_waited_for_but_not_by_its_client(void **state)
{
    struct stopping stopping;
    struct served served;

    (void)state;
    serve(&served, (struct server_limits){.stop_grace_ms = 1, .workers = 1});
    auto_client struct client running = client_open(served.port);
    auto_client struct client queued = client_open(served.port);
    client_send(&running, POST("/blocked", "1") "x");
    wait_for_blocked(&served, 1);
    client_send(&queued, POST("/work", "1") "x");
    stopping.served = &served;
    pthread_create(&stopping.thread, NULL, run_stop, &served);
    client_expect_end(&running);
    open_gate(&served);
    finish_stop(&stopping);
    serve_end(&served);
}

/* Clients that ask and stop asking in all states, again and again. */
static void it_can_be_stopped_at_any_moment(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        struct client clients[12];
        struct served served;
        serve(&served, HASTY);
        for (int i = 0; i < 12; i++) {
            static const char *const requests[] = {
                GET("/hello") GET("/hello"), GET("/hold"), POST("/work", "5") "hello",
                POST("/echo", "5") "hel",    "GET /hel",   "",
            };
            clients[i] = client_open(served.port);
            client_send(&clients[i], requests[(i + round) % 6]);
        }
        server_stop(served.server);
        served.server = NULL;
        for (int i = 0; i < 12; i++)
            client_close(&clients[i]);
        release_held(&served);
        serve_end(&served);
    }
}

/* --- figures --- */

static void what_was_served_is_counted(void **state)
{
    static const char *const expected[] = {
        "segue_http_requests_total{method=\"GET\",route=\"/hello\",status=\"200\"} 2\n",
        "segue_http_requests_total{method=\"GET\",route=\"/items/{id}/{name}\",status=\"400\"} 1\n",
        "segue_http_requests_total{method=\"any\",route=\"none\",status=\"404\"} 1\n",
        "segue_http_request_duration_seconds_count{method=\"GET\",route=\"/hello\"} 2\n",
        "segue_http_connections 1\n",
        "segue_http_requests_in_flight 0\n",
        "segue_http_slow_clients_total 0\n",
    };
    auto_reply struct reply reply = {0};
    auto_buf struct buf text = {0};
    struct served served;

    (void)state;
    serve(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    client_ask(&client, GET("/hello"), &reply);
    client_ask(&client, GET("/items/1/2?x"), &reply);
    client_ask(&client, GET("/hello"), &reply);
    client_ask(&client, GET("/other"), &reply); /* the one before it has been counted to its end */
    server_metrics(served.server, &text);
    for (size_t i = 0; i < COUNT(expected); i++)
        if (!strstr(text.data, expected[i]))
            fail_msg("no %s in %s", expected[i], text.data);
    assert_null(strstr(text.data, "/work"));
    serve_end(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_port_that_is_taken_is_a_conflict),
        cmocka_unit_test(what_is_no_address_here_is_refused),
        cmocka_unit_test(it_listens_on_ipv6_too),
        cmocka_unit_test(nothing_is_stopped_too),
        cmocka_unit_test(pending_answers_are_waited_for_and_sent),
        cmocka_unit_test(who_does_not_answer_is_cut_off),
        cmocka_unit_test(a_blocked_worker_is_waited_for_but_not_by_its_client),
        cmocka_unit_test(it_can_be_stopped_at_any_moment),
        cmocka_unit_test(what_was_served_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
