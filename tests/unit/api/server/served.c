/* A server with a route of each kind, for tests over sockets; included by them. */
#include "api/server/server.h"

#include "tests/unit/api/server/client.c"

#include <assert.h>
#include <pthread.h>

#define TOKEN "Authorization: Bearer secret\r\n"
#define LOCAL "Host: localhost\r\n"
#define JSON  "Content-Type: application/json\r\n"

#define GET(path) "GET " path " HTTP/1.1\r\n" LOCAL TOKEN "\r\n"
#define POST(path, length)                                                                         \
    "POST " path " HTTP/1.1\r\n" LOCAL TOKEN JSON "Content-Length: " length "\r\n\r\n"
#define POST_CHUNKED(path)                                                                         \
    "POST " path " HTTP/1.1\r\n" LOCAL TOKEN JSON "Transfer-Encoding: chunked\r\n\r\n"

#define ECHO_CAP 100000

/* What handlers leave to the test, and a gate that it opens. */
struct served {
    struct server *server;
    unsigned port;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct exchange *held[256]; /* of /hold: not answered yet */
    unsigned held_count;
    bool is_open; /* /blocked goes on */
    unsigned blocked_count;
};

static void serve_hello(struct exchange *exchange, void *user)
{
    struct buf body = {0};

    (void)user;
    buf_puts(&body, "{\"hello\":true}");
    exchange_answer_json(exchange, 200, &body);
}

static void serve_echo(struct exchange *exchange, void *user)
{
    struct str given = exchange_body(exchange);
    struct buf body = {0};

    (void)user;
    buf_put(&body, given.text, given.len);
    exchange_answer(exchange, 200, "application/octet-stream", &body);
}

static void serve_item(struct exchange *exchange, void *user)
{
    const char *query = exchange_query(exchange, "query"),
               *other = exchange_query(exchange, "other");
    const char *header = exchange_header(exchange, "x-HEADER");
    struct buf body = {0};

    (void)user;
    buf_printf(&body, "%s %s|%s|%s|%s|%s", exchange_path(exchange), exchange_segment(exchange, 0),
               exchange_segment(exchange, 1), query ? query : "-", other ? other : "-",
               header ? header : "-");
    exchange_add_header(exchange, "X-Answer", "1");
    exchange_answer(exchange, 202, "text/plain", &body);
}

static void serve_nothing(struct exchange *exchange, void *user)
{
    (void)user;
    exchange_answer(exchange, 204, NULL, NULL);
}

static void serve_failure(struct exchange *exchange, void *user)
{
    struct err e;

    (void)user;
    err_set(&e, ERR_NO_SPACE, "the disk is full");
    exchange_answer_err(exchange, &e, NULL);
}

static void serve_hold(struct exchange *exchange, void *user)
{
    struct served *served = user;

    pthread_mutex_lock(&served->lock);
    assert(served->held_count < 256);
    served->held[served->held_count++] = exchange;
    pthread_cond_broadcast(&served->changed);
    pthread_mutex_unlock(&served->lock);
}

static void serve_blocked(struct exchange *exchange, void *user)
{
    struct served *served = user;

    pthread_mutex_lock(&served->lock);
    served->blocked_count++;
    pthread_cond_broadcast(&served->changed);
    while (!served->is_open)
        pthread_cond_wait(&served->changed, &served->lock);
    pthread_mutex_unlock(&served->lock);
    assert(exchange_header(exchange, "Host")); /* still good */
    serve_echo(exchange, user);
}

static const char *const item_queries[] = {"query", "other", NULL};

static const HELPER struct route served_routes[] = {
    {"GET", "/hello", ROUTE_OPEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"GET", "/private", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_hello},
    {"POST", "/echo", ROUTE_TOKEN, ROUTE_INLINE, ECHO_CAP, NULL, serve_echo},
    {"POST", "/work", ROUTE_TOKEN, ROUTE_WORKER, ECHO_CAP, NULL, serve_echo},
    {"POST", "/large", ROUTE_TOKEN, ROUTE_INLINE, 10000000, NULL, serve_echo},
    {"GET", "/items/{id}/{name}", ROUTE_TOKEN, ROUTE_INLINE, 0, item_queries, serve_item},
    {"DELETE", "/items/{id}/{name}", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_nothing},
    {"GET", "/failure", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_failure},
    {"GET", "/hold", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, serve_hold},
    {"POST", "/hold", ROUTE_TOKEN, ROUTE_WORKER, ECHO_CAP, NULL, serve_hold},
    {"POST", "/blocked", ROUTE_TOKEN, ROUTE_WORKER, ECHO_CAP, NULL, serve_blocked},
};

/* Address, token and hosts are set here. */
static HELPER void serve_as(struct served *served, struct server_options options)
{
    static const char *const hosts[] = {"segue.example", NULL};
    struct err e;

    options.address = "127.0.0.1";
    options.token = "secret";
    options.hosts = hosts;
    pthread_mutex_init(&served->lock, NULL);
    pthread_cond_init(&served->changed, NULL);
    if (server_start(&served->server, &options, served, &e) < 0)
        fail_msg("%s", e.text);
    served->port = server_port(served->server);
}

static HELPER void serve_with(struct served *served, const struct route *routes, size_t count,
                              struct server_limits limits)
{
    serve_as(served,
             (struct server_options){.routes = routes, .route_count = count, .limits = limits});
}

static HELPER void serve(struct served *served, struct server_limits limits)
{
    *served = (struct served){0};
    serve_with(served, served_routes, sizeof served_routes / sizeof *served_routes, limits);
}

static HELPER void serve_end(struct served *served)
{
    server_stop(served->server);
    pthread_mutex_destroy(&served->lock);
    pthread_cond_destroy(&served->changed);
}

static HELPER void wait_for_held(struct served *served, unsigned count)
{
    pthread_mutex_lock(&served->lock);
    while (served->held_count < count)
        pthread_cond_wait(&served->changed, &served->lock);
    pthread_mutex_unlock(&served->lock);
}

static HELPER void wait_for_blocked(struct served *served, unsigned count)
{
    pthread_mutex_lock(&served->lock);
    while (served->blocked_count < count)
        pthread_cond_wait(&served->changed, &served->lock);
    pthread_mutex_unlock(&served->lock);
}

/* Answers all that are held. */
static HELPER void release_held(struct served *served)
{
    pthread_mutex_lock(&served->lock);
    for (unsigned i = 0; i < served->held_count; i++)
        serve_hello(served->held[i], served);
    served->held_count = 0;
    pthread_mutex_unlock(&served->lock);
}

static HELPER void open_gate(struct served *served)
{
    pthread_mutex_lock(&served->lock);
    served->is_open = true;
    pthread_cond_broadcast(&served->changed);
    pthread_mutex_unlock(&served->lock);
}
