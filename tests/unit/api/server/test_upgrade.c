/* Sockets that leave HTTP: who has them then, and what the server still knows of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#include <fcntl.h>
#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define UPGRADES_MAX 2000

/* --- routes --- */

struct taken {
    int fd;
    struct buf read_ahead;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct taken items[UPGRADES_MAX];
    unsigned count;
    bool is_blocked; /* a thread of the server stays where it hands one over */
} all_taken = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void take(void *user, int take_fd, struct str read_ahead)
{
    assert(user == &all_taken);
    pthread_mutex_lock(&all_taken.lock);
    assert(all_taken.count < UPGRADES_MAX);
    struct taken *taken = &all_taken.items[all_taken.count++];
    *taken = (struct taken){.fd = take_fd};
    buf_put(&taken->read_ahead, read_ahead.text, read_ahead.len);
    pthread_cond_broadcast(&all_taken.changed);
    while (all_taken.is_blocked)
        pthread_cond_wait(&all_taken.changed, &all_taken.lock);
    pthread_mutex_unlock(&all_taken.lock);
}

static void set_blocked(bool is_blocked)
{
    pthread_mutex_lock(&all_taken.lock);
    all_taken.is_blocked = is_blocked;
    pthread_cond_broadcast(&all_taken.changed);
    pthread_mutex_unlock(&all_taken.lock);
}

static void wait_for_taken(unsigned count)
{
    pthread_mutex_lock(&all_taken.lock);
    while (all_taken.count < count)
        pthread_cond_wait(&all_taken.changed, &all_taken.lock);
    pthread_mutex_unlock(&all_taken.lock);
}

static int close_taken(void **state)
{
    (void)state;
    for (unsigned i = 0; i < all_taken.count; i++) {
        if (all_taken.items[i].fd >= 0)
            close(all_taken.items[i].fd);
        buf_clear(&all_taken.items[i].read_ahead);
    }
    all_taken.count = 0;
    return 0;
}

static void upgrade(struct exchange *exchange)
{
    exchange_add_header(exchange, "Upgrade", "echo");
    exchange_add_header(exchange, "X-Answer", "1");
    exchange_answer_upgrade(exchange, take, &all_taken);
}

static void serve_upgrade(struct exchange *exchange, void *user)
{
    if (exchange_can_upgrade(exchange))
        upgrade(exchange);
    else
        serve_nothing(exchange, user);
}

static const struct route routes[] = {
    {"GET", "/hello", ROUTE_OPEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/upgrade", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_upgrade},
    {"POST", "/upgrade", ROUTE_TOKEN, ROUTE_INLINE, 100, NULL, serve_upgrade},
    {"GET", "/worker", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, serve_upgrade},
    {"GET", "/hold", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_hold},
};

#define UPGRADE(path)                                                                              \
    "GET " path " HTTP/1.1\r\n" LOCAL TOKEN "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n"

static void begin(struct served *served, struct server_limits limits)
{
    *served = (struct served){0};
    serve_with(served, routes, COUNT(routes), limits);
}

/* --- after it --- */

static void write_all(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect_bytes(int fd, const char *text)
{
    char got[100] = "";

    for (size_t len = 0; len < strlen(text);) {
        struct pollfd ready = {fd, POLLIN, 0};
        if (poll(&ready, 1, PATIENCE_S * 1000) != 1)
            fail_msg("only \"%s\" of \"%s\" came", got, text);
        ssize_t n = recv(fd, got + len, strlen(text) - len, 0);
        if (n <= 0)
            fail_msg("the end came after \"%s\"", got);
        len += (size_t)n;
    }
    assert_string_equal(got, text);
}

/* Nobody else reads what the client sends, and the client gets what is written. */
static void expect_lively(const struct client *client, int fd)
{
    write_all(client->fd, "ping");
    expect_bytes(fd, "ping");
    write_all(fd, "pong");
    expect_bytes(client->fd, "pong");
}

static void take_101(struct client *client, const char *request)
{
    auto_reply struct reply reply = {0};

    client_send(client, request);
    client_take_head(client, &reply);
    expect_status(&reply, 101);
    assert_string_equal(reply_header(&reply, "Upgrade"), "echo");
    assert_string_equal(reply_header(&reply, "Connection"), "Upgrade");
    assert_string_equal(reply_header(&reply, "X-Answer"), "1");
    assert_null(reply_header(&reply, "Content-Length"));
}

/* Asks until the metrics say so: the server forgets a connection when it has handed it over. */
static void wait_for_metric(struct served *served, const char *line)
{
    auto_client struct client witness = client_open(served->port);
    auto_reply struct reply reply = {0};

    for (int i = 0; i < 100000; i++) {
        auto_buf struct buf text = {0};
        client_ask(&witness, GET("/hello"), &reply);
        server_metrics(served->server, &text);
        if (strstr(text.data, line))
            return;
    }
    fail_msg("never: %s", line);
}

/* --- tests --- */

static void the_socket_is_handed_over(void **state)
{
    static const char *const paths[] = {UPGRADE("/upgrade"), UPGRADE("/worker")};
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    for (unsigned i = 0; i < COUNT(paths); i++) {
        auto_client struct client client = client_open(served.port);
        take_101(&client, paths[i]);
        wait_for_taken(i + 1);
        int fd = all_taken.items[i].fd;
        assert_int_equal(all_taken.items[i].read_ahead.len, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        wait_for_metric(&served, "segue_http_connections 1\n"); /* the one that asks */
        wait_for_metric(&served, "segue_http_requests_in_flight 0\n");
        expect_lively(&client, fd);
        close(client.fd);
        client.fd = -1;
        char end;
        struct pollfd ready = {fd, POLLIN, 0};
        assert_int_equal(poll(&ready, 1, PATIENCE_S * 1000), 1);
        assert_int_equal(recv(fd, &end, 1, 0), 0);
    }
    serve_end(&served);
}

static void what_came_early_goes_along(void **state)
{
    auto_reply struct reply reply = {0};
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    client_ask(&client, GET("/hello"), &reply);
    expect_status(&reply, 200);
    take_101(&client, UPGRADE("/upgrade") "early");
    wait_for_taken(1);
    struct taken *taken = &all_taken.items[0];
    size_t len = taken->read_ahead.len;
    assert_memory_equal(buf_text(&taken->read_ahead), "early", len);
    expect_bytes(taken->fd, &"early"[len]);
    expect_lively(&client, taken->fd);
    serve_end(&served);
}

static void it_may_be_answered_later(void **state)
{
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    client_send(&client, UPGRADE("/hold"));
    wait_for_held(&served, 1);
    upgrade(served.held[0]);
    take_101(&client, "");
    wait_for_taken(1);
    expect_lively(&client, all_taken.items[0].fd);
    serve_end(&served);
}

static void it_outlives_the_server(void **state)
{
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    take_101(&client, UPGRADE("/upgrade"));
    wait_for_taken(1);
    serve_end(&served);
    expect_lively(&client, all_taken.items[0].fd);
}

static void *run_stop(void *user)
{
    server_stop(user);
    return NULL;
}

/* The server cuts off all that it has, while one is being handed over. */
static void it_is_not_cut_off_on_its_way(void **state)
{
    struct served served;
    pthread_t thread;

    (void)state;
    begin(&served, (struct server_limits){.stop_grace_ms = 1});
    auto_client struct client idle = client_open(served.port); /* cut off after the other */
    auto_reply struct reply reply = {0};
    client_ask(&idle, GET("/hello"), &reply);
    auto_client struct client client = client_open(served.port);
    set_blocked(true);
    take_101(&client, UPGRADE("/upgrade"));
    wait_for_taken(1);
    pthread_create(&thread, NULL, run_stop, served.server);
    client_expect_end(&idle);
    set_blocked(false);
    pthread_join(thread, NULL);
    served.server = NULL;
    expect_lively(&client, all_taken.items[0].fd);
    serve_end(&served);
}

static void a_client_that_has_gone_is_told_of(void **state)
{
    struct linger reset = {.l_onoff = 1};
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    client_send(&client, UPGRADE("/hold"));
    wait_for_held(&served, 1);
    setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    client_close(&client);
    upgrade(served.held[0]);
    wait_for_taken(1);
    assert_int_equal(all_taken.items[0].fd, -1);
    assert_int_equal(all_taken.items[0].read_ahead.len, 0);
    serve_end(&served);
}

static void so_is_one_that_was_cut_off(void **state)
{
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){.stop_grace_ms = 1});
    auto_client struct client client = client_open(served.port);
    client_send(&client, UPGRADE("/hold"));
    wait_for_held(&served, 1);
    server_stop(served.server);
    served.server = NULL;
    client_expect_end(&client);
    assert_int_equal(all_taken.count, 0);
    upgrade(served.held[0]);
    assert_int_equal(all_taken.count, 1);
    assert_int_equal(all_taken.items[0].fd, -1);
    serve_end(&served);
}

static void only_a_get_by_http_1_1_can(void **state)
{
    static const char *const requests[] = {
        "HEAD /upgrade HTTP/1.1\r\n" LOCAL TOKEN "\r\n",
        "GET /upgrade HTTP/1.0\r\n" LOCAL TOKEN "\r\n",
        POST("/upgrade", "2") "{}",
    };
    auto_reply struct reply reply = {0};
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    for (size_t i = 0; i < COUNT(requests); i++) {
        auto_client struct client client = client_open(served.port);
        client_send(&client, requests[i]);
        client_take_until(&client, "\r\n\r\n", &reply.head);
        if (!strstr(reply.head.data, " 204 "))
            fail_msg("%s: %s", requests[i], reply.head.data);
        reply_clear(&reply);
    }
    assert_int_equal(all_taken.count, 0);
    serve_end(&served);
}

/* Two descriptors for each, all of them open at the same time. */
static unsigned allowed_upgrades(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= 2 * UPGRADES_MAX + 300)
        return UPGRADES_MAX;
    print_message("only as many as %lu descriptors allow\n", (unsigned long)limit.rlim_cur);
    return (unsigned)(limit.rlim_cur - 300) / 2;
}

static struct client clients[UPGRADES_MAX];

/* Which client a descriptor leads to, by the port. */
static unsigned port_at(int fd, int (*name)(int fd, struct sockaddr *address, socklen_t *len))
{
    struct sockaddr_in address = {0};
    socklen_t len = sizeof address;

    assert_int_equal(name(fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static void they_count_for_no_limit(void **state)
{
    unsigned count = allowed_upgrades();
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){.connections = 100});
    for (unsigned i = 0; i < count; i++) {
        clients[i] = client_open(served.port);
        take_101(&clients[i], UPGRADE("/upgrade"));
        wait_for_taken(i + 1);
    }
    for (unsigned i = 0; i < count; i++) {
        int fd = all_taken.items[i].fd;
        assert_int_equal(port_at(clients[i].fd, getsockname), port_at(fd, getpeername));
        expect_lively(&clients[i], fd);
    }
    wait_for_metric(&served, "segue_http_connections 1\n");
    serve_end(&served);
    for (unsigned i = 0; i < count; i++)
        client_close(&clients[i]);
}

/* Every upgrade is heard of, once, and nothing is handed over when server_stop has returned. */
static void the_server_may_stop_at_any_moment(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 30; round++) {
        struct served served;
        begin(&served, (struct server_limits){.stop_grace_ms = 1});
        for (unsigned i = 0; i < 12; i++) {
            static const char *const requests[] = {UPGRADE("/upgrade"), UPGRADE("/worker") "more",
                                                   UPGRADE("/hold")};
            clients[i] = client_open(served.port);
            client_send(&clients[i], requests[(i + round) % 3]);
        }
        server_stop(served.server);
        served.server = NULL;
        unsigned before = all_taken.count;
        assert_true(before <= 8);
        for (unsigned i = 0; i < served.held_count; i++)
            upgrade(served.held[i]);
        assert_int_equal(all_taken.count, before + served.held_count);
        for (unsigned i = before; i < all_taken.count; i++)
            assert_int_equal(all_taken.items[i].fd, -1);
        for (unsigned i = 0; i < 12; i++)
            client_close(&clients[i]);
        serve_end(&served);
        close_taken(NULL);
    }
}

static void it_is_counted(void **state)
{
    struct served served;

    (void)state;
    begin(&served, (struct server_limits){0});
    auto_client struct client client = client_open(served.port);
    take_101(&client, UPGRADE("/upgrade"));
    wait_for_metric(
        &served, "segue_http_requests_total{method=\"GET\",route=\"/upgrade\",status=\"101\"} 1\n");
    serve_end(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_socket_is_handed_over, close_taken),
        cmocka_unit_test_teardown(what_came_early_goes_along, close_taken),
        cmocka_unit_test_teardown(it_may_be_answered_later, close_taken),
        cmocka_unit_test_teardown(it_outlives_the_server, close_taken),
        cmocka_unit_test_teardown(it_is_not_cut_off_on_its_way, close_taken),
        cmocka_unit_test_teardown(a_client_that_has_gone_is_told_of, close_taken),
        cmocka_unit_test_teardown(so_is_one_that_was_cut_off, close_taken),
        cmocka_unit_test_teardown(only_a_get_by_http_1_1_can, close_taken),
        cmocka_unit_test_teardown(they_count_for_no_limit, close_taken),
        cmocka_unit_test_teardown(the_server_may_stop_at_any_moment, close_taken),
        cmocka_unit_test_teardown(it_is_counted, close_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
