/* kernel_news: how an interactive kernel does: what its keeper tells the gateway whenever something
 * of it has changed. Newest only: one that was missed is made good by the next.
 *
 * One packet of the keeper's socket, as JSON. A value.
 */
#ifndef SEGUE_KERNEL_GATEWAY_KERNEL_NEWS_H
#define SEGUE_KERNEL_GATEWAY_KERNEL_NEWS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* As Jupyter's kernel models name them; JupyterLab takes no others. */
#define KERNEL_ACTIVITIES(X)                                                                       \
    X(KERNEL_ACTIVITY_STARTING, "starting")                                                        \
    X(KERNEL_ACTIVITY_IDLE, "idle")                                                                \
    X(KERNEL_ACTIVITY_BUSY, "busy")                                                                \
    X(KERNEL_ACTIVITY_RESTARTING, "restarting")                                                    \
    X(KERNEL_ACTIVITY_DEAD, "dead")

enum kernel_activity {
#define X(activity, name) activity,
    KERNEL_ACTIVITIES(X)
#undef X
};

const char *kernel_activity_name(enum kernel_activity activity);

struct kernel_news {
    enum kernel_activity activity;
    int64_t last_activity_us; /* since 1970 */
    uint32_t connections;     /* WebSockets */
    uint32_t starts;          /* how often it became ready: a restart is over when this has grown */
    char reason[400];         /* why it is dead, or was restarted last; "": nothing of the kind */
};

void kernel_news_encode(const struct kernel_news *news, struct buf *out);

/* ERR_INVALID: no news; `news` is as before then. */
int kernel_news_parse(struct kernel_news *news, struct str text, struct err *e);

#endif
