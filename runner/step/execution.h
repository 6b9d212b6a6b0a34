/* execution: one cell while it is executed, as far as its messages tell: has it ended, and how?
 *
 * A cell is over when both its reply (shell) and its idle (iopub) have come, in whichever order. If
 * only one of them comes, its owner sends a probe (a kernel_info_request) behind it: each channel
 * keeps its order, so when the probe's own answer arrives on the channel of the missing one, that
 * will not come any more. Looks at messages and changes itself; sends nothing. A value; one owner.
 */
#ifndef SEGUE_RUNNER_EXECUTION_H
#define SEGUE_RUNNER_EXECUTION_H

#include "base/buf.h"
#include "kernel-gateway/connection.h"
#include "kernel-gateway/message.h"

#include <stdbool.h>
#include <stdint.h>

/* When what was seen, for metadata.execution; named as nbclient does. */
#define MOMENTS(X)                                                                                 \
    X(MOMENT_BUSY, "iopub.status.busy")                                                            \
    X(MOMENT_INPUT, "iopub.execute_input")                                                         \
    X(MOMENT_IDLE, "iopub.status.idle")                                                            \
    X(MOMENT_REPLY, "shell.execute_reply")

enum moment {
#define X(moment, name) moment,
    MOMENTS(X)
#undef X
};

#define MOMENT_COUNT 4

struct execution {
    bool is_running;
    uint32_t cell;
    struct uuid request; /* msg_id of the execute_request */
    struct uuid probe;   /* of the kernel_info_request behind it; text "" while there is none */
    bool has_reply, has_idle;
    bool is_error;                     /* by the reply */
    bool is_aborted;                   /* by the reply: the kernel has not executed it at all */
    bool reply_has_count, reply_names; /* and so settles count and error, whatever iopub tells */
    int64_t count;                     /* execution_count; -1: none was told */
    int64_t moments[MOMENT_COUNT];     /* microseconds since 1970; -1: not seen, or not dated */
    struct buf ename, evalue;          /* of the error that was raised; empty: none */
};

enum execution_news {
    EXECUTION_NOTHING,  /* not ours, or noted */
    EXECUTION_OUTPUT,   /* the message is an output, or the like: handle it */
    EXECUTION_HALF,     /* one of reply and idle has come: arm the probe */
    EXECUTION_OVER,     /* both have, or the idle will not come any more */
    EXECUTION_NO_REPLY, /* over, and the reply will not come any more */
};

/* For a cell whose request is about to be sent; `request` is set by the sender. */
void execution_begin(struct execution *execution, uint32_t cell);

enum execution_news execution_take(struct execution *execution, enum channel channel,
                                   struct message *message);

/* Appends the moments as a JSON object. */
void execution_put_timing(const struct execution *execution, struct buf *out);

void execution_clear(struct execution *execution); /* an all-zero one is cleared already */

#endif
