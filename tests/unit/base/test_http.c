#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/http.h"

#include "tests/unit/base/scripted_server.c"

#include <netdb.h>

#define COUNT(array)         (sizeof(array) / sizeof *(array))
#define START(server, rules) server_start((server), SERVER_UNIX, (rules), COUNT(rules))

enum { GATE_A = 1 };

static struct http_request request_to(const struct server *server, const char *url)
{
    return (struct http_request){
        .url = url, .socket_path = server->path, .timeout_ms = 20000, .answer_cap = 1000};
}

/* --- blocking --- */

static void gives_status_and_body(void **state)
{
    struct rule rules[] = {{.request = "GET /a?b=c HTTP/1.1",
                            .answer = "HTTP/1.1 201 Made\r\nContent-Length: 5\r\n\r\nhello"}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    START(&server, rules);
    struct http_request request = request_to(&server, "http://any/a?b=c");
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_int_equal(answer.status, 201);
    assert_string_equal(answer.body.data, "hello");
    server_stop(&server);
}

static void puts_chunks_together_and_passes_interim_answers(void **state)
{
    struct rule rules[] = {{.request = "GET /",
                            .answer = "HTTP/1.1 100 Continue\r\n\r\n"
                                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "3\r\nabc\r\n",
                            .wait_after = GATE_A,
                            .more = "4\r\ndefg\r\n0\r\n\r\n"}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    START(&server, rules);
    server_open_gate(&server, GATE_A);
    struct http_request request = request_to(&server, "http://any/");
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body.data, "abcdefg");
    server_stop(&server);
}

static void sends_method_headers_and_body(void **state)
{
    struct rule rules[] = {{.request = "", .answer = "HTTP/1.1 204 No Content\r\n\r\n"}};
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    struct server server;
    struct err e;

    (void)state;
    START(&server, rules);
    struct {
        const char *method;
        struct str body;
        const char *expected;
    } rows[] = {
        {NULL, {NULL, 0}, "GET /x HTTP/1.1\n\n"},
        {NULL, STR("{\"a\":1}"), "POST /x HTTP/1.1\n{\"a\":1}\n"},
        {"POST", {NULL, 0}, "POST /x HTTP/1.1\n\n"},
        {"PUT", STR("[]"), "PUT /x HTTP/1.1\n[]\n"},
        {"DELETE", {NULL, 0}, "DELETE /x HTTP/1.1\n\n"},
        {"HEAD", {NULL, 0}, "HEAD /x HTTP/1.1\n\n"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_http_answer struct http_answer answer = {0};
        struct http_request request = request_to(&server, "http://any/x");
        request.method = rows[i].method;
        request.body = rows[i].body;
        request.headers = headers;
        assert_int_equal(http_request(&request, &answer, &e), 0);
        assert_int_equal(answer.status, 204);
        assert_int_equal(server_saw(&server, rows[i].expected), 1);
    }
    server_stop(&server);
}

static void refuses_wrong_answers(void **state)
{
    static char huge_header[300 * 1024];
    static char huge_body[2048];
    struct rule rules[] = {
        {.request = "GET /garbage", .answer = "\x01\x02 no http at all\n\n"},
        {.request = "GET /silence", .answer = NULL},
        {.request = "GET /short", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf"},
        {.request = "GET /torn",
         .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
        {.request = "GET /header", .answer = huge_header},
        {.request = "GET /body", .answer = huge_body},
        {.request = "GET /announced",
         .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
         .more = huge_body,
         .more_len = 1001},
        {.request = "GET /slow", .answer = "HTTP/1.1 200 OK\r\n\r\npart", .wait_after = GATE_STOP},
    };
    static const struct {
        const char *url;
        enum err_code code;
    } rows[] = {
        {"http://any/garbage", ERR_PROTOCOL},  {"http://any/silence", ERR_UNAVAILABLE},
        {"http://any/short", ERR_UNAVAILABLE}, {"http://any/torn", ERR_UNAVAILABLE},
        {"http://any/header", ERR_LIMIT},      {"http://any/body", ERR_LIMIT},
        {"http://any/announced", ERR_LIMIT},   {"http://any/slow", ERR_TIMEOUT},
        {"ftp://any/", ERR_INVALID},           {"http://[", ERR_INVALID},
    };
    struct server server;
    struct err e;

    (void)state;
    memset(huge_header, 'x', sizeof huge_header - 1);
    for (size_t i = 99; i < sizeof huge_header - 1; i += 100)
        huge_header[i] = '\n';
    memcpy(huge_header, "HTTP/1.1 200 OK\r\nA:", 19);
    for (size_t i = 100; i < sizeof huge_header - 100; i += 100)
        huge_header[i + 1] = ':';
    memset(huge_body, 'x', sizeof huge_body - 1);
    memcpy(huge_body, "HTTP/1.1 200 OK\r\n\r\n", 19);
    START(&server, rules);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_http_answer struct http_answer answer = {0};
        struct http_request request = request_to(&server, rows[i].url);
        if (rows[i].code == ERR_TIMEOUT)
            request.timeout_ms = 50;
        assert_int_equal(http_request(&request, &answer, &e), -1);
        if (e.code != rows[i].code)
            fail_msg("%s: %s: %s", rows[i].url, err_name(e.code), e.text);
        assert_null(answer.body.data);
    }
    server_stop(&server);
}

static void a_body_of_exactly_the_cap_is_taken(void **state)
{
    static char body[1100];
    struct rule rules[] = {{.request = "GET /", .answer = body}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    memset(body, 'x', 19 + 1000);
    memcpy(body, "HTTP/1.1 200 OK\r\n\r\n", 19);
    START(&server, rules);
    struct http_request request = request_to(&server, "http://any/");
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_int_equal(answer.body.len, 1000);
    server_stop(&server);
}

static void nobody_there_is_unavailable(void **state)
{
    struct http_request request = {
        .url = "http://any/", .socket_path = "/nonexistent/socket", .answer_cap = 10};
    struct http_request tcp = {.url = "http://127.0.0.1:1/", .answer_cap = 10};
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    assert_int_equal(http_request(&tcp, &answer, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
}

static void speaks_tcp(void **state)
{
    struct rule rules[] = {{.request = "GET /tcp", .answer = "HTTP/1.1 200 OK\r\n\r\nover tcp"}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    char url[64];

    (void)state;
    server_start(&server, SERVER_TCP, rules, COUNT(rules));
    snprintf(url, sizeof url, "http://127.0.0.1:%d/tcp", server.port);
    struct http_request request = {.url = url, .answer_cap = 100, .timeout_ms = 20000};
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_string_equal(answer.body.data, "over tcp");
    server_stop(&server);
}

/* --- where a request may go --- */

/* What curl asks for the addresses of names; they are those of this table, until the next look. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *addresses[3]; /* NULL at the end */
    bool is_slow;             /* no answer until this is over */
    unsigned looks;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void names_set(const char *first, const char *second, bool is_slow)
{
    pthread_mutex_lock(&names.lock);
    names.addresses[0] = first;
    names.addresses[1] = second;
    names.is_slow = is_slow;
    pthread_cond_broadcast(&names.changed);
    pthread_mutex_unlock(&names.lock);
}

static struct addrinfo *address_new(const char *text, const char *port)
{
    struct addrinfo *info = mem_zalloc(sizeof *info + sizeof(struct sockaddr_in));
    struct sockaddr_in *address = (struct sockaddr_in *)(info + 1);

    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)(port ? atoi(port) : 0));
    assert_int_equal(inet_pton(AF_INET, text, &address->sin_addr), 1);
    info->ai_family = AF_INET;
    info->ai_socktype = SOCK_STREAM;
    info->ai_protocol = IPPROTO_TCP;
    info->ai_addr = (struct sockaddr *)address;
    info->ai_addrlen = sizeof *address;
    return info;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    struct addrinfo **at = ret;

    (void)node;
    (void)hints;
    pthread_mutex_lock(&names.lock);
    names.looks++;
    pthread_cond_broadcast(&names.changed);
    while (names.is_slow)
        pthread_cond_wait(&names.changed, &names.lock);
    *ret = NULL;
    for (const char **text = names.addresses; *text; text++) {
        *at = address_new(*text, service);
        at = &(*at)->ai_next;
    }
    pthread_mutex_unlock(&names.lock);
    return *ret ? 0 : EAI_NONAME;
}

void freeaddrinfo(struct addrinfo *info)
{
    while (info) {
        struct addrinfo *next = info->ai_next;
        free(info);
        info = next;
    }
}

/* 127.0.0.1 and no other. */
static bool may_connect_to_one(const struct sockaddr *address, socklen_t len)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;

    assert_true(address->sa_family != AF_INET || len == sizeof *four);
    return address->sa_family == AF_INET && four->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
}

static bool may_connect_nowhere(const struct sockaddr *address, socklen_t len)
{
    (void)address;
    (void)len;
    return false;
}

static void addresses_are_asked_for_whatever_they_are_called(void **state)
{
    static const struct {
        const char *host, *text;
    } rows[] = {
        {"127.0.0.1", "the address 127.0.0.1 of \"127.0.0.1\" is not allowed"},
        {"127.1", "the address 127.0.0.1 of \"127.0.0.1\" is not allowed"},
        {"2130706433", "the address 127.0.0.1 of \"127.0.0.1\" is not allowed"},
        {"[::ffff:127.0.0.1]", "the address ::ffff:127.0.0.1 of \"::ffff:127.0.0.1\" is not "
                               "allowed"},
        {"localhost", "of \"localhost\" is not allowed"},
        {"name.test", "the address 127.0.0.1 of \"name.test\" is not allowed"},
    };
    struct rule rules[] = {{.request = "GET /", .answer = "HTTP/1.1 200 OK\r\n\r\n"}};
    struct server server;
    struct err e;

    (void)state;
    server_start(&server, SERVER_TCP, rules, COUNT(rules));
    names_set("127.0.0.1", NULL, false);
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_free char *url = mem_printf("http://%s:%d/", rows[i].host, server.port);
        auto_http_answer struct http_answer answer = {0};
        struct http_request request = {.url = url,
                                       .answer_cap = 100,
                                       .timeout_ms = 20000,
                                       .is_direct = true,
                                       .may_connect = may_connect_nowhere};
        assert_int_equal(http_request(&request, &answer, &e), -1);
        if (e.code != ERR_INVALID || !strstr(e.text, rows[i].text))
            fail_msg("%s: %s: %s", rows[i].host, err_name(e.code), e.text);
    }
    assert_int_equal(server_saw(&server, "GET"), 0);
    server_stop(&server);
}

static void a_name_goes_where_it_may_and_is_asked_for_each_time(void **state)
{
    struct rule rules[] = {{.request = "GET /", .answer = "HTTP/1.1 204 Fine\r\n\r\n"}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    server_start(&server, SERVER_TCP, rules, COUNT(rules));
    auto_free char *url = mem_printf("http://name.test:%d/", server.port);
    struct http_request request = {.url = url,
                                   .answer_cap = 100,
                                   .timeout_ms = 20000,
                                   .is_direct = true,
                                   .may_connect = may_connect_to_one};
    names_set("127.0.0.1", NULL, false);
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_int_equal(answer.status, 204);
    http_answer_clear(&answer);
    names_set("127.0.0.2", "127.0.0.1", false);
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_int_equal(answer.status, 204);
    http_answer_clear(&answer);
    names_set("127.0.0.2", NULL, false);
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_string_equal(e.text, "the address 127.0.0.2 of \"name.test\" is not allowed");
    server_stop(&server);
}

static void where_it_may_go_and_nobody_is_there_is_unavailable(void **state)
{
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    (void)state;
    server_start(&server, SERVER_TCP, NULL, 0);
    auto_free char *url = mem_printf("http://name.test:%d/", server.port);
    server_stop(&server);
    struct http_request request = {.url = url,
                                   .answer_cap = 100,
                                   .timeout_ms = 20000,
                                   .is_direct = true,
                                   .may_connect = may_connect_to_one};
    names_set("127.0.0.2", "127.0.0.1", false);
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
}

static void giving_up_does_not_wait_for_a_name(void **state)
{
    struct http_request request = {
        .url = "http://name.test/", .answer_cap = 100, .timeout_ms = 30, .is_direct = true};
    auto_http_answer struct http_answer answer = {0};
    unsigned looks = names.looks;
    struct err e;

    (void)state;
    names_set(NULL, NULL, true);
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_TIMEOUT);
    pthread_mutex_lock(&names.lock);
    while (names.looks == looks) /* the look may be given up before it began */
        pthread_cond_wait(&names.changed, &names.lock);
    pthread_mutex_unlock(&names.lock);
    names_set(NULL, NULL, false);
}

static void urls_are_read_as_requests_read_them(void **state)
{
    static const struct {
        const char *text, *scheme, *host;
        bool has_user;
    } rows[] = {
        {"http://example.com", "http", "example.com", false},
        {"HTTPS://Example.com:8443/a?b#c", "https", "Example.com", false},
        {"http://127.1/", "http", "127.0.0.1", false},
        {"http://2130706433/", "http", "127.0.0.1", false},
        {"http://0x7f.0.0.1/", "http", "127.0.0.1", false},
        {"http://0177.0.0.1/", "http", "127.0.0.1", false},
        {"http://%31%32%37.0.0.1/", "http", "127.0.0.1", false},
        {"http://[::ffff:127.0.0.1]/", "http", "::ffff:127.0.0.1", false},
        {"http://[fe80::1%25eth0]/", "http", "fe80::1", false},
        {"http://me@example.com/", "http", "example.com", true},
        {"http://me:secret@example.com/", "http", "example.com", true},
        {"http://:secret@example.com/", "http", "example.com", true},
        {"http://example.com@127.0.0.1/", "http", "127.0.0.1", true},
        {"ftp://example.com/", "ftp", "example.com", false},
    };
    static const char *const wrong[] = {
        "",
        "example.com",
        "/path",
        "http://",
        "http://[::",
        "http://a b/c",
        "http://a:99999",
        "http://a\n/b",
        "nosuch://example.com/",
    };
    struct err e;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        auto_http_url struct http_url url = {0};
        if (http_url_parse(&url, rows[i].text, &e) < 0)
            fail_msg("%s: %s", rows[i].text, e.text);
        assert_string_equal(url.scheme, rows[i].scheme);
        assert_string_equal(url.host, rows[i].host);
        assert_int_equal(url.has_user, rows[i].has_user);
    }
    for (size_t i = 0; i < COUNT(wrong); i++) {
        auto_http_url struct http_url url = {0};
        if (http_url_parse(&url, wrong[i], &e) == 0)
            fail_msg("%s: has the host %s", wrong[i], url.host);
        assert_int_equal(e.code, ERR_INVALID);
    }
}

static void cancelling_gives_up_at_once(void **state)
{
    struct rule rules[] = {{.request = "GET /", .wait_before = GATE_STOP}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    int readable[2], closed[2];

    (void)state;
    START(&server, rules);
    assert_int_equal(pipe(readable), 0);
    assert_int_equal(pipe(closed), 0);
    assert_int_equal(write(readable[1], "x", 1), 1);
    close(closed[1]);
    struct http_request request = request_to(&server, "http://any/");
    request.timeout_ms = 0;
    request.cancel_fd = readable[0];
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_CANCELLED);
    request.cancel_fd = closed[0];
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_CANCELLED);
    close(readable[0]);
    close(readable[1]);
    close(closed[0]);
    server_stop(&server);
}

struct canceller {
    struct server *server;
    int fd;
};

static void *cancel_when_arrived(void *user)
{
    const struct canceller *canceller = user;

    server_wait_gate(canceller->server, GATE_A);
    close(canceller->fd);
    return NULL;
}

static void cancelling_in_the_middle_gives_up(void **state)
{
    struct rule rules[] = {{.request = "GET /",
                            .arrived = GATE_A,
                            .answer = "HTTP/1.1 200 OK\r\n\r\nsome",
                            .wait_after = GATE_STOP}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    pthread_t thread;
    int fds[2];

    (void)state;
    START(&server, rules);
    assert_int_equal(pipe(fds), 0);
    struct canceller canceller = {&server, fds[1]};
    pthread_create(&thread, NULL, cancel_when_arrived, &canceller);
    struct http_request request = request_to(&server, "http://any/");
    request.timeout_ms = 0;
    request.cancel_fd = fds[0];
    assert_int_equal(http_request(&request, &answer, &e), -1);
    assert_int_equal(e.code, ERR_CANCELLED);
    pthread_join(thread, NULL);
    close(fds[0]);
    server_stop(&server);
}

static void within_the_grace_time_the_answer_is_taken(void **state)
{
    struct rule rules[] = {{.request = "POST /", .answer = "HTTP/1.1 201 OK\r\n\r\nmade"}};
    struct server server;
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    int fds[2];

    (void)state;
    START(&server, rules);
    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    struct http_request request = request_to(&server, "http://any/");
    request.method = "POST";
    request.cancel_fd = fds[0];
    request.cancel_grace_ms = 20000;
    assert_int_equal(http_request(&request, &answer, &e), 0);
    assert_string_equal(answer.body.data, "made");
    close(fds[0]);
    server_stop(&server);
}

/* --- streams --- */

struct watch {
    struct loop *loop;
    struct http_stream *stream;
    struct buf data;
    int closed;
    bool failed;
    struct err e;
    bool free_in_data;
    bool free_in_closed;
    struct server *server;
    int open_on_data; /* gate */
};

static void on_data(void *user, const char *data, size_t len)
{
    struct watch *watch = user;

    buf_put(&watch->data, data, len);
    if (watch->open_on_data)
        server_open_gate(watch->server, watch->open_on_data);
    if (watch->free_in_data) {
        http_stream_free(watch->stream);
        watch->stream = NULL;
        loop_stop(watch->loop);
    }
}

static void on_closed(void *user, const struct err *e)
{
    struct watch *watch = user;

    watch->closed++;
    watch->failed = e != NULL;
    if (e)
        watch->e = *e;
    if (watch->free_in_closed) {
        http_stream_free(watch->stream);
        watch->stream = NULL;
    }
    loop_stop(watch->loop);
}

static const struct http_stream_events watching = {on_data, on_closed};

static void watch_start(struct watch *watch, struct server *server, struct rule *rules,
                        size_t count)
{
    server_start(server, SERVER_UNIX, rules, count);
    watch->loop = loop_new();
    watch->server = server;
    struct http_request request = {.url = "http://any/stream", .socket_path = server->path};
    watch->stream = http_stream_open(watch->loop, &request, &watching, watch);
}

static void watch_stop(struct watch *watch, struct server *server)
{
    http_stream_free(watch->stream);
    loop_free(watch->loop);
    buf_clear(&watch->data);
    server_stop(server);
}

static void a_stream_hands_over_as_it_comes(void **state)
{
    /* The second part is only sent when the first one was handed over. */
    struct rule rules[] = {{.request = "GET /stream",
                            .answer = "HTTP/1.1 200 OK\r\n\r\nfirst ",
                            .wait_after = GATE_A,
                            .more = "second"}};
    struct server server;
    struct watch watch = {.open_on_data = GATE_A};

    (void)state;
    watch_start(&watch, &server, rules, COUNT(rules));
    assert_int_equal(http_stream_status(watch.stream), 0);
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.data), "first second");
    assert_int_equal(watch.closed, 1);
    assert_false(watch.failed);
    assert_int_equal(http_stream_status(watch.stream), 200);
    watch_stop(&watch, &server);
}

static void awaiting_sees_the_header_and_keeps_the_data(void **state)
{
    struct rule rules[] = {{.request = "GET /stream",
                            .answer = "HTTP/1.1 404 Not Found\r\n\r\nearly ",
                            .wait_after = GATE_A,
                            .more = "late"}};
    struct server server;
    struct watch watch = {0};
    struct err e;

    (void)state;
    watch_start(&watch, &server, rules, COUNT(rules));
    assert_int_equal(http_stream_await(watch.stream, 20000, -1, &e), 0);
    assert_int_equal(http_stream_status(watch.stream), 404);
    assert_int_equal(watch.data.len, 0);
    server_open_gate(&server, GATE_A);
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.data), "early late");
    watch_stop(&watch, &server);
}

static void what_ended_while_awaiting_is_told_by_the_loop(void **state)
{
    struct rule rules[] = {
        {.request = "GET /stream", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall"}};
    struct server server;
    struct watch watch = {0};
    struct err e;

    (void)state;
    watch_start(&watch, &server, rules, COUNT(rules));
    assert_int_equal(http_stream_await(watch.stream, 20000, -1, &e), 0);
    assert_int_equal(watch.closed, 0);
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.data), "all");
    assert_int_equal(watch.closed, 1);
    watch_stop(&watch, &server);
}

static void awaiting_fails_as_a_request_does(void **state)
{
    struct rule silent[] = {{.request = "GET /stream", .answer = NULL}};
    struct rule slow[] = {{.request = "GET /stream", .wait_before = GATE_STOP}};
    struct server server;
    struct watch watch = {0};
    struct err e;
    int fds[2];

    (void)state;
    watch_start(&watch, &server, silent, 1);
    assert_int_equal(http_stream_await(watch.stream, 20000, -1, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    watch_stop(&watch, &server);

    watch = (struct watch){0};
    watch_start(&watch, &server, slow, 1);
    assert_int_equal(http_stream_await(watch.stream, 30, -1, &e), -1);
    assert_int_equal(e.code, ERR_TIMEOUT);
    watch_stop(&watch, &server);

    assert_int_equal(pipe(fds), 0);
    close(fds[1]);
    watch = (struct watch){0};
    watch_start(&watch, &server, slow, 1);
    assert_int_equal(http_stream_await(watch.stream, 20000, fds[0], &e), -1);
    assert_int_equal(e.code, ERR_CANCELLED);
    watch_stop(&watch, &server);
    close(fds[0]);
}

static void a_stream_that_breaks_off_says_so(void **state)
{
    struct rule rules[] = {{.request = "GET /stream",
                            .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      "3\r\nabc\r\n"}};
    struct server server;
    struct watch watch = {.free_in_closed = true};

    (void)state;
    watch_start(&watch, &server, rules, COUNT(rules));
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.data), "abc");
    assert_int_equal(watch.closed, 1);
    assert_true(watch.failed);
    assert_int_equal(watch.e.code, ERR_UNAVAILABLE);
    watch_stop(&watch, &server);
}

static void nobody_there_closes_the_stream(void **state)
{
    struct watch watch = {.loop = loop_new()};
    struct http_request request = {.url = "http://any/", .socket_path = "/nonexistent/socket"};

    (void)state;
    watch.stream = http_stream_open(watch.loop, &request, &watching, &watch);
    loop_run(watch.loop);
    assert_true(watch.failed);
    assert_int_equal(watch.e.code, ERR_UNAVAILABLE);
    http_stream_free(watch.stream);
    loop_free(watch.loop);
}

static void a_stream_goes_only_where_it_may(void **state)
{
    struct watch watch = {.loop = loop_new()};
    struct http_request request = {
        .url = "http://name.test/", .is_direct = true, .may_connect = may_connect_to_one};

    (void)state;
    names_set("127.0.0.2", "127.0.0.3", false);
    watch.stream = http_stream_open(watch.loop, &request, &watching, &watch);
    loop_run(watch.loop);
    assert_true(watch.failed);
    assert_int_equal(watch.e.code, ERR_INVALID);
    assert_non_null(strstr(watch.e.text, "of \"name.test\" is not allowed"));
    http_stream_free(watch.stream);
    loop_free(watch.loop);
}

static void a_stream_can_be_freed_inside_its_callback(void **state)
{
    struct rule rules[] = {
        {.request = "GET /stream", .answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nall"}};
    struct server server;
    struct watch watch = {.free_in_data = true};

    (void)state;
    watch_start(&watch, &server, rules, COUNT(rules));
    loop_run(watch.loop);
    assert_string_equal(buf_text(&watch.data), "all");
    assert_int_equal(watch.closed, 0);
    watch_stop(&watch, &server);
}

static void a_flood_arrives_whole(void **state)
{
    enum { SIZE = 20 * 1000 * 1000 };
    struct server server;
    struct watch watch = {0};
    char *flood = mem_alloc(SIZE);

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        flood[i] = (char)('a' + i % 26);
    struct rule rules[] = {{.request = "GET /stream",
                            .answer = "HTTP/1.1 200 OK\r\n\r\n",
                            .more = flood,
                            .more_len = SIZE}};
    watch_start(&watch, &server, rules, COUNT(rules));
    loop_run(watch.loop);
    assert_int_equal(watch.data.len, SIZE);
    assert_memory_equal(watch.data.data, flood, SIZE);
    watch_stop(&watch, &server);
    free(flood);
}

static void escapes_what_a_query_cannot_hold(void **state)
{
    auto_buf struct buf out = {0};

    (void)state;
    http_put_escaped(&out, STR("aZ9-._~ /{\"\xc3\xa4\0"));
    assert_string_equal(out.data, "aZ9-._~%20%2F%7B%22%C3%A4%00");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_status_and_body),
        cmocka_unit_test(puts_chunks_together_and_passes_interim_answers),
        cmocka_unit_test(sends_method_headers_and_body),
        cmocka_unit_test(refuses_wrong_answers),
        cmocka_unit_test(a_body_of_exactly_the_cap_is_taken),
        cmocka_unit_test(nobody_there_is_unavailable),
        cmocka_unit_test(speaks_tcp),
        cmocka_unit_test(addresses_are_asked_for_whatever_they_are_called),
        cmocka_unit_test(a_name_goes_where_it_may_and_is_asked_for_each_time),
        cmocka_unit_test(where_it_may_go_and_nobody_is_there_is_unavailable),
        cmocka_unit_test(giving_up_does_not_wait_for_a_name),
        cmocka_unit_test(urls_are_read_as_requests_read_them),
        cmocka_unit_test(cancelling_gives_up_at_once),
        cmocka_unit_test(cancelling_in_the_middle_gives_up),
        cmocka_unit_test(within_the_grace_time_the_answer_is_taken),
        cmocka_unit_test(a_stream_hands_over_as_it_comes),
        cmocka_unit_test(awaiting_sees_the_header_and_keeps_the_data),
        cmocka_unit_test(what_ended_while_awaiting_is_told_by_the_loop),
        cmocka_unit_test(awaiting_fails_as_a_request_does),
        cmocka_unit_test(a_stream_that_breaks_off_says_so),
        cmocka_unit_test(nobody_there_closes_the_stream),
        cmocka_unit_test(a_stream_goes_only_where_it_may),
        cmocka_unit_test(a_stream_can_be_freed_inside_its_callback),
        cmocka_unit_test(a_flood_arrives_whole),
        cmocka_unit_test(escapes_what_a_query_cannot_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
