/* plans: which steps a run would have, without running it.
 *
 * A handler; it reads a project and belongs on a worker thread (server.h).
 */
#ifndef SEGUE_API_SERVICE_PLANS_H
#define SEGUE_API_SERVICE_PLANS_H

#include "api/server/exchange.h"

void plans_create(struct exchange *exchange, void *service); /* POST plans */

#endif
