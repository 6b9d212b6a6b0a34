/* reply: how a command that another thread gave the engine is answered.
 *
 * Values, good for the call.
 */
#ifndef SEGUE_RUNNER_REPLY_H
#define SEGUE_RUNNER_REPLY_H

#include "base/err.h"

#include <stdbool.h>

struct engine_reply {
    const struct err *error; /* NULL: it is done, and on disk */
    const char *run_uuid;
    bool
        is_repeated; /* the key (a job: the uuid) was known: the run is the one of the first time */
};

/* Called once, on the engine's thread. */
typedef void engine_done_fn(void *user, const struct engine_reply *reply);

/* Names a request, so that asking again makes no second run. */
struct request_key {
    char *key;       /* the client's */
    char digest[65]; /* of what was asked for: the same key with another one is ERR_INVALID */
};

#endif
