/* libmicrohttpd calls reception_access for a request:
 *
 *     once when its headers are there      admitted or refused (EXCHANGE_NEW)
 *     for each piece of its body           collected, or dropped
 *     once when it is there whole          handled; and again after it was parked
 *
 * An answer that is queued in the first call ends the connection, so even a refusal waits for the
 * last one where that costs little. In between none can be queued at all: what has to be refused
 * there is written to the socket by hand and the connection closed.
 */
#include "api/server/reception.h"

#include "api/server/cors.h"
#include "api/server/exchange_private.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

/* A refused body up to this size is read and dropped, which keeps the connection usable. */
#define DROPPED_BODY_MAX (64 * KiB)

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* --- connections, and the beginning and the end of requests --- */

/* Not MHD_quiesce_daemon: in 0.9.75 it aborts when a thread of the pool is about to take the socket
 * out of its own epoll set. */
enum MHD_Result reception_accept(void *cls, const struct sockaddr *address, socklen_t len)
{
    struct reception *reception = cls;

    (void)address;
    (void)len;
    return reception->is_closing ? MHD_NO : MHD_YES;
}

void reception_notify_connection(void *cls, struct MHD_Connection *connection, void **context,
                                 enum MHD_ConnectionNotificationCode what)
{
    struct reception *reception = cls;

    switch (what) {
    case MHD_CONNECTION_NOTIFY_STARTED:
        *context = peer_open(
            reception->watch,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
        break;
    case MHD_CONNECTION_NOTIFY_CLOSED:
        peer_close(*context);
        *context = NULL;
        break;
    }
}

void *reception_begin(void *cls, const char *uri, struct MHD_Connection *connection)
{
    struct reception *reception = cls;
    struct exchange *exchange = exchange_new(reception->parking, connection, uri ? uri : "");

    exchange->user = reception->user;
    exchange->origins = reception->origins;
    exchange->dialect = problem_dialect_of(reception->dialects, exchange->path);
    exchange->peer =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    peer_await(exchange->peer);
    return exchange;
}

/* Escapes stay: target.c is stricter than libmicrohttpd. */
size_t reception_unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strlen(text);
}

static void leave_flight(struct reception *reception)
{
    if (atomic_fetch_sub(&reception->in_flight, 1) > 1 || !reception->is_closing)
        return;
    pthread_mutex_lock(&reception->lock);
    pthread_cond_broadcast(&reception->drained);
    pthread_mutex_unlock(&reception->lock);
}

void reception_complete(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_RequestTerminationCode why)
{
    struct reception *reception = cls;
    struct exchange *exchange = *context;

    (void)connection;
    (void)why;
    if (!exchange)
        return;
    *context = NULL;
    bool is_in_flight = exchange->phase == EXCHANGE_HANDLED;
    if (exchange->is_cut_short)
        peer_linger(exchange->peer);
    peer_await(exchange->peer);
    reception->body_bytes -= exchange->body.len;
    switch (parked_state(&exchange->parked)) {
    case PARKED_CUT:
    case PARKED_LEFT:
        if (parked_leave(&exchange->parked))
            exchange_free(exchange);
        break;
    case PARKED_RUNNING:
    case PARKED_ASLEEP:
    case PARKED_WAKING:
    case PARKED_WOKEN:
        exchange_free(exchange);
        break;
    }
    if (is_in_flight)
        leave_flight(reception);
}

void reception_close(struct reception *reception, int64_t deadline)
{
    struct timespec until = {deadline / 1000, deadline % 1000 * 1000000};

    pthread_mutex_lock(&reception->lock);
    reception->is_closing = true;
    while (reception->in_flight > 0)
        if (pthread_cond_clockwait(&reception->drained, &reception->lock, CLOCK_MONOTONIC,
                                   &until) == ETIMEDOUT)
            break;
    pthread_mutex_unlock(&reception->lock);
}

/* --- answering --- */

static void log_answer(const struct exchange *exchange, const char *method)
{
    int status = exchange->status;
    char text[] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                   (char)('0' + status % 10), 0};

    if (status >= 500)
        log_line(LOG_WARNING, "request_failed", "method", method, "path", exchange->path, "status",
                 text, "detail", exchange->failure, NULL);
    else
        log_line(LOG_DEBUG, "request", "method", method, "path", exchange->path, "status", text,
                 NULL);
}

static enum MHD_Result queue_answer(struct reception *reception, struct exchange *exchange,
                                    const char *method)
{
    struct MHD_Response *response = exchange->response;

    peer_hold(exchange->peer);
    figures_count(reception->figures, exchange->route, exchange->status,
                  now_us() - exchange->since_us);
    log_answer(exchange, method);
    exchange->response = NULL;
    enum MHD_Result result =
        MHD_queue_response(exchange->connection, (unsigned)exchange->status, response);
    MHD_destroy_response(response);
    return result;
}

/* --- the first call: admission --- */

static enum MHD_Result take_header(void *cls, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    exchange_take_header(cls, (struct str){name, name_len},
                         (struct str){value ? value : "", value ? value_len : 0});
    return MHD_YES;
}

static void refuse(struct exchange *exchange, int status, const char *detail)
{
    exchange_answer_problem(exchange, status, detail, NULL);
}

/* false: it has been answered. */
static bool check_closing(struct reception *reception, struct exchange *exchange)
{
    if (!reception->is_closing)
        return true;
    figures_count_refusal(reception->figures, REFUSED_CLOSING);
    exchange_add_header(exchange, MHD_HTTP_HEADER_CONNECTION, "close");
    refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "the service is being stopped");
    return false;
}

/* Is its end so far away that the answer should not wait for it? */
static bool is_long(const struct exchange *exchange)
{
    return exchange_has_body(exchange) &&
           (exchange->framing.is_chunked || exchange->framing.length > DROPPED_BODY_MAX ||
            guard_expects_continue(exchange->headers.expect));
}

static enum MHD_Result admit(struct reception *reception, struct exchange *exchange,
                             const char *method, const char *version)
{
    struct err e;

    exchange->since_us = now_us();
    exchange->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
    exchange->is_http_1_1 = strcmp(version, MHD_HTTP_VERSION_1_1) == 0;
    MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, take_header, exchange);
    cors_add_headers(exchange);
    if (guard_check_framing(&exchange->headers, &exchange->framing, &e) < 0) {
        exchange->phase = EXCHANGE_REFUSED;
        exchange->is_cut_short = true;
        refuse(exchange, MHD_HTTP_BAD_REQUEST, e.text);
        return queue_answer(reception, exchange, method);
    }
    if (check_closing(reception, exchange) &&
        admission_check(&reception->admission, exchange, method)) {
        exchange->phase = EXCHANGE_ADMITTED;
        return MHD_YES;
    }
    exchange->phase = EXCHANGE_REFUSED;
    if (!is_long(exchange))
        return MHD_YES;
    exchange->is_cut_short = true;
    return queue_answer(reception, exchange, method);
}

/* --- the body --- */

/* Nothing has been written for this request yet but perhaps "100 Continue", so the socket is free
 * for a whole answer, which its buffer has room for. */
static enum MHD_Result break_off(struct reception *reception, struct exchange *exchange,
                                 const char *method, int status, const char *detail)
{
    int fd = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                 ->connect_fd;
    auto_buf struct buf body = {0}, answer = {0};

    problem_put(&body, exchange->dialect, status, detail, NULL);
    buf_printf(&answer,
               "HTTP/1.1 %d %s\r\nConnection: close\r\nContent-Type: %s\r\n"
               "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s",
               status, MHD_get_reason_phrase_for((unsigned)status),
               problem_content_type(exchange->dialect),
               status == MHD_HTTP_SERVICE_UNAVAILABLE ? "Retry-After: 1\r\n" : "");
    exchange_put_added(exchange, &answer);
    buf_printf(&answer, "Content-Length: %zu\r\n\r\n", body.len);
    buf_put(&answer, body.data, body.len);
    exchange->is_cut_short = send(fd, answer.data, answer.len, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
    exchange->status = status;
    figures_count(reception->figures, exchange->route, status, now_us() - exchange->since_us);
    log_answer(exchange, method);
    return MHD_NO; /* closes the connection */
}

static enum MHD_Result collect(struct reception *reception, struct exchange *exchange,
                               const char *method, const char *data, size_t len)
{
    if (len > exchange->route->body_cap - exchange->body.len) {
        struct err e;
        err_set(&e, ERR_LIMIT, "the body is larger than %zu bytes", exchange->route->body_cap);
        figures_count_refusal(reception->figures, REFUSED_LATE_BODY);
        return break_off(reception, exchange, method, MHD_HTTP_CONTENT_TOO_LARGE, e.text);
    }
    if (atomic_fetch_add(&reception->body_bytes, len) + len > reception->bodies_cap) {
        reception->body_bytes -= len;
        figures_count_refusal(reception->figures, REFUSED_BODIES_FULL);
        return break_off(reception, exchange, method, MHD_HTTP_SERVICE_UNAVAILABLE,
                         "too much is being sent at once");
    }
    buf_put(&exchange->body, data, len);
    return MHD_YES;
}

/* --- handling --- */

void reception_work(void *job)
{
    struct exchange *exchange = job;
    exchange->route->handle(exchange, exchange->user);
}

void reception_drop(void *job)
{
    exchange_answer_problem(job, MHD_HTTP_SERVICE_UNAVAILABLE, "the service is being stopped",
                            NULL);
}

/* What is there after the handler has answered is answered at once; else the connection sleeps
 * until it has. */
static enum MHD_Result answer_or_sleep(struct reception *reception, struct exchange *exchange,
                                       const char *method)
{
    switch (parked_state(&exchange->parked)) {
    case PARKED_WOKEN:
        return queue_answer(reception, exchange, method);
    case PARKED_RUNNING:
        parked_sleep(&exchange->parked);
        return MHD_YES;
    case PARKED_ASLEEP: /* cannot be: asleep, it is not called */
    case PARKED_WAKING:
    case PARKED_CUT:
    case PARKED_LEFT:
        break;
    }
    return MHD_NO;
}

static enum MHD_Result handle(struct reception *reception, struct exchange *exchange,
                              const char *method)
{
    peer_hold(exchange->peer);
    exchange->since_us = now_us();
    exchange->phase = EXCHANGE_HANDLED;
    reception->in_flight++;
    switch (exchange->route->place) {
    case ROUTE_INLINE:
        exchange->route->handle(exchange, exchange->user);
        break;
    case ROUTE_WORKER:
        if (workers_put(reception->workers, exchange))
            break;
        figures_count_refusal(reception->figures, REFUSED_WORKERS_BUSY);
        refuse(exchange, MHD_HTTP_SERVICE_UNAVAILABLE, "too much is being asked at once");
        break;
    }
    return answer_or_sleep(reception, exchange, method);
}

enum MHD_Result reception_access(void *cls, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *data,
                                 size_t *len, void **context)
{
    struct reception *reception = cls;
    struct exchange *exchange = *context;
    size_t available = *len;

    (void)connection;
    (void)url;
    *len = 0;
    if (available > 0)
        peer_receive(exchange->peer, available);
    switch (exchange->phase) {
    case EXCHANGE_NEW:
        return admit(reception, exchange, method, version);
    case EXCHANGE_ADMITTED:
        return available > 0 ? collect(reception, exchange, method, data, available)
                             : handle(reception, exchange, method);
    case EXCHANGE_REFUSED:
        return available > 0 ? MHD_YES : queue_answer(reception, exchange, method);
    case EXCHANGE_HANDLED:
        return answer_or_sleep(reception, exchange, method);
    }
    return MHD_NO;
}
