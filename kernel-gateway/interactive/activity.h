/* activity: whether a kernel is busy, with what, and when it last was, seen from what it publishes.
 *
 * Follows what jupyter_server does, so that culling and JupyterLab's lists are what people know:
 * what a page asks a kernel in the background is no activity. Owns a copy of the header of what is
 * executed. One owner.
 */
#ifndef SEGUE_KERNEL_GATEWAY_ACTIVITY_H
#define SEGUE_KERNEL_GATEWAY_ACTIVITY_H

#include "kernel-gateway/message.h"

#include <stdbool.h>
#include <stdint.h>

struct activity {
    bool is_busy;
    int64_t last_us;      /* since 1970 */
    struct buf executing; /* the header of the execute_request in hand; empty: none */
    char *executing_id;
};

void activity_clear(struct activity *activity); /* all-zero is cleared already */

/* A message on iopub. */
void activity_take(struct activity *activity, struct message *message, int64_t now_us);

/* The kernel has ended, or begins: it does nothing. */
void activity_reset(struct activity *activity, int64_t now_us);

#endif
