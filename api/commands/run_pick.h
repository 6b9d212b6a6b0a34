/* run_pick: the run that a word of the command line means: a uuid, the beginning of one (at least
 * 4 characters, and only one run may begin so), or "latest".
 */
#ifndef SEGUE_API_RUN_PICK_H
#define SEGUE_API_RUN_PICK_H

#include "api/commands/client.h"

/* The uuid: free() it. NULL: ERR_NOT_FOUND, ERR_INVALID, or an error of client_ask. */
char *run_pick(const struct client *client, const char *word, struct err *e);

/* Sends a request about a run: METHOD /api/v1/runs/UUID, then `rest`, with `body` (JSON, or NULL).
 * Otherwise as client_ask. */
int run_ask(const struct client *client, const char *method, const char *uuid, const char *rest,
            const char *body, struct http_answer *answer, struct err *e);

#endif
