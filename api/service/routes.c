#include "api/service/routes.h"

#include "api/service/about.h"
#include "api/service/docs.h"
#include "api/service/environment_list.h"
#include "api/service/parts.h"
#include "api/service/plans.h"
#include "api/service/queue.h"
#include "api/service/runs.h"
#include "api/service/steps.h"
#include "base/limits.h"

/* Handlers of streams.h know of no service. */
static void events_open(struct exchange *exchange, void *user)
{
    const struct service *service = user;

    streams_open(service->streams, exchange);
}

static const char *const list_queries[] = {
    "status", "project", "pipeline_uuid", "job_uuid", "limit", "cursor", "include", NULL,
};
static const char *const step_queries[] = {"attempt", NULL};
static const char *const event_queries[] = {"run", "after", NULL};
static const char *const environment_queries[] = {"project", NULL};

#define API      "/api/v1"
#define RUN      API "/runs/{run}"
#define STEP     RUN "/steps/{step}"
#define DOCUMENT LIMIT_REQUEST_BYTES
#define SMALL    LIMIT_SMALL_REQUEST_BYTES

/* clang-format off */
const struct route service_routes[] = {
    {"POST",   API "/plans",        ROUTE_TOKEN, ROUTE_WORKER, DOCUMENT, NULL, plans_create},
    {"POST",   API "/runs",         ROUTE_TOKEN, ROUTE_WORKER, DOCUMENT, NULL, runs_create},
    {"GET",    API "/runs",         ROUTE_TOKEN, ROUTE_WORKER, 0, list_queries, runs_list},
    {"GET",    RUN,                 ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, runs_get},
    {"DELETE", RUN,                 ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, runs_delete},
    {"POST",   RUN "/cancel",       ROUTE_TOKEN, ROUTE_INLINE, SMALL, NULL, runs_cancel},
    {"POST",   RUN "/rerun",        ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, runs_rerun},
    {"GET",    STEP "/log",         ROUTE_TOKEN, ROUTE_WORKER, 0, step_queries, steps_log},
    {"GET",    STEP "/notebook",    ROUTE_TOKEN, ROUTE_WORKER, 0, step_queries, steps_notebook},
    {"GET",    API "/queue",        ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, queue_get},
    {"GET",    API "/events",       ROUTE_TOKEN, ROUTE_INLINE, 0, event_queries, events_open},
    {"GET",    API "/environments", ROUTE_TOKEN, ROUTE_WORKER, 0, environment_queries,
     environment_list},
    {"GET",    API "/service",      ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, about_service},
    {"GET",    API "/openapi.json", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, docs_openapi},
    {"GET",    "/docs",             ROUTE_OPEN,  ROUTE_INLINE, 0, NULL, docs_page},
    {"GET",    "/healthz",          ROUTE_OPEN,  ROUTE_INLINE, 0, NULL, about_health},
    {"GET",    "/metrics",          ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, about_metrics},
};
/* clang-format on */

const size_t service_route_count = sizeof service_routes / sizeof *service_routes;

void routes_print(FILE *out)
{
    for (size_t i = 0; i < service_route_count; i++)
        fprintf(out, "%s %s\n", service_routes[i].method, service_routes[i].path);
}
