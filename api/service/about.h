/* about: the service itself: what it is, how it is, and its figures.
 *
 * Handlers for any thread.
 */
#ifndef SEGUE_API_SERVICE_ABOUT_H
#define SEGUE_API_SERVICE_ABOUT_H

#include "api/server/exchange.h"

void about_service(struct exchange *exchange, void *service); /* GET service */
void about_health(struct exchange *exchange, void *service);  /* GET healthz */
void about_metrics(struct exchange *exchange, void *service); /* GET metrics */

#endif
