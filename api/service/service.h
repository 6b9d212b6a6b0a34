/* service: `segue serve`: the engine of a state directory behind an HTTP API.
 *
 * Two kinds of threads: the engine's, which runs the loop and is the caller's, and the server's.
 * They meet at the engine's command queue and at the streams.
 */
#ifndef SEGUE_API_SERVICE_H
#define SEGUE_API_SERVICE_H

#include "base/err.h"
#include "runner/engine/engine.h"

#include <stdbool.h>
#include <stdint.h>

struct service_options {
    const char *address;
    uint16_t port;
    const char *const *hosts; /* see server_options */
    const char *projects;     /* directory below which projects lie */
    const char *state_dir;
    const char *token_file; /* NULL: STATE/token */
    struct engine_limits limits[RUN_CLASS_COUNT];
    bool is_holding; /* accepts runs and starts none */
};

/* Serves until SIGTERM or SIGINT. What cannot be set up is an error: ERR_CONFLICT when another
 * service holds the state directory or the port. */
int service_run(const struct service_options *options, struct err *e);

#endif
