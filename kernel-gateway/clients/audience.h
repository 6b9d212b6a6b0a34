/* audience: the clients of one kernel: who hears what, who asked what, and what is kept for whom.
 *
 * A client is a session: connected by a WebSocket, or away. What the kernel publishes (iopub) is
 * for everybody; an answer is for the session that asked. All of it goes through one log, in which
 * each session has a cursor: a slow client reads later, and one that was away reads on where it
 * was cut off, everything, in order and once. What came while nobody was there is for whoever comes
 * next, whether we know that session or not. A second connection of a session takes the place of
 * the first.
 *
 * What a client has got is known from its TCP's acknowledgements or, behind a proxy, from its
 * answers to pings. Owns the WebSockets and the log. Belongs to the thread of its keeper's loop.
 */
#ifndef SEGUE_KERNEL_GATEWAY_AUDIENCE_H
#define SEGUE_KERNEL_GATEWAY_AUDIENCE_H

#include "base/err.h"
#include "base/loop.h"
#include "kernel-gateway/clients/admission.h"
#include "kernel-gateway/clients/websocket.h"
#include "kernel-gateway/message.h"

#include <stdbool.h>
#include <stddef.h>

struct audience;

struct audience_events {
    /* A client sends this to the kernel; borrowed. -1 with ERR_LIMIT: the kernel leaves too much
     * unread; the client is held back and asks again. */
    int (*request)(void *user, enum channel channel, const struct outgoing *message, struct err *e);
    /* The number of connections has changed. */
    void (*changed)(void *user);
};

struct audience *audience_new(struct loop *loop, const char *log_directory,
                              const struct audience_events *events, void *user);
void audience_free(struct audience *audience); /* NULL is allowed; not from its own events */

/* A client comes: see admission.h. Takes the descriptor, whatever happens: whom there is no room
 * for is told so. */
void audience_admit(struct audience *audience, const struct admission *admission, int take_fd);

/* What the kernel says. */
void audience_tell(struct audience *audience, enum channel channel, const struct message *message);

/* What we say ourselves, on iopub, as if the kernel had: `parent` is the JSON of a header, none:
 * {}. */
void audience_say(struct audience *audience, const char *msg_type, struct str parent,
                  struct str content);

/* While held, what clients say is kept and not passed on, and read only so far: the kernel is not
 * ready, or is being restarted. */
void audience_hold(struct audience *audience, bool is_held);

/* Sends everybody what is there, for a few seconds at most, then closes: with `code`, see
 * websocket.h. Who comes afterwards is closed at once. */
void audience_dismiss(struct audience *audience, enum websocket_code code, const char *reason);

/* Whether everybody that was dismissed is gone. */
bool audience_is_empty(const struct audience *audience);

size_t audience_connections(const struct audience *audience);

#endif
