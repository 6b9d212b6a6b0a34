/* http: a client for one request at a time, over TCP or a unix socket (libcurl).
 *
 * http_request blocks until the answer is there whole, its deadline passes or somebody cancels;
 * http_stream hands a long answer over as it comes, from a loop. Nothing is shared between
 * requests: each has a connection of its own. Redirects are not followed, proxies are used only
 * where the environment names one and never for unix sockets. A status such as 404 is an answer,
 * not an error.
 *
 * Where a request may go can be decided by address (may_connect), and is when it connects, whatever
 * name led there: what a name means may have changed since it was looked at.
 *
 * http_request may be called from any thread; a stream belongs to the thread of its loop.
 */
#ifndef SEGUE_BASE_HTTP_H
#define SEGUE_BASE_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct http_request {
    const char *method;         /* NULL: GET, or POST when there is a body */
    const char *url;            /* with a unix socket only its path and query count */
    const char *socket_path;    /* NULL: TCP */
    const char *const *headers; /* "Name: value", NULL at the end; NULL: none */
    struct str body;            /* none: no body; an empty one is sent as such */
    int timeout_ms;             /* for all of it; 0: no limit */
    bool is_direct;             /* never through a proxy, whatever the environment names */
    /* May be NULL. Asked for each address of the host, or of the proxy, before it is connected to;
     * where every one was refused, ERR_INVALID with a text that names one. */
    bool (*may_connect)(const struct sockaddr *address, socklen_t len);

    /* http_request only */
    size_t answer_cap; /* of the answer's body; more is ERR_LIMIT */
    int cancel_fd; /* what becomes readable (or closed) when it shall be given up; 0, -1: none */
    int cancel_grace_ms; /* how long the answer is still waited for then: for a request that makes
                            something, whose maker has to know what is to be removed */
};

struct http_answer {
    int status;
    struct buf body;
};

void http_answer_clear(struct http_answer *answer);
#define auto_http_answer __attribute__((cleanup(http_answer_clear)))

/* Errors: ERR_UNAVAILABLE (nobody there, or broken off in the middle), ERR_TIMEOUT, ERR_CANCELLED,
 * ERR_LIMIT, ERR_PROTOCOL (no HTTP). `answer` must be cleared before; on failure it is. */
int http_request(const struct http_request *request, struct http_answer *answer, struct err *e);

struct http_stream;

struct http_stream_events {
    /* Some of the body, whatever the status. */
    void (*data)(void *user, const char *data, size_t len);
    /* Once, at the end: `e` is NULL when the answer was complete. The stream is still to be freed.
     */
    void (*closed)(void *user, const struct err *e);
};

/* Sends the request (its texts are copied). Events come from the loop only and may free the
 * stream. */
struct http_stream *http_stream_open(struct loop *loop, const struct http_request *request,
                                     const struct http_stream_events *events, void *user);

/* Blocks, without running the loop, until the answer's header is there; what comes of the body
 * meanwhile is handed over from the loop afterwards. `cancel_fd` may be -1. Errors as http_request;
 * after one the stream is only good for freeing. */
int http_stream_await(struct http_stream *stream, int timeout_ms, int cancel_fd, struct err *e);

int http_stream_status(const struct http_stream *stream); /* 0: no header yet */
void http_stream_free(struct http_stream *stream);        /* NULL is allowed; no event any more */
AUTO_FUNCTION(struct http_stream, http_stream_free)

/* What a URL says, read as a request will read it: "http://127.1" has the host "127.0.0.1". Owns
 * its texts. */
struct http_url {
    char *scheme;  /* in lower case */
    char *host;    /* of an IPv6 address without [] and zone */
    bool has_user; /* or a password */
};

/* ERR_INVALID: no URL, or none with a host. */
int http_url_parse(struct http_url *ret_url, const char *text, struct err *e);
void http_url_clear(struct http_url *url);
#define auto_http_url __attribute__((cleanup(http_url_clear)))

/* Appends `text` percent-encoded, so that it can be the value of a query parameter. */
void http_put_escaped(struct buf *out, struct str text);

#endif
