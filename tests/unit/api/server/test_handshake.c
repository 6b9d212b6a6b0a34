/* Requests for a WebSocket, over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/server/handshake.h"
#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define PROTOCOL "v1.kernel.websocket.jupyter.org"

static void drop(void *user, int take_fd, struct str read_ahead)
{
    (void)user;
    (void)read_ahead;
    if (take_fd >= 0)
        close(take_fd);
}

static void serve_channels(struct exchange *exchange, void *user)
{
    if (!handshake_check(exchange))
        return;
    handshake_accept(exchange, handshake_offers(exchange, PROTOCOL) ? PROTOCOL : NULL);
    exchange_answer_upgrade(exchange, drop, user);
}

static const struct route routes[] = {
    {"GET", "/channels", ROUTE_OPEN, ROUTE_INLINE, 0, NULL, serve_channels},
};

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    serve_with(&served, routes, COUNT(routes), (struct server_limits){0});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

/* The example of RFC 6455, 1.3. */
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"

static void ask(const char *headers, struct reply *ret)
{
    auto_client struct client client = client_open(served.port);

    client_send(&client, "GET /channels HTTP/1.1\r\n" LOCAL);
    client_send(&client, headers);
    client_send(&client, "\r\n");
    client_take_reply(&client, ret);
}

static void what_is_in_order_is_accepted(void **state)
{
    static const char *const rows[] = {
        UPGRADE VERSION KEY,
        "connection: upgrade\r\nupgrade: WebSocket\r\n" VERSION KEY,
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" VERSION KEY,
        "Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n" VERSION KEY,
        "Connection: ,upgrade ,\r\nUpgrade: h2c\r\nUpgrade:\twebsocket\r\n" VERSION KEY,
        UPGRADE VERSION KEY "Sec-WebSocket-Extensions: permessage-deflate\r\nOrigin: null\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i], &reply);
        if (reply.status != 101)
            fail_msg("%s: %s%s", rows[i], reply.head.data, buf_text(&reply.body));
        assert_string_equal(reply_header(&reply, "Sec-WebSocket-Accept"),
                            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_string_equal(reply_header(&reply, "Upgrade"), "websocket");
        assert_string_equal(reply_header(&reply, "Connection"), "Upgrade");
        assert_null(reply_header(&reply, "Sec-WebSocket-Protocol"));
        assert_null(reply_header(&reply, "Sec-WebSocket-Extensions"));
    }
}

static void a_subprotocol_is_taken_when_it_is_offered(void **state)
{
    static const struct {
        const char *offers;
        bool is_taken;
    } rows[] = {
        {"Sec-WebSocket-Protocol: " PROTOCOL "\r\n", true},
        {"Sec-WebSocket-Protocol: other, " PROTOCOL "\r\n", true},
        {"Sec-WebSocket-Protocol: other\r\nsec-websocket-protocol: " PROTOCOL ",x\r\n", true},
        {"Sec-WebSocket-Protocol: other\r\n", false},
        {"Sec-WebSocket-Protocol: \r\n", false},
        {"Sec-WebSocket-Protocol: " PROTOCOL ".x\r\n", false},
        {"Sec-WebSocket-Protocol: x" PROTOCOL "\r\n", false},
        {"Sec-WebSocket-Protocol: V1.kernel.websocket.jupyter.org\r\n", false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        auto_buf struct buf headers = {0};
        buf_printf(&headers, UPGRADE VERSION KEY "%s", rows[i].offers);
        ask(headers.data, &reply);
        expect_status(&reply, 101);
        const char *taken = reply_header(&reply, "Sec-WebSocket-Protocol");
        if (!taken != !rows[i].is_taken || (taken && strcmp(taken, PROTOCOL) != 0))
            fail_msg("%s: %s", rows[i].offers, reply.head.data);
    }
}

static void what_is_not_is_told_what_is_missing(void **state)
{
    static const struct {
        const char *headers;
        int status;
        const char *detail;
    } rows[] = {
        {"", 426, "for WebSockets"},
        {VERSION KEY, 426, "for WebSockets"},
        {"Upgrade: websocket\r\n" VERSION KEY, 426, "for WebSockets"},
        {"Connection: Upgrade\r\n" VERSION KEY, 426, "for WebSockets"},
        {"Connection: close\r\nUpgrade: websocket\r\n" VERSION KEY, 426, "for WebSockets"},
        {"Connection: Upgrades\r\nUpgrade: websocket\r\n" VERSION KEY, 426, "for WebSockets"},
        {"Connection: Upgrade\r\nUpgrade: h2c\r\n" VERSION KEY, 426, "for WebSockets"},
        {UPGRADE KEY, 426, "Sec-WebSocket-Version"},
        {UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", 426, "Sec-WebSocket-Version"},
        {UPGRADE KEY "Sec-WebSocket-Version: 130\r\n", 426, "Sec-WebSocket-Version"},
        {UPGRADE VERSION, 400, "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: \r\n", 400, "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n", 400, "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZXM=\r\n", 400,
         "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A\r\n", 400,
         "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBs!SBub25jZQ==\r\n", 400,
         "Sec-WebSocket-Key"},
        {UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==A\r\n", 400,
         "Sec-WebSocket-Key"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i].headers, &reply);
        if (reply.status != rows[i].status || !strstr(buf_text(&reply.body), rows[i].detail))
            fail_msg("%s: %s%s", rows[i].headers, reply.head.data, buf_text(&reply.body));
    }
}

static void a_refusal_says_what_is_known(void **state)
{
    auto_reply struct reply reply = {0};

    (void)state;
    ask(UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", &reply);
    assert_string_equal(reply_header(&reply, "Sec-WebSocket-Version"), "13");
    ask("", &reply);
    assert_string_equal(reply_header(&reply, "Upgrade"), "websocket");
}

static void other_methods_and_versions_are_refused(void **state)
{
    static const struct {
        const char *request, *status;
    } rows[] = {
        {"HEAD /channels HTTP/1.1\r\n" LOCAL UPGRADE VERSION KEY "\r\n", " 426 "},
        {"GET /channels HTTP/1.0\r\n" LOCAL UPGRADE VERSION KEY "\r\n", " 426 "},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_client struct client client = client_open(served.port);
        auto_buf struct buf head = {0};
        client_send(&client, rows[i].request);
        client_take_until(&client, "\r\n\r\n", &head);
        if (!strstr(head.data, rows[i].status))
            fail_msg("%s: %s", rows[i].request, head.data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_order_is_accepted),
        cmocka_unit_test(a_subprotocol_is_taken_when_it_is_offered),
        cmocka_unit_test(what_is_not_is_told_what_is_missing),
        cmocka_unit_test(a_refusal_says_what_is_known),
        cmocka_unit_test(other_methods_and_versions_are_refused),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
