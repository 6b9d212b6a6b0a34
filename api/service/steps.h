/* steps: what a step of a run printed, and its executed notebook.
 *
 * Handlers; they read disks and belong on a worker thread (server.h).
 */
#ifndef SEGUE_API_STEPS_H
#define SEGUE_API_STEPS_H

#include "api/server/exchange.h"

/* GET runs/{run}/steps/{step}/log and .../notebook, with ?attempt=N. */
void steps_log(struct exchange *exchange, void *service);
void steps_notebook(struct exchange *exchange, void *service);

#endif
