/* interactive: a kernel that people work with, inside its keeper: from interactive.json to the
 * kernel's end.
 *
 * Obeys the commands start, interrupt, restart, shutdown and admit (a WebSocket client comes:
 * clients/admission.h), starts a kernel that died again (with a notice to its clients, a few times
 * in a row), and tells the gateway how the kernel does (kernel_news.h). It goes on without a
 * gateway. It ends after "shutdown" (or SIGTERM); a kernel that is dead keeps its keeper until
 * then, so that clients can hear why.
 */
#ifndef SEGUE_KERNEL_GATEWAY_INTERACTIVE_H
#define SEGUE_KERNEL_GATEWAY_INTERACTIVE_H

#include "kernel-gateway/keeper/nursery.h"

/* The whole life of a keeper with an interactive kernel; gives its exit status. */
int interactive_run(const struct keeper_birth *birth);

#endif
