/* status: how far a run or a step has come, in the words that users see.
 *
 * Values only.
 *
 *     PENDING --> STARTED --> SUCCESS | FAILURE | ABORTED
 *         \__________________________________/^
 *
 * The last three are final: what has ended never changes again.
 */
#ifndef SEGUE_RUNNER_STATUS_H
#define SEGUE_RUNNER_STATUS_H

#include "base/err.h"

#include <stdbool.h>

#define STATUSES(X)                                                                                \
    X(STATUS_PENDING, "PENDING") /* not started, waits for parents or for a slot */                \
    X(STATUS_STARTED, "STARTED") /* also between two attempts */                                   \
    X(STATUS_SUCCESS, "SUCCESS")                                                                   \
    X(STATUS_FAILURE, "FAILURE")                                                                   \
    X(STATUS_ABORTED, "ABORTED") /* cancelled, or a step that it needs failed */

enum status {
#define X(status, name) status,
    STATUSES(X)
#undef X
};

#define STATUS_COUNT 5

const char *status_name(enum status status);
int status_parse(const char *name, enum status *ret_status, struct err *e);
bool status_is_final(enum status status);

#endif
