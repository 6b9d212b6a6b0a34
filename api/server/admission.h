/* admission: whether a request whose headers are there may go on to its handler: its form, who
 * asks, for what, and what else it brings. Owns nothing; any thread.
 */
#ifndef SEGUE_API_SERVER_ADMISSION_H
#define SEGUE_API_SERVER_ADMISSION_H

#include "api/server/route.h"

#include <stdbool.h>

struct exchange;

struct admission {
    const char *address, *token; /* see server_options */
    const char *const *hosts;
    struct router *router;
};

/* The exchange has its headers and framing, and gets its route. false: it has been answered. */
bool admission_check(const struct admission *admission, struct exchange *exchange,
                     const char *method);

#endif
