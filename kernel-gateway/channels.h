/* channels: the sockets to one kernel: shell, control, stdin (DEALER) and iopub (SUB).
 *
 * Owns the four sockets and a ZeroMQ context of their own. What arrives is checked here: garbage
 * and wrong signatures are thrown away and counted, nobody above sees them. iopub is received
 * without a limit on the queue, since the kernel's side would silently drop what does not fit. A
 * connection that breaks off (the kernel's end, but also a message over the size limit) is noticed.
 * The heartbeat is not used: whether a kernel lives is seen from its process or container, and a
 * missed beat proves nothing. One thread; never blocks except in
 * channels_poll.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CHANNELS_H
#define SEGUE_KERNEL_GATEWAY_CHANNELS_H

#include "base/err.h"
#include "base/id.h"
#include "kernel-gateway/connection.h"
#include "kernel-gateway/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channels;

struct channels_events {
    /* A message that is what it should be; lent for the call (message_move keeps it). */
    void (*message)(void *user, enum channel channel, struct message *message);
    /* Once for each of shell, iopub and control: its peer is gone. */
    void (*disconnected)(void *user, enum channel channel);
};

struct channels_options {
    uint64_t max_message_bytes; /* per frame; 0: LIMIT_MESSAGE_BYTES */
};

struct channels_counts {
    uint64_t received[CHANNEL_COUNT]; /* messages that were passed on */
    uint64_t dropped[WIRE_FAULT_COUNT];
};

/* Connects; the kernel need not be there yet. The connection is not kept. */
int channels_open(struct channels **ret_channels, const struct connection *connection,
                  const struct channels_options *options, const struct channels_events *events,
                  void *user, struct err *e);
void channels_free(struct channels *channels); /* not from its own callbacks */

/* Signs and sends; what the kernel does not read yet is queued. *ret_msg_id may be NULL, and is not
 * set when the message brings its own header. Errors: ERR_LIMIT when the kernel has left too many
 * messages unread. */
int channels_send(struct channels *channels, enum channel channel, const struct outgoing *message,
                  struct uuid *ret_msg_id, struct err *e);

/* Takes the next good message; 1: there is one (clear it), 0: none now. */
int channels_receive(struct channels *channels, enum channel channel, struct message *message);

/* Waits until a socket or `wake_fd` (a loop's, see loop_fd) can be read, at most timeout_ms (-1: as
 * long as it takes), then passes on a bounded number of messages of each channel, so that none
 * starves another nor the loop. Gives how many. */
size_t channels_poll(struct channels *channels, int wake_fd, int timeout_ms);

/* Whether the peer can send nothing any more: its iopub and shell were never connected, or are
 * disconnected. What was received before may still be queued. */
bool channels_are_closed(struct channels *channels);

const struct uuid *channels_session(const struct channels *channels); /* of our headers */
const struct channels_counts *channels_counts(const struct channels *channels);

#endif
