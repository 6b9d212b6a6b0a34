/* runs: what is asked to be run, what runs, and what has run.
 *
 * Handlers. Those that read a project or many rows belong on a worker thread (server.h). What
 * changes something is a command to the engine, which answers on its own thread when it is on disk.
 */
#ifndef SEGUE_API_SERVICE_RUNS_H
#define SEGUE_API_SERVICE_RUNS_H

#include "api/server/exchange.h"

void runs_create(struct exchange *exchange, void *service); /* POST runs */
void runs_list(struct exchange *exchange, void *service);   /* GET runs */
void runs_get(struct exchange *exchange, void *service);    /* GET runs/{run} */
void runs_cancel(struct exchange *exchange, void *service); /* POST runs/{run}/cancel */
void runs_rerun(struct exchange *exchange, void *service);  /* POST runs/{run}/rerun */
void runs_delete(struct exchange *exchange, void *service); /* DELETE runs/{run} */

#endif
