/* routes: everything that the service can be asked, in one table. */
#ifndef SEGUE_API_SERVICE_ROUTES_H
#define SEGUE_API_SERVICE_ROUTES_H

#include "api/server/server.h"

#include <stdio.h>

extern const struct route service_routes[];
extern const size_t service_route_count;
extern const struct problem_place service_dialects[]; /* which of them are Jupyter's */

/* A line "METHOD PATH" for each. */
void routes_print(FILE *out);

#endif
