/* sse: takes a stream of server-sent events apart (WHATWG HTML, "Server-sent events").
 *
 * Fed with bytes as they come, in pieces of any size. Lines end with LF or CR LF. Owns what is not
 * whole yet; an all-zero one is at the beginning of a stream. Opens nothing, reads no clock.
 */
#ifndef SEGUE_API_SSE_H
#define SEGUE_API_SSE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct sse {
    struct buf line;  /* not whole yet */
    size_t seen;      /* of `line`, without an end of line in it */
    struct buf data;  /* lines of the event so far */
    bool has_data;    /* also when it is empty */
    struct buf event; /* its name so far */
    int64_t id;       /* of the event so far */
    int64_t last_id;  /* of the last event that was handed over; 0: none yet */
};

/* `event` is "message" where the stream gives no name. The texts are lent for the call. */
typedef void sse_fn(void *user, int64_t id, const char *event, struct str data);

/* ERR_LIMIT: an event is larger than any of ours. */
int sse_feed(struct sse *sse, struct str bytes, sse_fn *fn, void *user, struct err *e);

/* A new connection begins: what was not whole is dropped, the last id stays. */
void sse_restart(struct sse *sse);
void sse_clear(struct sse *sse);

#endif
