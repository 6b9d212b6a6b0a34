/* webhooks: the resource /api/v1/webhooks: who is told of ends of runs and jobs, and what became of
 * telling them. A secret goes in and is never shown.
 *
 * Handlers; they use the disk and belong on a worker thread (server.h). `user` is the service.
 */
#ifndef SEGUE_API_SERVICE_WEBHOOKS_H
#define SEGUE_API_SERVICE_WEBHOOKS_H

#include "api/server/exchange.h"

void webhooks_list(struct exchange *exchange, void *user);       /* GET webhooks */
void webhooks_create(struct exchange *exchange, void *user);     /* POST webhooks */
void webhooks_get(struct exchange *exchange, void *user);        /* GET webhooks/{webhook} */
void webhooks_delete(struct exchange *exchange, void *user);     /* DELETE webhooks/{webhook} */
void webhooks_ping(struct exchange *exchange, void *user);       /* POST .../ping */
void webhooks_deliveries(struct exchange *exchange, void *user); /* GET .../deliveries */

#endif
