/* figures: what was served, counted, for Prometheus. Counting is a few atomic additions, from any
 * thread. */
#ifndef SEGUE_API_SERVER_FIGURES_H
#define SEGUE_API_SERVER_FIGURES_H

#include "api/server/route.h"
#include "base/buf.h"

#include <stdint.h>

struct figures;

/* What is refused on other grounds than the request's own. */
enum refusal {
    REFUSED_WORKERS_BUSY, /* no room in the queue of the workers */
    REFUSED_BODIES_FULL,  /* too many bytes of bodies at a time */
    REFUSED_CLOSING,      /* the server is being stopped */
    REFUSED_LATE_BODY,    /* a body turned out to be too large while it came */
    REFUSAL_COUNT,
};

/* The routes must outlive them. */
struct figures *figures_new(const struct route *routes, size_t count);
void figures_free(struct figures *figures); /* NULL is allowed */

/* `route` NULL: none fitted. */
void figures_count(struct figures *figures, const struct route *route, int status,
                   int64_t duration_us);
void figures_count_refusal(struct figures *figures, enum refusal refusal);

void figures_put(const struct figures *figures, struct buf *out);

#endif
