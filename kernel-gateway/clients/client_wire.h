/* client_wire: Jupyter messages as clients send and get them over a WebSocket, in both protocols.
 *
 *   v1.kernel.websocket.jupyter.org    always binary, little-endian:
 *       u64 n; u64 offset[n]; channel | header | parent header | metadata | content | buffer ...
 *       n = 1 + 4 + buffers + 1, offset[0] = 8 * (1 + n), the last offset is the total length
 *   legacy    text: {header, msg_id, msg_type, parent_header, metadata, content, buffers: [],
 *             channel}; with buffers binary, big-endian:
 *       u32 parts; u32 offset[parts]; that JSON without buffers | buffer ...
 *
 * Sources: jupyter_server, docs "WebSocket kernel wire protocols"; JupyterLab's
 * services/kernel/serialize. In v1 the four JSON parts are the kernel's own bytes, and nobody looks
 * into them. Pure functions.
 */
#ifndef SEGUE_KERNEL_GATEWAY_CLIENT_WIRE_H
#define SEGUE_KERNEL_GATEWAY_CLIENT_WIRE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel-gateway/connection.h"
#include "kernel-gateway/wire.h"

#include <stdbool.h>
#include <stddef.h>

enum client_protocol { CLIENT_LEGACY, CLIENT_V1 };

#define CLIENT_V1_NAME "v1.kernel.websocket.jupyter.org" /* as Sec-WebSocket-Protocol */

/* Of one message of a client; more is refused. */
#define CLIENT_BUFFERS_MAX 4096

/* A message of a client. Borrows from the text that it was decoded from, but for `owned`. */
struct client_message {
    enum channel channel; /* shell where a client names none */
    struct str parts[WIRE_PART_COUNT];
    struct str *buffers;
    size_t buffer_count;
    struct json doc; /* legacy: the message, taken apart */
};

void client_message_clear(struct client_message *message); /* all-zero is cleared already */
#define auto_client_message __attribute__((cleanup(client_message_clear)))

/* Into a message that is clear. `is_text`: whether it came as a text frame; a legacy message with
 * buffers is taken from one too, since jupyter_server's gateway client sends it so. A part that is
 * null or missing is "{}". ERR_INVALID: not a message, with what is wrong; ERR_NOT_FOUND: a channel
 * that there is not, or that clients do not send on (iopub, hb). */
int client_decode(struct client_message *message, enum client_protocol protocol, struct str data,
                  bool is_text, struct err *e);

/* Appends a message in v1. A part that is none, empty or null becomes "{}". */
void client_encode_v1(struct buf *out, enum channel channel,
                      const struct str parts[WIRE_PART_COUNT], const struct str *buffers,
                      size_t buffer_count);

/* The way back from client_encode_v1; trusts its input (asserts). */
void client_split_v1(struct client_message *message, struct str v1);

struct client_form {
    enum client_protocol protocol;
    /* Legacy: leaves buffers out rather than send a binary frame. For jupyter_server's gateway
     * client, which reads every frame as UTF-8 and goes silent for ever when one is not. */
    bool is_text_only;
    /* Bytes of a frame; 0: any. What is longer is sent in parts where it is a stream, and else
     * replaced by a note (client_cut.h). Tornado's clients end the connection at 10 MiB. */
    size_t message_cap;
};

/* Hands the frames over that a client gets for a message in v1: one, or several where it is cut in
 * parts; a frame is lent for the call. What the kernel sent goes out as it is in v1; in the legacy
 * protocol it becomes valid UTF-8, and JSON for browsers where it was JSON for Python. */
void client_put(const struct client_form *form, struct str v1,
                void (*frame)(void *user, bool is_text, struct str data), void *user);

#endif
