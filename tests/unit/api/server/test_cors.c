/* Pages of other origins, over sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api/server/served.c"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void serve_origin(struct exchange *exchange, void *user)
{
    struct buf body = {0};

    (void)user;
    buf_puts(&body, exchange_origin_is_allowed(exchange) ? "allowed" : "foreign");
    exchange_answer(exchange, 200, "text/plain", &body);
}

static const struct route routes[] = {
    {"GET", "/origin", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_origin},
    {"POST", "/origin", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_origin},
    {"DELETE", "/items/{id}", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_nothing},
    {"PATCH", "/items/{id}", ROUTE_TOKEN, ROUTE_INLINE, ECHO_CAP, NULL, serve_echo},
};

static const char *const some[] = {"https://lab.example.org", "http://localhost:8888", NULL};
static const char *const any[] = {"*", NULL};

static void begin(struct served *served, const char *const *origins)
{
    *served = (struct served){0};
    serve_as(served, (struct server_options){
                         .routes = routes, .route_count = COUNT(routes), .origins = origins});
}

static void ask(struct served *served, const char *line, const char *origin, const char *more,
                struct reply *ret)
{
    auto_client struct client client = client_open(served->port);
    auto_buf struct buf request = {0};

    buf_printf(&request, "%s HTTP/1.1\r\nHost: localhost:8700\r\n", line);
    if (origin)
        buf_printf(&request, "Origin: %s\r\n", origin);
    buf_printf(&request, "%s\r\n", more);
    client_ask(&client, request.data, ret);
}

static void expect_header(struct reply *reply, const char *name, const char *value)
{
    const char *found = reply_header(reply, name);
    if (!found != !value || (value && strcmp(found, value) != 0))
        fail_msg("%s is not %s: %s", name, value ? value : "missing", reply->head.data);
}

#define ALLOW_ORIGIN "Access-Control-Allow-Origin"
#define PREFLIGHT    "Access-Control-Request-Method: POST\r\n"

static void pages_of_known_origins_get_their_name(void **state)
{
    static const struct {
        const char *const *origins;
        const char *origin, *allowed, *vary;
    } rows[] = {
        {some, "https://lab.example.org", "https://lab.example.org", "Origin"},
        {some, "http://localhost:8888", "http://localhost:8888", "Origin"},
        {some, NULL, NULL, "Origin"},
        {some, "http://localhost:8700", NULL, "Origin"},
        {some, "http://lab.example.org", NULL, "Origin"},
        {some, "https://lab.example.org:444", NULL, "Origin"},
        {some, "https://lab.example.org.evil.net", NULL, "Origin"},
        {some, "https://evil.net/https://lab.example.org", NULL, "Origin"},
        {some, "null", NULL, "Origin"},
        {some, "*", NULL, "Origin"},
        {any, "https://evil.net", "*", "Origin"},
        {any, NULL, NULL, "Origin"},
        {NULL, "https://lab.example.org", NULL, NULL},
        {NULL, NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        struct served served;
        begin(&served, rows[i].origins);
        ask(&served, "GET /origin", rows[i].origin, TOKEN, &reply);
        expect_status(&reply, 200);
        expect_header(&reply, ALLOW_ORIGIN, rows[i].allowed);
        expect_header(&reply, "Vary", rows[i].vary);
        expect_header(&reply, "Access-Control-Allow-Credentials", NULL);
        assert_int_equal(!reply_header(&reply, "Access-Control-Expose-Headers"), !rows[i].allowed);
        serve_end(&served);
    }
}

static void so_do_they_with_what_is_refused(void **state)
{
    static const struct {
        const char *line, *more;
        int status;
    } rows[] = {
        {"GET /origin", "", 401},
        {"GET /nothing", TOKEN, 404},
        {"PUT /origin", TOKEN, 405},
        {"GET /origin?x=1", TOKEN, 400},
        {"GET /%", TOKEN, 400},
        {"PATCH /items/1", TOKEN JSON "Content-Length: 100001\r\n", 413},
        {"PATCH /items/1", TOKEN JSON "Transfer-Encoding: x\r\n", 400},
    };
    struct served served;

    (void)state;
    begin(&served, some);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        ask(&served, rows[i].line, some[0], rows[i].more, &reply);
        expect_status(&reply, rows[i].status);
        expect_header(&reply, ALLOW_ORIGIN, some[0]);
    }
    serve_end(&served);
}

/* The answer that is written by hand. */
static void so_do_they_with_what_is_broken_off(void **state)
{
    static char chunk[ECHO_CAP + 1];
    auto_reply struct reply reply = {0};
    struct served served;

    (void)state;
    begin(&served, some);
    auto_client struct client client = client_open(served.port);
    memset(chunk, 'x', sizeof chunk);
    client_send(&client,
                "PATCH /items/1 HTTP/1.1\r\nOrigin: http://localhost:8888\r\n" LOCAL TOKEN JSON
                "Transfer-Encoding: chunked\r\n\r\n186a1\r\n");
    client_try_send(&client, chunk, sizeof chunk);
    client_take_reply(&client, &reply);
    expect_status(&reply, 413);
    expect_header(&reply, ALLOW_ORIGIN, "http://localhost:8888");
    expect_header(&reply, "Vary", "Origin");
    serve_end(&served);
}

static void browsers_ask_without_the_token(void **state)
{
    static const struct {
        const char *const *origins;
        const char *line, *origin, *more, *methods;
        int status;
    } rows[] = {
        {some, "OPTIONS /origin", "http://localhost:8888", PREFLIGHT, "GET, HEAD, POST", 204},
        {some, "OPTIONS /origin?x=1", "http://localhost:8888", PREFLIGHT, "GET, HEAD, POST", 204},
        {some, "OPTIONS /items/7", "https://lab.example.org", PREFLIGHT, "DELETE, PATCH", 204},
        {some, "OPTIONS /origin", "http://localhost:8700", PREFLIGHT, "GET, HEAD, POST", 204},
        {any, "OPTIONS /origin", "https://evil.net", PREFLIGHT, "GET, HEAD, POST", 204},
        {NULL, "OPTIONS /origin", "http://localhost:8700", PREFLIGHT, "GET, HEAD, POST", 204},
        {some, "OPTIONS /origin", "https://evil.net", PREFLIGHT, NULL, 403},
        {some, "OPTIONS /origin", "null", PREFLIGHT, NULL, 403},
        {NULL, "OPTIONS /origin", "https://lab.example.org", PREFLIGHT, NULL, 403},
        {some, "OPTIONS /nothing", "http://localhost:8888", PREFLIGHT, NULL, 401},
        {some, "OPTIONS /nothing", "http://localhost:8888", PREFLIGHT TOKEN, NULL, 404},
        {some, "OPTIONS /origin", "http://localhost:8888", "", NULL, 401},
        {some, "OPTIONS /origin", NULL, PREFLIGHT, NULL, 401},
        {some, "OPTIONS /origin", NULL, TOKEN, NULL, 405},
        {some, "POST /origin", "http://localhost:8888", PREFLIGHT, NULL, 401},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        struct served served;
        begin(&served, rows[i].origins);
        ask(&served, rows[i].line, rows[i].origin, rows[i].more, &reply);
        if (reply.status != rows[i].status)
            fail_msg("%s from %s: %s", rows[i].line, rows[i].origin, reply.head.data);
        expect_header(&reply, "Access-Control-Allow-Methods", rows[i].methods);
        assert_int_equal(!reply_header(&reply, "Access-Control-Allow-Headers"), !rows[i].methods);
        assert_int_equal(!reply_header(&reply, "Access-Control-Max-Age"), !rows[i].methods);
        serve_end(&served);
    }
}

static void what_pages_say_is_allowed(void **state)
{
    static const char *const needed[] = {"accept",        "content-type", "authorization",
                                         "x-xsrftoken",   "range",        "idempotency-key",
                                         "last-event-id", "if-none-match"};
    auto_reply struct reply reply = {0};
    struct served served;

    (void)state;
    begin(&served, some);
    ask(&served, "OPTIONS /origin", some[0], PREFLIGHT, &reply);
    expect_status(&reply, 204);
    expect_header(&reply, ALLOW_ORIGIN, some[0]);
    const char *allowed = reply_header(&reply, "Access-Control-Allow-Headers");
    for (size_t i = 0; i < COUNT(needed); i++)
        if (!strcasestr(allowed, needed[i]))
            fail_msg("%s is not in %s", needed[i], allowed);
    serve_end(&served);
}

static void other_names_of_the_service_stay_refused(void **state)
{
    auto_reply struct reply reply = {0};
    struct served served;

    (void)state;
    begin(&served, any);
    auto_client struct client client = client_open(served.port);
    client_ask(&client,
               "OPTIONS /origin HTTP/1.1\r\nHost: evil.net\r\n"
               "Origin: http://evil.net\r\n" PREFLIGHT "\r\n",
               &reply);
    expect_status(&reply, 403);
    expect_header(&reply, "Access-Control-Allow-Methods", NULL);
    serve_end(&served);
}

static void handlers_learn_whether_an_origin_is_allowed(void **state)
{
    static const struct {
        const char *const *origins;
        const char *origin, *answer;
    } rows[] = {
        {some, NULL, "allowed"},
        {NULL, NULL, "allowed"},
        {NULL, "http://localhost:8700", "allowed"},
        {NULL, "https://localhost:8700", "allowed"}, /* a proxy in front speaks TLS */
        {NULL, "http://LOCALHOST:8700", "allowed"},
        {NULL, "http://localhost", "foreign"},
        {NULL, "http://localhost:8701", "foreign"},
        {NULL, "http://localhost:87001", "foreign"},
        {NULL, "http://xlocalhost:8700", "foreign"},
        {NULL, "localhost:8700", "foreign"},
        {NULL, "http://evil.net/://localhost:8700", "foreign"},
        {NULL, "null", "foreign"},
        {NULL, "", "foreign"},
        {some, "https://lab.example.org", "allowed"},
        {some, "https://lab.example.orgs", "foreign"},
        {some, "https://LAB.example.org", "foreign"},
        {any, "https://evil.net", "allowed"},
        {any, "null", "allowed"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_reply struct reply reply = {0};
        struct served served;
        begin(&served, rows[i].origins);
        ask(&served, "GET /origin", rows[i].origin, TOKEN, &reply);
        expect_status(&reply, 200);
        if (strcmp(buf_text(&reply.body), rows[i].answer) != 0)
            fail_msg("%s is %s", rows[i].origin, buf_text(&reply.body));
        serve_end(&served);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_of_known_origins_get_their_name),
        cmocka_unit_test(so_do_they_with_what_is_refused),
        cmocka_unit_test(so_do_they_with_what_is_broken_off),
        cmocka_unit_test(browsers_ask_without_the_token),
        cmocka_unit_test(what_pages_say_is_allowed),
        cmocka_unit_test(other_names_of_the_service_stay_refused),
        cmocka_unit_test(handlers_learn_whether_an_origin_is_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
