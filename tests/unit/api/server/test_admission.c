/* Two dialects in one server, and who is let in with which token, over sockets. What is the same
 * for all requests is tested in test_reception.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/log.h"
#include "tests/unit/api/server/served.c"

#include <sys/mman.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void serve_conflict(struct exchange *exchange, void *user)
{
    struct err e;

    (void)user;
    err_set(&e, ERR_CONFLICT, "it is there already");
    exchange_answer_err(exchange, &e, NULL);
}

static const char *const token_queries[] = {"token", NULL};

static const struct route routes[] = {
    {"GET", "/api", ROUTE_OPEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/api/kernels", ROUTE_TOKEN_QUERY, ROUTE_INLINE, 0, NULL, serve_hello},
    {"POST", "/api/kernels", ROUTE_TOKEN_QUERY, ROUTE_INLINE, ECHO_CAP, NULL, serve_echo},
    {"PATCH", "/api/sessions/{id}", ROUTE_TOKEN_QUERY, ROUTE_WORKER, 100, NULL, serve_echo},
    {"GET", "/api/header", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/api/conflict", ROUTE_TOKEN_QUERY, ROUTE_INLINE, 0, NULL, serve_conflict},
    {"GET", "/kernelspecs/{name}/{file}", ROUTE_TOKEN_QUERY, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/api/v1/runs", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"POST", "/api/v1/runs", ROUTE_TOKEN, ROUTE_INLINE, ECHO_CAP, NULL, serve_echo},
    {"GET", "/image", ROUTE_TOKEN_QUERY, ROUTE_INLINE, 0, token_queries, serve_hello},
};

static const struct problem_place dialects[] = {{"/api/v1", PROBLEM_RFC9457},
                                                {"/api", PROBLEM_JUPYTER},
                                                {"/kernelspecs", PROBLEM_JUPYTER},
                                                {NULL, PROBLEM_RFC9457}};

static struct served served;

static int serve_it(void **state)
{
    (void)state;
    serve_as(&served, (struct server_options){
                          .routes = routes, .route_count = COUNT(routes), .dialects = dialects});
    return 0;
}

static int end_it(void **state)
{
    (void)state;
    serve_end(&served);
    return 0;
}

static void ask(const char *line, const char *headers, const char *body, struct reply *ret)
{
    auto_client struct client client = client_open(served.port);
    auto_buf struct buf request = {0};

    buf_printf(&request, "%s HTTP/1.1\r\n" LOCAL "%s\r\n%s", line, headers, body);
    client_ask(&client, request.data, ret);
}

static void the_token_may_be_in_three_places(void **state)
{
    static const struct {
        const char *line, *headers;
        int status;
    } rows[] = {
        {"GET /api/kernels", TOKEN, 200},
        {"GET /api/kernels", "Authorization: token secret\r\n", 200},
        {"GET /api/kernels", "Authorization: Basic c2VndWU6c2VjcmV0\r\n", 200},
        {"GET /api/kernels?token=secret", "", 200},
        {"GET /api/kernels?1700000000000&token=%73ecret", "", 200},
        {"GET /api/kernels?token=secret", "Authorization: token \r\n", 200},
        {"GET /api/kernels?token=wrong", TOKEN, 200},
        {"POST /api/kernels?token=secret", "", 200},
        {"GET /kernelspecs/python3/logo.png?token=secret", "", 200},
        {"GET /image?token=secret", "", 200},
        {"GET /api/kernels", "", 401},
        {"GET /api/kernels?token=", "", 401},
        {"GET /api/kernels?token", "", 401},
        {"GET /api/kernels?token=secre", "", 401},
        {"GET /api/kernels?token=secrets", "", 401},
        {"GET /api/kernels?Token=secret", "", 401},
        {"GET /api/kernels?token=wrong&token=secret", "", 401},
        {"GET /api/kernels?token=wrong", "Authorization: Bearer wrong\r\n", 401},
        {"GET /image?token=wrong", "", 401},
        {"GET /api/header?token=secret", "", 401},
        {"GET /api/v1/runs?token=secret", "", 401},
        {"GET /api/v1/nothing?token=secret", "", 401},
        {"GET /nothing?token=secret", "", 401},
        {"GET /api/nothing?token=secret", "", 404},
        {"GET /api/nothing?token=wrong", "", 401},
        {"PUT /api/kernels?token=secret", "", 405},
        {"PUT /api/kernels", "", 401},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i].line, rows[i].headers, "", &reply);
        if (reply.status != rows[i].status)
            fail_msg("%s %s: %s", rows[i].line, rows[i].headers, reply.head.data);
        if (reply.status == 401)
            assert_string_equal(reply_header(&reply, "WWW-Authenticate"), "Bearer");
        assert_null(strstr(buf_text(&reply.body), "secret"));
    }
}

/* Sends what is written to standard error to `ret` instead, while `ask` is done. */
static void ask_and_listen(const char *line, struct reply *reply, struct buf *ret)
{
    char chunk[4096];
    ssize_t n;
    int fd = memfd_create("log", MFD_CLOEXEC), before = dup(STDERR_FILENO);

    dup2(fd, STDERR_FILENO);
    log_set_level(LOG_DEBUG);
    ask(line, "", "", reply);
    log_set_level(LOG_INFO);
    dup2(before, STDERR_FILENO);
    close(before);
    lseek(fd, 0, SEEK_SET);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        buf_put(ret, chunk, (size_t)n);
    close(fd);
}

static void a_token_in_the_query_is_not_logged(void **state)
{
    static const char *const lines[] = {"GET /api/kernels?token=secret",
                                        "GET /api/kernels?token=secret2",
                                        "GET /api/nothing?x=y&token=secret"};

    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        auto_reply struct reply reply = {0};
        auto_buf struct buf log = {0};
        ask_and_listen(lines[i], &reply, &log);
        if (!strstr(buf_text(&log), "path=/api/") || strstr(buf_text(&log), "secret"))
            fail_msg("%s: %s", lines[i], buf_text(&log));
    }
}

static void check_jupyter(const char *line, struct reply *reply, const char *reason)
{
    auto_json struct json doc = {0};
    struct err e;

    if (json_parse(&doc, (struct str){reply->body.data, reply->body.len}, JSON_STRICT, NULL, &e) <
        0)
        fail_msg("%s: %s: %s%s", line, e.text, reply->head.data, buf_text(&reply->body));
    assert_string_equal(reply_header(reply, "Content-Type"), "application/json");
    if (json_kind(&doc, json_get(&doc, 0, "message")) != JSON_STRING ||
        !json_is(&doc, json_get(&doc, 0, "reason"), reason))
        fail_msg("%s: %s", line, reply->body.data);
}

static void what_is_refused_is_told_as_jupyter_does(void **state)
{
    static const struct {
        const char *line, *headers, *reason;
        int status;
    } rows[] = {
        {"GET /api/kernels", "", "Unauthorized", 401},
        {"GET /api/nothing", TOKEN, "Not Found", 404},
        {"GET /kernelspecs/nothing", TOKEN, "Not Found", 404},
        {"PUT /api/kernels", TOKEN, "Method Not Allowed", 405},
        {"GET /api/%zz", TOKEN, "Bad Request", 400},
        {"GET /api/kernels", TOKEN "Transfer-Encoding: x\r\n", "Bad Request", 400},
        {"POST /api/kernels", TOKEN "Content-Length: 100001\r\n", "Content Too Large", 413},
        {"GET /api/conflict", TOKEN, "Conflict", 409},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i].line, rows[i].headers, "", &reply);
        if (reply.status != rows[i].status)
            fail_msg("%s %s: %s", rows[i].line, rows[i].headers, reply.head.data);
        check_jupyter(rows[i].line, &reply, rows[i].reason);
    }
}

static void so_is_a_host_that_is_none_of_ours(void **state)
{
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    client_ask(&client, "GET /api/kernels HTTP/1.1\r\nHost: evil.net\r\n" TOKEN "\r\n", &reply);
    expect_status(&reply, 403);
    check_jupyter("evil.net", &reply, "Forbidden");
}

/* The answer that is written by hand. */
static void so_is_a_body_that_becomes_too_large(void **state)
{
    static char chunk[ECHO_CAP + 1];
    auto_client struct client client = client_open(served.port);
    auto_reply struct reply reply = {0};

    (void)state;
    memset(chunk, 'x', sizeof chunk);
    client_send(&client, "POST /api/kernels HTTP/1.1\r\n" LOCAL TOKEN
                         "Transfer-Encoding: chunked\r\n\r\n186a1\r\n");
    client_try_send(&client, chunk, sizeof chunk);
    client_take_reply(&client, &reply);
    expect_status(&reply, 413);
    check_jupyter("a body", &reply, "Content Too Large");
}

static void the_other_paths_speak_their_own(void **state)
{
    static const struct {
        const char *line;
        int status;
    } rows[] = {
        {"GET /api/v1/nothing", 404}, {"GET /apis", 404}, {"PUT /api/v1/runs", 405},
        {"GET /nothing", 404},        {"GET /", 404},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i].line, TOKEN, "", &reply);
        expect_status(&reply, rows[i].status);
        assert_string_equal(reply_header(&reply, "Content-Type"), "application/problem+json");
    }
}

static void jupyter_is_lax_with_what_it_is_sent(void **state)
{
    static const struct {
        const char *line, *headers, *body;
        int status;
        const char *answer;
    } rows[] = {
        {"GET /api/kernels?1700000000000", TOKEN, "", 200, NULL},
        {"GET /api/kernels?user=me&session_id=1&x", TOKEN, "", 200, NULL},
        {"POST /api/kernels", TOKEN, "", 200, ""},
        {"POST /api/kernels", TOKEN "Content-Length: 0\r\n", "", 200, ""},
        {"POST /api/kernels?x=y", TOKEN "Content-Length: 2\r\n", "{}", 200, "{}"},
        {"POST /api/kernels", TOKEN "Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}", 200,
         "{}"},
        {"GET /api/kernels", TOKEN "Content-Length: 2\r\n", "{}", 413, NULL},
        {"GET /api/v1/runs?user=me", TOKEN, "", 400, NULL},
        {"POST /api/v1/runs", TOKEN "Content-Length: 2\r\n", "{}", 415, NULL},
        {"GET /image?token=secret&x=1", "", "", 400, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(rows[i].line, rows[i].headers, rows[i].body, &reply);
        if (reply.status != rows[i].status ||
            (rows[i].answer && strcmp(buf_text(&reply.body), rows[i].answer) != 0))
            fail_msg("%s: %s%s", rows[i].line, reply.head.data, buf_text(&reply.body));
    }
}

static void patch_is_a_method(void **state)
{
    auto_reply struct reply reply = {0};

    (void)state;
    ask("PATCH /api/sessions/1", TOKEN "Content-Length: 12\r\n", "{\"name\":\"x\"}", &reply);
    expect_reply(&reply, 200, "{\"name\":\"x\"}");
    ask("POST /api/sessions/1", TOKEN, "", &reply);
    expect_status(&reply, 405);
    assert_string_equal(reply_header(&reply, "Allow"), "PATCH");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_token_may_be_in_three_places),
        cmocka_unit_test(a_token_in_the_query_is_not_logged),
        cmocka_unit_test(what_is_refused_is_told_as_jupyter_does),
        cmocka_unit_test(so_is_a_host_that_is_none_of_ours),
        cmocka_unit_test(so_is_a_body_that_becomes_too_large),
        cmocka_unit_test(the_other_paths_speak_their_own),
        cmocka_unit_test(jupyter_is_lax_with_what_it_is_sent),
        cmocka_unit_test(patch_is_a_method),
    };

    return cmocka_run_group_tests(tests, serve_it, end_it);
}
