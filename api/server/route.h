/* route: the table of paths that are served, and which of them a request is for.
 *
 * The table is the caller's; a router keeps it taken apart. Read-only once made: any thread.
 */
#ifndef SEGUE_API_SERVER_ROUTE_H
#define SEGUE_API_SERVER_ROUTE_H

#include "api/server/target.h"
#include "base/buf.h"

#include <stddef.h>

struct exchange;

enum route_access {
    ROUTE_TOKEN,       /* only with the token in the header Authorization */
    ROUTE_OPEN,        /* for everybody */
    ROUTE_TOKEN_QUERY, /* with the token there or as the query parameter "token": for browsers,
                          which cannot set headers for a WebSocket or an image */
};

enum route_place {
    ROUTE_INLINE, /* on the server's threads: must not block */
    ROUTE_WORKER, /* on a worker thread: may block */
};

struct route {
    const char *method; /* "GET" (serves HEAD too), "POST", "DELETE", ... */
    const char *path;   /* "/api/v1/runs/{run}/log"; {x} is one segment, exchange_segment */
    enum route_access access;
    enum route_place place;
    size_t body_cap;            /* bytes; 0: a request with a body is refused */
    const char *const *queries; /* known query parameters, NULL at the end; NULL: none. In Jupyter's
                                   dialect all are let pass */
    void (*handle)(struct exchange *exchange, void *user);
};

#define ROUTE_PARAMETERS 4 /* {...} in one path */

struct router;

/* `routes` must outlive it. Of several that fit a request the first counts. */
struct router *router_new(const struct route *routes, size_t count);
void router_free(struct router *router); /* NULL is allowed */

enum route_match { ROUTE_MATCHED, ROUTE_NO_SUCH_PATH, ROUTE_NO_SUCH_METHOD };

struct route_found {
    const struct route *route;
    unsigned index;                           /* in the table */
    const char *parameters[ROUTE_PARAMETERS]; /* borrowed from the target */
    unsigned parameter_count;
};

/* An empty segment matches no {...}. Fills *ret only for ROUTE_MATCHED. */
enum route_match router_find(const struct router *router, const char *method,
                             const struct target *target, struct route_found *ret);

/* "GET, HEAD, POST": the methods of a path, for the header Allow. */
void router_put_allowed(const struct router *router, const struct target *target, struct buf *out);

#endif
