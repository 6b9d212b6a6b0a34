/* exchange: one request, and its answer.
 *
 * A handler gets it when the body is there whole and the request was found to be in order, and
 * answers it once, by one of the exchange_answer functions: before it returns, or later from any
 * thread. Whatever it read from the request is good until then, and nothing of it afterwards.
 */
#ifndef SEGUE_API_SERVER_EXCHANGE_H
#define SEGUE_API_SERVER_EXCHANGE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/problems.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct exchange;

/* --- the request --- */

const char *exchange_path(const struct exchange *exchange); /* as it was sent, without query */
/* The value of the n-th {...} of the route (from 0), percent-decoded: any UTF-8 but control
 * characters, "/" included; never empty. */
const char *exchange_segment(const struct exchange *exchange, unsigned n);
/* A query parameter or a header; NULL: not given. Of a repeated one the first. */
const char *exchange_query(struct exchange *exchange, const char *name);
const char *exchange_header(struct exchange *exchange, const char *name);
/* The value behind `value`, which is one of the same header; NULL as `value`: the first. */
const char *exchange_next_header(const struct exchange *exchange, const char *name,
                                 const char *value);
struct str exchange_body(const struct exchange *exchange);

/* May the page that this comes from use us by a WebSocket, which browsers let any page open? True
 * without the header Origin, when that is the very host that was asked, and for server_options'
 * origins. */
bool exchange_origin_is_allowed(const struct exchange *exchange);

/* --- the answer --- */

/* Adds a header to the answer to come. */
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     struct buf *take_body); /* leaves *take_body empty; NULL: no body */
void exchange_answer_json(struct exchange *exchange, int status, struct buf *take_body);

/* An error in the dialect of its path (problem.h): application/problem+json, or as Jupyter does.
 * `problems` (may be NULL) become its errors[{pointer, line, column, detail}]. */
void exchange_answer_problem(struct exchange *exchange, int status, const char *detail,
                             const struct problems *problems);

/* The problem that an error means: ERR_INVALID 422, ERR_NOT_FOUND 404, ERR_CONFLICT 409, ERR_LIMIT
 * 413, ERR_NO_SPACE 507, ERR_UNAVAILABLE 503 with Retry-After, ERR_TIMEOUT 504, others 500. */
void exchange_answer_err(struct exchange *exchange, const struct err *e,
                         const struct problems *problems);

enum file_kind {
    FILE_FIXED,   /* the tag names its content */
    FILE_GROWING, /* the tag names what is there already: good for Range, and not for caches */
};

/* The first `size` bytes of a file, with Range, If-Range, ETag (as given; NULL: none) and HEAD
 * served, of a fixed one If-None-Match too. Owns the descriptor from here on. */
void exchange_answer_file(struct exchange *exchange, const char *content_type, enum file_kind kind,
                          const char *etag, int take_fd, uint64_t size);

/* --- an answer without end --- */

struct stream;

struct stream_source {
    /* Writes at most `room` bytes to `out` and returns how many: 0: nothing now, asked again after
     * stream_wake; -1: the end. Never blocks. One call at a time, on a thread of the server. */
    ssize_t (*read)(void *user, char *out, size_t room);
    /* Once, when nobody reads any more: `stream` must not be woken from here on. */
    void (*closed)(void *user);
};

/* Answers 200 with what the source gives. The stream's pointer is good until `closed` has returned.
 * `opened` is called with it before the first read, on the calling thread. */
void exchange_answer_stream(struct exchange *exchange, const char *content_type,
                            const struct stream_source *source,
                            void (*opened)(void *user, struct stream *stream), void *user);

/* There is something to read, or may be: from any thread. A wake-up during a read is not lost. */
void stream_wake(struct stream *stream);

/* --- leaving HTTP --- */

/* Is this a GET by HTTP/1.1? Nothing else can be upgraded. */
bool exchange_can_upgrade(const struct exchange *exchange);

/* Answers 101 with the headers that were added, Upgrade among them (handshake.h does it). When that
 * is sent, the connection is none of the server's any more and its socket is handed over: to
 * `taken`, which is called once, on a thread of the server or the calling one, and must not block.
 * `read_ahead` (good for the call) came behind the request and has been read from the socket
 * already. The descriptor is non-blocking, close-on-exec; -1: the client has gone. */
void exchange_answer_upgrade(struct exchange *exchange,
                             void (*taken)(void *user, int take_fd, struct str read_ahead),
                             void *user);

#endif
