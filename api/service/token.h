/* token: the secret that a client of the service has to know.
 *
 * Made at the service's first start, from the kernel's random numbers, in a file that only its
 * owner can read. Keeps nothing in memory.
 */
#ifndef SEGUE_API_TOKEN_H
#define SEGUE_API_TOKEN_H

#include "base/err.h"
#include "runner/engine/state.h"

/* The token in `file` (NULL: STATE/token), which is made when missing. free() it. NULL:
 * ERR_INVALID when others may read the file or nothing fit is in it, ERR_IO. */
char *token_keep(const struct state *state, const char *file, struct err *e);

#endif
