/* request_key: the key that a client gives a request, so that asking again is safe.
 *
 * Handlers look the key up before they check anything else: who asks again gets the answer of the
 * first time, whatever has become of the project since. Keeps nothing; any thread.
 */
#ifndef SEGUE_API_SERVICE_REQUEST_KEY_H
#define SEGUE_API_SERVICE_REQUEST_KEY_H

#include "api/server/exchange.h"
#include "runner/engine/reply.h"

/* The header Idempotency-Key, and a digest of path and body; key->key NULL: the request has none.
 * The text is the exchange's. -1: it is no key, and the exchange was answered. */
int request_key_read(struct exchange *exchange, struct request_key *ret_key);

/* `digest` is that of the request that used the key first: ERR_INVALID when it was another one. */
int request_key_check(const struct request_key *key, const char *digest, struct err *e);

#endif
