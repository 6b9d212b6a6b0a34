/* server: HTTP/1.1 on one port, from sockets to checked requests: the only user of libmicrohttpd.
 *
 * It answers by itself what is the same for every request: who may ask (token, Host), bodies that
 * are too large or no JSON, unknown paths, methods and query parameters, clients that are too slow,
 * and browsers that ask for a page from elsewhere whether they may (CORS).
 * What is left reaches the handler of a route (exchange.h). It knows nothing of pipelines.
 *
 * A handler runs on a thread of the server and must not block, or, for a ROUTE_WORKER, on one of a
 * few worker threads, which may wait for disks and for Docker, but not for the thread that will
 * call server_stop. All functions may be called from any thread, server_stop from none of its own.
 */
#ifndef SEGUE_API_SERVER_SERVER_H
#define SEGUE_API_SERVER_SERVER_H

#include "api/server/exchange.h"
#include "api/server/problem.h"
#include "api/server/route.h"
#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* What a test wants smaller; 0: the default of server.c. */
struct server_limits {
    unsigned connections;   /* open at a time */
    unsigned patience_ms;   /* for a request to arrive; see watch.h */
    unsigned workers;       /* threads */
    size_t worker_queue;    /* requests that wait for one */
    size_t body_bytes;      /* of all bodies together */
    unsigned stop_grace_ms; /* server_stop waits for answers */
};

struct server_options {
    const char *address; /* "127.0.0.1", "::1", "0.0.0.0" */
    uint16_t port;       /* 0: a free one */
    const char *token;
    const char *const *hosts;   /* names under which it may be asked beside loopback's and the
                                   address itself; NULL at the end; NULL: none */
    const char *const *origins; /* "https://lab.example.org": pages that may use it from a browser,
                                   exactly so; "*": all; NULL at the end; NULL: none */
    const struct problem_place *dialects; /* see problem.h; NULL: none */
    const struct route *routes;
    size_t route_count;
    struct server_limits limits;
};

struct server;

/* Listens and answers from here on. The routes and dialects must outlive the server, other texts
 * are copied.
 * Raises the soft limit of open descriptors where that is needed. ERR_CONFLICT: the port is taken;
 * ERR_INVALID: no such address. */
int server_start(struct server **ret_server, const struct server_options *options, void *user,
                 struct err *e);

uint16_t server_port(const struct server *server);

/* Accepts no more, ends streams, waits until every handler that was called has answered and the
 * answers are sent (2 s at most), then closes everything. Who has not answered by then has been cut
 * off: it may still answer, into the void, as long as it likes; but handlers that still run on
 * worker threads are waited for, since what they work with is about to go. NULL is allowed. */
void server_stop(struct server *server);

/* Appends what was served, as Prometheus text: requests by route and status, latencies as a
 * histogram by route, open connections, refusals. */
void server_metrics(const struct server *server, struct buf *out);

#endif
