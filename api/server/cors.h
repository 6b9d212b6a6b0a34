/* cors: which pages of other origins may use the server from a browser, and how browsers are told
 * (the CORS protocol of the Fetch standard, 3.2). Cookies are never taken, so nothing here gives
 * anything to who has no token. exchange_origin_is_allowed of exchange.h is here too.
 */
#ifndef SEGUE_API_SERVER_CORS_H
#define SEGUE_API_SERVER_CORS_H

#include <stdbool.h>

struct exchange;

/* Adds what every answer says. The exchange has its headers. */
void cors_add_headers(struct exchange *exchange);

/* Does a browser ask whether a page may make a request? */
bool cors_is_preflight(const struct exchange *exchange, const char *method);

/* `methods`: those of the path, "GET, HEAD, POST". */
void cors_answer_preflight(struct exchange *exchange, const char *methods);

#endif
