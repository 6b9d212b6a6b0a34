/* service: `segue serve`: the engine of a state directory behind an HTTP API.
 *
 * Two kinds of threads: the engine's, which runs the loop and is the caller's, and the server's.
 * They meet at the engine's command queue and at the streams.
 */
#ifndef SEGUE_API_SERVICE_H
#define SEGUE_API_SERVICE_H

#include "api/service/options.h"
#include "base/err.h"

/* Serves until SIGTERM or SIGINT. What cannot be set up is an error: ERR_CONFLICT when another
 * service holds the state directory or the port. */
int service_run(const struct service_options *options, struct err *e);

#endif
