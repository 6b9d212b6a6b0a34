/* environment_list: the environments of a project, and whether steps could run in them now.
 *
 * A handler; it may ask the Docker engine and belongs on a worker thread (server.h).
 */
#ifndef SEGUE_API_SERVICE_ENVIRONMENT_LIST_H
#define SEGUE_API_SERVICE_ENVIRONMENT_LIST_H

#include "api/server/exchange.h"

void environment_list(struct exchange *exchange, void *service); /* GET environments */

#endif
