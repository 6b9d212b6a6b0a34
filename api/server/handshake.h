/* handshake: how a client asks for a WebSocket, and what it is answered (RFC 6455, 4.2).
 *
 *     if (!handshake_check(exchange))
 *         return;
 *     handshake_accept(exchange, handshake_offers(exchange, NAME) ? NAME : NULL);
 *     exchange_answer_upgrade(exchange, taken, user);
 *
 * Knows headers only: who may ask is for others (exchange_origin_is_allowed), and frames too.
 */
#ifndef SEGUE_API_SERVER_HANDSHAKE_H
#define SEGUE_API_SERVER_HANDSHAKE_H

#include "api/server/exchange.h"

#include <stdbool.h>

/* false: this is no request for a WebSocket of version 13; it has been answered, with 400 or 426.
 */
bool handshake_check(struct exchange *exchange);

/* Is this one of the subprotocols that the client offers? */
bool handshake_offers(const struct exchange *exchange, const char *subprotocol);

/* Adds the headers for exchange_answer_upgrade; NULL: no subprotocol. After handshake_check. */
void handshake_accept(struct exchange *exchange, const char *subprotocol);

#endif
