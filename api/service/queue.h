/* queue: what waits to be run, and how much may go on.
 *
 * A handler; it reads all that waits and belongs on a worker thread (server.h).
 */
#ifndef SEGUE_API_SERVICE_QUEUE_H
#define SEGUE_API_SERVICE_QUEUE_H

#include "api/server/exchange.h"

void queue_get(struct exchange *exchange, void *service); /* GET queue */

#endif
