/* message: one Jupyter message: a received one to read, an outgoing one to build.
 *
 * A received message owns its frames. Its header and parent header have been read when anybody gets
 * to see it; its content is read when somebody asks for it, so that what is only passed on costs
 * nothing. What kernels send is read tolerantly (NaN, broken UTF-8). Everything that is given out
 * points into the message. Belongs to one thread.
 */
#ifndef SEGUE_KERNEL_GATEWAY_MESSAGE_H
#define SEGUE_KERNEL_GATEWAY_MESSAGE_H

#include "base/buf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/str.h"
#include "kernel-gateway/wire.h"

#include <stddef.h>
#include <zmq.h>

/* What Segue looks at; every other type is MESSAGE_OTHER. */
#define MESSAGE_TYPES(X)                                                                           \
    X(MESSAGE_OTHER, "")                                                                           \
    X(MESSAGE_STATUS, "status")                                                                    \
    X(MESSAGE_STREAM, "stream")                                                                    \
    X(MESSAGE_DISPLAY_DATA, "display_data")                                                        \
    X(MESSAGE_UPDATE_DISPLAY_DATA, "update_display_data")                                          \
    X(MESSAGE_EXECUTE_INPUT, "execute_input")                                                      \
    X(MESSAGE_EXECUTE_RESULT, "execute_result")                                                    \
    X(MESSAGE_ERROR, "error")                                                                      \
    X(MESSAGE_CLEAR_OUTPUT, "clear_output")                                                        \
    X(MESSAGE_COMM_OPEN, "comm_open")                                                              \
    X(MESSAGE_COMM_MSG, "comm_msg")                                                                \
    X(MESSAGE_COMM_CLOSE, "comm_close")                                                            \
    X(MESSAGE_IOPUB_WELCOME, "iopub_welcome")                                                      \
    X(MESSAGE_EXECUTE_REPLY, "execute_reply")                                                      \
    X(MESSAGE_KERNEL_INFO_REPLY, "kernel_info_reply")                                              \
    X(MESSAGE_INPUT_REQUEST, "input_request")                                                      \
    X(MESSAGE_INTERRUPT_REPLY, "interrupt_reply")                                                  \
    X(MESSAGE_SHUTDOWN_REPLY, "shutdown_reply")

enum message_type {
#define X(type, name) type,
    MESSAGE_TYPES(X)
#undef X
};

struct message {
    enum message_type type;
    struct json header;
    struct json parent; /* often {} */

    /* Private: read through the functions below. */
    struct json metadata;
    struct json content;
    unsigned has_read; /* bit per wire_part: metadata and content, once they were read */
    struct wire_parts wire;
    zmq_msg_t *frames;
    size_t frame_count;
    struct str *buffers; /* of the frames behind the content */
    size_t buffer_count;
    char *id;
    char *parent_id;
};

void message_clear(struct message *message); /* an all-zero message is cleared already */
#define auto_message __attribute__((cleanup(message_clear)))

/* Makes a message of received frames: checks the signature, reads the headers. Takes the array
 * (from malloc) and its frames, on failure too; the message must be clear before. */
enum wire_fault message_take_frames(struct message *message, zmq_msg_t *frames, size_t count,
                                    struct wire_key *key);

/* Moves a message out of a callback that only lends it; `from` is clear afterwards. */
void message_move(struct message *to, struct message *from);

/* For relaying: a part's bytes as they came. */
struct str message_raw(const struct message *message, enum wire_part part);

/* Never NULL. A document that is no JSON reads as empty: every lookup finds nothing. */
const struct json *message_content(struct message *message);
const struct json *message_metadata(struct message *message);

const char *message_id(const struct message *message);        /* "" where there is none */
const char *message_parent_id(const struct message *message); /* "" where there is none */

/* The header's date in microseconds since 1970; -1 when it has none or no valid one. */
int64_t message_date_us(const struct message *message);

size_t message_buffer_count(const struct message *message);
struct str message_buffer(const struct message *message, size_t index);

/* Whether it answers or stems from the request with this id. */
bool message_is_child_of(const struct message *message, const struct uuid *request_id);

/* The four JSON parts of an outgoing message. */
struct outgoing {
    const char *msg_type;      /* used unless `header` is given */
    struct str header;         /* none: made anew; else sent as it is (relaying) */
    struct str parent;         /* the JSON of a header; none: {} */
    struct str metadata;       /* none: {} */
    struct str content;        /* none: {} */
    const struct str *buffers; /* binary, not signed */
    size_t buffer_count;
};

/* Appends a header with a fresh msg_id, the date, username "segue" and version 5.4. */
void message_put_header(struct buf *out, const char *msg_type, const struct uuid *session,
                        struct uuid *ret_msg_id);

#endif
