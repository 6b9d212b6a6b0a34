/* listener: one connection of an audience: what it is sent of the log, how far it has got it, and
 * what it sends.
 *
 * Reads the log at its own pace, as far as there is room in its WebSocket. Checks what it sends and
 * keeps it for as long as the kernel takes nothing. Owns the WebSocket. Belongs to the thread of
 * its loop.
 */
#ifndef SEGUE_KERNEL_GATEWAY_LISTENER_H
#define SEGUE_KERNEL_GATEWAY_LISTENER_H

#include "base/err.h"
#include "base/loop.h"
#include "kernel-gateway/clients/admission.h"
#include "kernel-gateway/clients/message_log.h"
#include "kernel-gateway/clients/websocket.h"
#include "kernel-gateway/message.h"

#include <stdbool.h>
#include <stdint.h>

struct listener;

struct listener_request {
    enum channel channel;
    const char *msg_id, *msg_type;
    struct outgoing message;
};

struct listener_events {
    /* It sends this to the kernel; lent. -1 with ERR_LIMIT: it does not take it now, and is asked
     * again. */
    int (*request)(void *user, const struct listener_request *request, struct err *e);
    /* There is room again, or something has arrived. */
    void (*progress)(void *user);
    /* Once, the last event: it is gone, and still to be freed. */
    void (*closed)(void *user);
};

/* What it reads of the log. */
struct listener_share {
    uint32_t session;    /* entries with this tag, and those with tag 0 */
    uint64_t all_before; /* and all before this number */
    uint64_t from;       /* the first one */
    uint64_t sent;       /* up to here it was sent everything once, heard or not */
};

/* With a tag: the entry is never sent twice to the same session, even where nobody knows whether it
 * was heard. */
#define LISTENER_ONCE 0x80000000u

/* Takes the descriptor. The log must outlive it. */
struct listener *listener_open(struct loop *loop, struct message_log *log,
                               const struct admission *admission, int take_fd,
                               const struct listener_share *share,
                               const struct listener_events *events, void *user);
void listener_free(struct listener *listener); /* NULL is allowed */

/* Sends what there is to read, as far as there is room. True: there is more, and room for it, but
 * it is the others' turn. */
bool listener_pump(struct listener *listener);

/* It has got everything up to this message, as far as is known yet. */
uint64_t listener_got(const struct listener *listener);
uint64_t listener_look(struct listener *listener);       /* the same, after a look at its TCP */
uint64_t listener_sent(const struct listener *listener); /* up to here it was sent everything */

void listener_hold(struct listener *listener, bool is_held); /* what it sends is kept, so far */

/* Once listener_pump has sent what it has still to read, or at once. Nothing that it sends counts
 * any more. */
void listener_dismiss(struct listener *listener, enum websocket_code code, const char *reason);
void listener_close(struct listener *listener, enum websocket_code code, const char *reason);

#endif
