/* outputs: turns what a kernel publishes while a cell runs into events of the journal.
 *
 * Stateful only for the sake of Output widgets, for which it stands in for the browser: it keeps
 * the stack of widgets that capture the output of a request, what they have captured, and tells the
 * kernel about that. Knows neither sockets nor the notebook: messages come in as JSON, events go
 * out through the sink. The caller passes only messages whose parent is the running request.
 * Belongs to one thread.
 */
#ifndef SEGUE_RUNNER_OUTPUTS_H
#define SEGUE_RUNNER_OUTPUTS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where events go. `begin` gives the buffer of a JSON object that is open and has the event's name
 * in it already; members are appended to it; `commit` closes and keeps it. */
struct outputs_sink {
    struct buf *(*begin)(void *user, const char *event);
    int (*commit)(void *user, struct err *e);
    void *user;
};

struct outputs;

struct outputs *outputs_new(const struct outputs_sink *sink);
void outputs_free(struct outputs *outputs);

/* One message of the iopub channel. */
struct outputs_message {
    const char *type;           /* header.msg_type */
    const char *parent_id;      /* parent_header.msg_id */
    const struct json *content; /* its root; read tolerantly */
    const struct str *buffers;  /* binary parts, of comm messages */
    size_t buffer_count;
};

/* stream, display_data, execute_result, error, update_display_data, clear_output and comm_* become
 * events; every other type, and content that is not what its type promises, is ignored. Fails only
 * as the sink's `commit` fails. */
int outputs_handle(struct outputs *outputs, uint32_t cell_index,
                   const struct outputs_message *message, struct err *e);

/* What the kernel has to hear about Output widgets: true as long as there is another comm_msg to be
 * sent on the shell channel, whose content replaces `content`. Ask when all messages at hand have
 * been handled, at the latest before the next execute_request. */
bool outputs_next_comm_msg(struct outputs *outputs, struct buf *content);

#endif
