/* watch: shows a run of the service while it goes on, as `segue run` shows its own.
 *
 * SIGINT and SIGTERM end the watching, not the run. Runs a loop of its own on the calling thread.
 */
#ifndef SEGUE_API_WATCH_H
#define SEGUE_API_WATCH_H

#include "api/commands/client.h"
#include "api/commands/progress.h"

/* `run` is the run as the service gave it when it was made. Gives the exit status of `command`: as
 * the run ends, or 130 and 143 when interrupted; what goes wrong is told. */
int watch_run(const struct client *client, const char *command, const struct json *run,
              enum progress_style style);

#endif
