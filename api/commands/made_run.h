/* made_run: what `submit` and `rerun` do with the run that the service has made.
 */
#ifndef SEGUE_API_MADE_RUN_H
#define SEGUE_API_MADE_RUN_H

#include "api/commands/client.h"

struct made_run_options {
    bool is_waiting; /* until it has ended */
    bool is_json;
};

/* Shows it, and waits for its end where that is asked for. Takes the document from the answer;
 * gives the exit status of `command`. */
int made_run(const struct client *client, const char *command, struct http_answer *answer,
             const struct made_run_options *options);

#endif
