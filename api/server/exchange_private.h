/* exchange_private: an exchange as the server sees it.
 *
 * It belongs to the thread of its connection, but for what its answer consists of, which belongs to
 * whoever answers until that has been handed over (exchange_reply).
 */
#ifndef SEGUE_API_SERVER_EXCHANGE_PRIVATE_H
#define SEGUE_API_SERVER_EXCHANGE_PRIVATE_H

#include "api/server/exchange.h"
#include "api/server/guard.h"
#include "api/server/parking.h"
#include "api/server/problem.h"
#include "api/server/route.h"
#include "api/server/target.h"

#include <microhttpd.h>

#include <stdbool.h>
#include <stdint.h>

struct peer;

enum exchange_phase {
    EXCHANGE_NEW,      /* only the request line is known */
    EXCHANGE_ADMITTED, /* the body is being collected */
    EXCHANGE_REFUSED,  /* it is answered without a handler; a body is read and dropped */
    EXCHANGE_HANDLED,  /* the handler has it, or had it */
};

/* What exchange_answer_upgrade was given. */
struct leaving {
    void (*taken)(void *user, int take_fd, struct str read_ahead); /* NULL: nothing, or done */
    void *user;
};

struct exchange {
    struct parked parked; /* awake once it is answered */
    struct MHD_Connection *connection;
    struct peer *peer;
    void *user;                 /* what handlers get */
    const char *const *origins; /* see server_options */
    enum problem_dialect dialect;
    enum exchange_phase phase;

    char *path;           /* as it was asked for */
    struct target target; /* parsed when it is looked at first */
    bool is_head, is_http_1_1;
    bool is_cut_short;            /* not read to its end: what still comes has to be dropped */
    struct buf header_texts;      /* name, NUL, value, NUL, ...: good even when it is cut off */
    struct guard_headers headers; /* good while its first line and headers are looked at */
    struct guard_body framing;
    const struct route *route; /* NULL: none (yet) */
    struct route_found found;
    struct buf body;
    int64_t since_us; /* when it was there whole (clock of reception.c) */

    int status;
    struct MHD_Response *response; /* NULL: not answered */
    struct buf added;              /* headers, as header_texts */
    char *failure;                 /* what to log of an answer with 5xx; NULL: nothing known */
    struct leaving leaving;

    size_t text_size; /* of one of them */
    char text[];      /* the target twice: as it was, and taken apart */
};

struct exchange *exchange_new(struct parking *parking, struct MHD_Connection *connection,
                              const char *uri);
void exchange_free(struct exchange *exchange);

void exchange_take_header(struct exchange *exchange, struct str name, struct str value);

bool exchange_has_body(const struct exchange *exchange); /* when its framing is known */

/* The last step of all answers: `take_response` gets the headers that were added, and whoever
 * waits for the answer is woken. */
void exchange_reply(struct exchange *exchange, int status, struct MHD_Response *take_response);

/* Appends the headers that were added, as lines. */
void exchange_put_added(const struct exchange *exchange, struct buf *out);

/* A response with `take_body`, and its content type (NULL: none). */
struct MHD_Response *exchange_make_response(const char *content_type, struct buf *take_body);

#endif
