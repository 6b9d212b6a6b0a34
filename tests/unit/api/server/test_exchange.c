#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What a handler may do with an exchange, over sockets. */
#include "tests/unit/api/server/served.c"

#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void serve_headers(struct exchange *exchange, void *user)
{
    const char *first = exchange_header(exchange, "x-name"),
               *empty = exchange_header(exchange, "X-Empty");

    (void)user;
    exchange_add_header(exchange, "X-First", first ? first : "none");
    exchange_add_header(exchange, "X-Empty", empty ? "there" : "none");
    exchange_add_header(exchange, "X-Missing",
                        exchange_header(exchange, "X-Nam") ? "there" : "none");
    exchange_add_header(exchange, "X-Split", "a\r\nX-Injected: b");
    exchange_answer(exchange, 200, NULL, NULL);
}

/* Each kind of error by its name in the path. */
static void serve_error(struct exchange *exchange, void *user)
{
    struct err e;
    int code = atoi(exchange_segment(exchange, 0));

    (void)user;
    err_set(&e, (enum err_code)code, "it went \"wrong\"");
    exchange_answer_err(exchange, &e, NULL);
}

static void serve_problems(struct exchange *exchange, void *user)
{
    auto_problems struct problems problems = {0};

    (void)user;
    problems_add_place(&problems, "/a", (struct json_place){1, 2}, "bad");
    exchange_answer_problem(exchange, 422, "bad", &problems);
}

static void serve_query(struct exchange *exchange, void *user)
{
    struct buf body = {0};

    (void)user;
    buf_puts(&body, exchange_query(exchange, "q"));
    exchange_answer(exchange, 200, "text/plain", &body);
    assert(!body.data && body.len == 0);
}

static const char *const queries[] = {"q", NULL};

static const struct route routes[] = {
    {"GET", "/headers", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_headers},
    {"GET", "/error/{code}", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, serve_error},
    {"GET", "/problems", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_problems},
    {"GET", "/query", ROUTE_TOKEN, ROUTE_INLINE, 0, queries, serve_query},
};

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    served = (struct served){0};
    serve_with(&served, routes, COUNT(routes), (struct server_limits){0});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

static void headers_are_found_and_added(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client,
               "GET /headers HTTP/1.1\r\n" LOCAL TOKEN
               "X-NAME:  one \r\nX-Empty:\r\nX-Name: two\r\n\r\n",
               &reply);
    expect_reply(&reply, 200, "");
    assert_true(strncmp(reply_header(&reply, "X-First"), "one", 3) == 0);
    assert_string_equal(reply_header(&reply, "X-Empty"), "there");
    assert_string_equal(reply_header(&reply, "X-Missing"), "none");
    assert_string_equal(reply_header(&reply, "Content-Length"), "0");
    assert_null(reply_header(&reply, "X-Split"));
    assert_null(reply_header(&reply, "X-Injected"));
    assert_null(reply_header(&reply, "Content-Type"));
}

static void errors_become_problems(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = {
        {ERR_INVALID, 422}, {ERR_NOT_FOUND, 404},   {ERR_CONFLICT, 409},
        {ERR_LIMIT, 413},   {ERR_UNAVAILABLE, 503}, {ERR_IO, 500},
    };
    auto_client struct client client = client_open(served.port);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        char request[200];
        snprintf(request, sizeof request, GET("/error/%d"), (int)rows[i].code);
        client_ask(&client, request, &reply);
        expect_status(&reply, rows[i].status);
        assert_non_null(strstr(reply.body.data, "\"detail\":\"it went \\\"wrong\\\"\""));
        assert_int_equal(reply_header(&reply, "Retry-After") != NULL, rows[i].status == 503);
        assert_string_equal(reply_header(&reply, "Cache-Control"), "no-store");
    }
}

static void places_are_listed(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client, GET("/problems"), &reply);
    expect_status(&reply, 422);
    assert_non_null(strstr(reply.body.data, "\"errors\":[{\"pointer\":\"/a\",\"line\":1,"
                                            "\"column\":2,\"detail\":\"bad\"}]"));
}

static void an_empty_body_is_taken_too(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client, GET("/query?q="), &reply);
    expect_reply(&reply, 200, "");
    client_ask(&client, GET("/query?q=x"), &reply);
    expect_reply(&reply, 200, "x");
}

/* Only what failed on this side is logged, a line each, whatever is in the path. */
static void failures_are_logged(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};
    int log = memfd_create("log", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
    char text[2000];

    (void)state;
    fflush(stderr);
    dup2(log, STDERR_FILENO);
    client_ask(&client, GET("/headers"), &reply);
    client_ask(&client, GET("/error/1"), &reply);
    client_ask(&client, GET("/error/2"), &reply);
    client_ask(&client, GET("/error/5%20\""), &reply);
    client_ask(&client, GET("/headers"), &reply); /* the one before it is through */
    dup2(kept, STDERR_FILENO);
    close(kept);
    ssize_t len = pread(log, text, sizeof text - 1, 0);
    close(log);
    assert_true(len > 0);
    text[len] = 0;
    assert_non_null(strstr(text, " level=warning event=request_failed method=GET "
                                 "path=\"/error/5%20\\\"\" status=500 "
                                 "detail=\"it went \\\"wrong\\\"\"\n"));
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found_and_added), cmocka_unit_test(errors_become_problems),
        cmocka_unit_test(places_are_listed),           cmocka_unit_test(an_empty_body_is_taken_too),
        cmocka_unit_test(failures_are_logged),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
