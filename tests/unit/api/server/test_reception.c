#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    serve(&served, (struct server_limits){0});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

/* --- in order --- */

static void many_requests_use_one_connection(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    for (int i = 0; i < 50; i++) {
        client_ask(&client, GET("/hello"), &reply);
        expect_reply(&reply, 200, "{\"hello\":true}");
        assert_string_equal(reply_header(&reply, "Content-Type"), "application/json");
        assert_string_equal(reply_header(&reply, "Cache-Control"), "no-store");
        assert_string_equal(reply_header(&reply, "X-Content-Type-Options"), "nosniff");
        assert_null(reply_header(&reply, "Server"));
        client_ask(&client, POST("/echo", "3") "abc", &reply);
        expect_reply(&reply, 200, "abc");
        client_ask(&client, POST("/work", "4") "defg", &reply);
        expect_reply(&reply, 200, "defg");
        client_ask(&client, "DELETE /items/1/2 HTTP/1.1\r\n" LOCAL TOKEN "\r\n", &reply);
        expect_reply(&reply, 204, "");
    }
}

static void head_is_get_without_a_body(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_send(&client, "HEAD /hello HTTP/1.1\r\n" LOCAL "\r\n");
    client_take_head(&client, &reply);
    expect_status(&reply, 200);
    assert_string_equal(reply_header(&reply, "Content-Length"), "14");
    client_send(&client, "HEAD /nothing HTTP/1.1\r\n" LOCAL TOKEN "\r\n");
    client_take_head(&client, &reply);
    expect_status(&reply, 404);
    client_ask(&client, GET("/hello"), &reply);
    expect_status(&reply, 200);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_send(&client, GET("/hello") POST("/work", "5") "first" POST("/echo", "6") "second" GET(
                             "/nothing") POST("/work", "5") "third" GET("/hello"));
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "{\"hello\":true}");
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "first");
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "second");
    client_take_reply(&client, &reply);
    expect_status(&reply, 404);
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "third");
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "{\"hello\":true}");
}

static void a_request_may_come_in_single_bytes(void **state)
{
    static const char text[] = POST_CHUNKED("/echo") "3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nTrailer: 1"
                                                     "\r\n\r\n" GET("/hello");
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};
    int on = 1;

    (void)state;
    setsockopt(client.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    for (const char *p = text; *p; p++)
        assert_true(client_try_send(&client, p, 1));
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "abcde");
    client_take_reply(&client, &reply);
    expect_status(&reply, 200);
}

static void a_body_is_asked_for_before_it_is_sent(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_send(&client, "POST /echo HTTP/1.1\r\n" LOCAL TOKEN JSON
                         "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    client_take_head(&client, &reply);
    expect_status(&reply, 100);
    client_send(&client, "body");
    client_take_reply(&client, &reply);
    expect_reply(&reply, 200, "body");
}

static void a_body_that_is_refused_is_not_asked_for(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client,
               "POST /echo HTTP/1.1\r\n" LOCAL JSON
               "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n",
               &reply);
    expect_status(&reply, 401);
    client_expect_end(&client);
}

static void what_was_asked_reaches_the_handler(void **state)
{
    static const struct {
        const char *name, *target, *answer;
    } rows[] = {
        {"plain", "/items/1/a", "/items/1/a 1|a|-|-|value"},
        {"escapes", "/items/%31/a%2Fb%20%C3%BC",
         "/items/%31/a%2Fb%20%C3%BC 1|a/b \xc3\xbc|-|-|value"},
        {"queries", "/items/1/a?other=x%26y+z&query=", "/items/1/a 1|a||x&y z|value"},
        {"twice", "/items/1/a?query=1&query=2", "/items/1/a 1|a|1|-|value"},
        {"against caches", "/items/1/a?1700000000000", "/items/1/a 1|a|-|-|value"},
        {"and more", "/items/1/a?query=q&1700000000000", "/items/1/a 1|a|q|-|value"},
    };
    auto_client struct client client = client_open(served.port);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        auto_buf struct buf request = {0};
        buf_printf(&request, "GET %s HTTP/1.1\r\n" LOCAL TOKEN "X-Header: value\r\n\r\n",
                   rows[i].target);
        client_ask(&client, request.data, &reply);
        expect_reply(&reply, 202, rows[i].answer);
        assert_string_equal(reply_header(&reply, "X-Answer"), "1");
    }
}

/* --- out of order --- */

static void check_problem(struct reply *reply, int status)
{
    auto_json struct json doc = {0};
    struct err e;
    int64_t number;

    assert_string_equal(reply_header(reply, "Content-Type"), "application/problem+json");
    if (json_parse(&doc, (struct str){reply->body.data, reply->body.len}, JSON_STRICT, NULL, &e) <
        0)
        fail_msg("%s: %s", e.text, reply->body.data);
    assert_true(json_int(&doc, json_get(&doc, 0, "status"), &number));
    assert_int_equal(number, status);
    assert_true(json_is(&doc, json_get(&doc, 0, "type"), "about:blank"));
    assert_int_equal(json_kind(&doc, json_get(&doc, 0, "detail")), JSON_STRING);
}

/* Answered by the server itself, and the connection can be used on. */
static void what_is_refused_is_a_problem(void **state)
{
    static const struct {
        const char *name, *request;
        int status;
        const char *header, *value;
    } rows[] = {
        {"no token", "GET /private HTTP/1.1\r\n" LOCAL "\r\n", 401, "WWW-Authenticate", "Bearer"},
        {"wrong token", "GET /private HTTP/1.1\r\n" LOCAL "Authorization: Bearer Secret\r\n\r\n",
         401, "WWW-Authenticate", "Bearer"},
        {"unknown path without token", "GET /x HTTP/1.1\r\n" LOCAL "\r\n", 401, NULL, NULL},
        {"open path by another method", "POST /hello HTTP/1.1\r\n" LOCAL "\r\n", 401, NULL, NULL},
        {"foreign host", "GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403, NULL, NULL},
        {"host like ours", "GET /hello HTTP/1.1\r\nHost: localhost.evil\r\n\r\n", 403, NULL, NULL},
        {"unknown path", GET("/hello/"), 404, NULL, NULL},
        {"empty segment", GET("/items//a"), 404, NULL, NULL},
        {"method", "PUT /items/1/2 HTTP/1.1\r\n" LOCAL TOKEN "\r\n", 405, "Allow",
         "GET, HEAD, DELETE"},
        {"small letters", "get /hello HTTP/1.1\r\n" LOCAL TOKEN "\r\n", 405, "Allow", "GET, HEAD"},
        {"options", "OPTIONS /echo HTTP/1.1\r\n" LOCAL TOKEN "\r\n", 405, "Allow", "POST"},
        {"unknown query", GET("/items/1/2?quary=1"), 400, NULL, NULL},
        {"no query known", GET("/hello?a=1"), 400, NULL, NULL},
        {"digits with a value", GET("/hello?17=1"), 400, NULL, NULL},
        {"bad escape", GET("/items/%4/a"), 400, NULL, NULL},
        {"escaped NUL", GET("/items/a%00b/a"), 400, NULL, NULL},
        {"escaped line break", GET("/items/a%0Ab/a"), 400, NULL, NULL},
        {"no UTF-8", GET("/items/%FF/a"), 400, NULL, NULL},
        {"NUL in a query", GET("/items/1/a?query=%00"), 400, NULL, NULL},
        {"a blank in the path", GET("/items/1 1/a"), 400, NULL, NULL},
        {"absolute form", GET("http://localhost/hello"), 400, NULL, NULL},
        {"not JSON",
         "POST /echo HTTP/1.1\r\n" LOCAL TOKEN
         "Content-Type: text/json\r\nContent-Length: 2\r\n\r\n{}",
         415, NULL, NULL},
        {"no type", "POST /echo HTTP/1.1\r\n" LOCAL TOKEN "Content-Length: 2\r\n\r\n{}", 415, NULL,
         NULL},
        {"a body where there is none",
         "GET /hello HTTP/1.1\r\n" LOCAL JSON "Content-Length: 2\r\n\r\n{}", 413, NULL, NULL},
        {"disk full", GET("/failure"), 507, NULL, NULL},
    };
    auto_client struct client client = client_open(served.port);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        client_ask(&client, rows[i].request, &reply);
        if (reply.status != rows[i].status)
            fail_msg("%s: %s%s", rows[i].name, reply.head.data, reply.body.data);
        check_problem(&reply, rows[i].status);
        if (rows[i].header)
            assert_string_equal(reply_header(&reply, rows[i].header), rows[i].value);
        assert_null(reply_header(&reply, "Connection"));
    }
}

/* What two readers could read differently: one answer, and nothing behind it is read. */
static void what_could_be_smuggled_ends_the_connection(void **state)
{
#define SMUGGLE "POST /echo HTTP/1.1\r\n" LOCAL TOKEN JSON
    static const struct {
        const char *name, *request;
    } rows[] = {
        {"length twice", SMUGGLE "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"},
        {"lengths that differ", SMUGGLE "Content-Length: 5\r\ncontent-length: 0\r\n\r\nhello"},
        {"list of lengths", SMUGGLE "Content-Length: 5, 5\r\n\r\nhello"},
        {"signed length", SMUGGLE "Content-Length: +5\r\n\r\nhello"},
        {"length in hexadecimal", SMUGGLE "Content-Length: 0x5\r\n\r\nhello"},
        {"both", SMUGGLE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"both, the other way",
         SMUGGLE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"},
        {"encoding twice",
         SMUGGLE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {"two encodings", SMUGGLE "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {"identity", SMUGGLE "Transfer-Encoding: identity\r\n\r\n"},
        {"unknown encoding", SMUGGLE "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {"blank before the colon", SMUGGLE "Content-Length : 5\r\n\r\nhello"},
        {"continued length", SMUGGLE "Content-Length: 5\r\n 0\r\n\r\nhello"},
        {"continued encoding", SMUGGLE "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
        {"tab before a name", SMUGGLE "X: 1\r\n\tContent-Length: 5\r\n\r\nhello"},
        {"host twice", "GET /hello HTTP/1.1\r\n" LOCAL LOCAL "\r\n"},
        {"no host", "GET /hello HTTP/1.1\r\n\r\n"},
        {"bad chunk", POST_CHUNKED("/echo") "zz\r\nhello\r\n0\r\n\r\n"},
        {"huge chunk", POST_CHUNKED("/echo") "ffffffffffffffffff\r\nhello\r\n0\r\n\r\n"},
        {"signed chunk", POST_CHUNKED("/echo") "-5\r\nhello\r\n0\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_client struct client client = client_open(served.port);
        client_send(&client, rows[i].request);
        client_try_send(&client, GET("/hello"), strlen(GET("/hello")));
        while (client_fill(&client))
            continue;
        bool is_refused = client.in.len > 12 && (memcmp(client.in.data, "HTTP/1.1 400", 12) == 0 ||
                                                 memcmp(client.in.data, "HTTP/1.1 413", 12) == 0);
        if (!is_refused || strstr(client.in.data, "hello\":true"))
            fail_msg("%s: %s", rows[i].name, buf_text(&client.in));
    }
}

/* --- bodies --- */

static void a_body_may_be_as_large_as_its_route_allows(void **state)
{
    static char text[ECHO_CAP + 1];
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};
    auto_buf struct buf request = {0};

    (void)state;
    memset(text, 'x', ECHO_CAP);
    buf_printf(&request, POST("/echo", "%d") "%s", ECHO_CAP, text);
    client_ask(&client, request.data, &reply);
    expect_reply(&reply, 200, text);
    buf_reset(&request);
    buf_printf(&request, POST_CHUNKED("/work") "%x\r\n%s\r\n0\r\n\r\n", ECHO_CAP, text);
    client_ask(&client, request.data, &reply);
    expect_reply(&reply, 200, text);
}

static void a_body_announced_as_too_large_is_not_read(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client, POST("/echo", "100001"), &reply);
    expect_status(&reply, 413);
    check_problem(&reply, 413);
    assert_string_equal(reply_header(&reply, "Connection"), "close");
    client_expect_end(&client);
}

/* Sends on and on; the answer comes in the middle, and is not lost by what is sent behind it. */
static void a_body_that_becomes_too_large_is_broken_off(void **state)
{
    static char chunk[10000 + 8];
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    memset(chunk, 'x', sizeof chunk);
    memcpy(chunk, "2710\r\n", 6);
    memcpy(chunk + sizeof chunk - 2, "\r\n", 2);
    client_send(&client, POST_CHUNKED("/echo"));
    for (int i = 0; i < 40; i++)
        client_try_send(&client, chunk, sizeof chunk);
    client_take_reply(&client, &reply);
    expect_status(&reply, 413);
    check_problem(&reply, 413);
    client_expect_end(&client);
}

#define HOLDERS 10

/* Ten requests of 100,000 bytes fill the server; one byte more is refused until they are gone. */
static void all_bodies_together_are_bounded(void **state)
{
    static char request[ECHO_CAP + 1000];
    struct client holders[HOLDERS];
    struct served small;

    (void)state;
    serve(&small, (struct server_limits){.body_bytes = HOLDERS * ECHO_CAP});
    int len = snprintf(request, sizeof request, POST("/hold", "%d"), ECHO_CAP);
    memset(request + len, 'x', ECHO_CAP);
    for (int i = 0; i < HOLDERS; i++) {
        holders[i] = client_open(small.port);
        assert_true(client_try_send(&holders[i], request, (size_t)len + ECHO_CAP));
    }
    wait_for_held(&small, HOLDERS);
    {
        auto_client struct client client = client_open(small.port);
        auto_reply struct reply reply = {0};
        client_ask(&client, POST("/echo", "1") "x", &reply);
        expect_status(&reply, 503);
        check_problem(&reply, 503);
        assert_string_equal(reply_header(&reply, "Retry-After"), "1");
        client_expect_end(&client);
    }
    release_held(&small);
    for (int i = 0; i < HOLDERS; i++) {
        auto_reply struct reply reply = {0};
        client_take_reply(&holders[i], &reply);
        expect_status(&reply, 200);
        client_ask(&holders[i], POST("/echo", "1") "x", &reply);
        expect_reply(&reply, 200, "x");
        client_close(&holders[i]);
    }
    serve_end(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_requests_use_one_connection),
        cmocka_unit_test(head_is_get_without_a_body),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_request_may_come_in_single_bytes),
        cmocka_unit_test(a_body_is_asked_for_before_it_is_sent),
        cmocka_unit_test(a_body_that_is_refused_is_not_asked_for),
        cmocka_unit_test(what_was_asked_reaches_the_handler),
        cmocka_unit_test(what_is_refused_is_a_problem),
        cmocka_unit_test(what_could_be_smuggled_ends_the_connection),
        cmocka_unit_test(a_body_may_be_as_large_as_its_route_allows),
        cmocka_unit_test(a_body_announced_as_too_large_is_not_read),
        cmocka_unit_test(a_body_that_becomes_too_large_is_broken_off),
        cmocka_unit_test(all_bodies_together_are_bounded),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
