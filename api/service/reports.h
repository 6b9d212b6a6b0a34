/* reports: what the steps of runs have said of themselves, and two runs side by side.
 *
 * Handlers. They read rows and files of any size: they belong on a worker thread (server.h).
 */
#ifndef SEGUE_API_SERVICE_REPORTS_H
#define SEGUE_API_SERVICE_REPORTS_H

#include "api/server/exchange.h"

void reports_get(struct exchange *exchange, void *service);     /* GET runs/{run}/report */
void reports_compare(struct exchange *exchange, void *service); /* GET runs/{run}/compare */

/* GET runs/{run}/steps/{step}/figures/{name} */
void reports_figure(struct exchange *exchange, void *service);

#endif
