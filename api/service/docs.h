/* docs: the API's description: openapi.json, and a page that shows it to people.
 *
 * Both are part of the program. The page asks for nothing else, from this service or another host,
 * and carries the description inside it, because it is open while openapi.json needs the token.
 * Handlers for any thread.
 */
#ifndef SEGUE_API_SERVICE_DOCS_H
#define SEGUE_API_SERVICE_DOCS_H

#include "api/server/exchange.h"

void docs_openapi(struct exchange *exchange, void *service); /* GET openapi.json */
void docs_page(struct exchange *exchange, void *service);    /* GET docs */

#endif
