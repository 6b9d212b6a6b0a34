#include "api/service/routes.h"

#include "api/service/about.h"
#include "api/service/docs.h"
#include "api/service/environment_list.h"
#include "api/service/jobs_api.h"
#include "api/service/kernel_list.h"
#include "api/service/parts.h"
#include "api/service/plans.h"
#include "api/service/queue.h"
#include "api/service/reports.h"
#include "api/service/runs.h"
#include "api/service/steps.h"
#include "api/service/webhooks.h"
#include "base/limits.h"

/* Handlers of streams.h know of no service. */
static void events_open(struct exchange *exchange, void *user)
{
    const struct service *service = user;

    streams_open(service->streams, exchange);
}

/* Handlers of jupyter.h know of no service either. */
#define JUPYTER_HANDLER(handler)                                                                   \
    static void on_##handler(struct exchange *exchange, void *user)                                \
    {                                                                                              \
        const struct service *service = user;                                                      \
                                                                                                   \
        handler(exchange, service->jupyter);                                                       \
    }

JUPYTER_HANDLER(jupyter_version)
JUPYTER_HANDLER(jupyter_status)
JUPYTER_HANDLER(jupyter_me)
JUPYTER_HANDLER(kernelspecs_list)
JUPYTER_HANDLER(kernelspecs_get)
JUPYTER_HANDLER(kernelspecs_resource)
JUPYTER_HANDLER(kernels_list)
JUPYTER_HANDLER(kernels_start)
JUPYTER_HANDLER(kernels_get)
JUPYTER_HANDLER(kernels_delete)
JUPYTER_HANDLER(kernels_interrupt)
JUPYTER_HANDLER(kernels_restart)
JUPYTER_HANDLER(channels_connect)
JUPYTER_HANDLER(sessions_list)
JUPYTER_HANDLER(sessions_create)
JUPYTER_HANDLER(sessions_get)
JUPYTER_HANDLER(sessions_change)
JUPYTER_HANDLER(sessions_delete)

static const char *const list_queries[] = {
    "status", "project", "pipeline_uuid", "job_uuid", "limit", "cursor", "include", NULL,
};
static const char *const step_queries[] = {"attempt", NULL};
static const char *const compare_queries[] = {"to", NULL};
static const char *const event_queries[] = {"run", "after", NULL};
static const char *const job_queries[] = {
    "status", "project", "pipeline_uuid", "limit", "cursor", NULL,
};
static const char *const page_queries[] = {"limit", "cursor", NULL};
static const char *const fire_queries[] = {"number", "limit", "cursor", NULL};
static const char *const result_queries[] = {"fire", "sort", "format", "limit", "cursor", NULL};
static const char *const environment_queries[] = {"project", NULL};

#define API      "/api/v1"
#define RUN      API "/runs/{run}"
#define STEP     RUN "/steps/{step}"
#define JOB      API "/jobs/{job}"
#define WEBHOOK  API "/webhooks/{webhook}"
#define DOCUMENT LIMIT_REQUEST_BYTES
#define SMALL    LIMIT_SMALL_REQUEST_BYTES

#define KERNEL   "/api/kernels/{kernel}"
#define SESSION  "/api/sessions/{session}"
#define SPEC     "/kernelspecs/{name}"
#define WITH_ENV LIMIT_KERNEL_REQUEST_BYTES
#define BROWSER  ROUTE_TOKEN_QUERY

const struct problem_place service_dialects[] = {
    {"/api/v1", PROBLEM_RFC9457},
    {"/api", PROBLEM_JUPYTER},
    {"/kernelspecs", PROBLEM_JUPYTER},
    {0},
};

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
    {"GET",    STEP "/figures/{name}", ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, reports_figure},
    {"GET",    RUN "/report",       ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, reports_get},
    {"GET",    RUN "/compare",      ROUTE_TOKEN, ROUTE_WORKER, 0, compare_queries, reports_compare},
    {"POST",   API "/jobs",         ROUTE_TOKEN, ROUTE_WORKER, DOCUMENT, NULL, jobs_api_create},
    {"GET",    API "/jobs",         ROUTE_TOKEN, ROUTE_WORKER, 0, job_queries, jobs_api_list},
    {"POST",   API "/jobs/preview", ROUTE_TOKEN, ROUTE_WORKER, DOCUMENT, NULL, jobs_api_preview},
    {"GET",    JOB,                 ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, jobs_api_get},
    {"PUT",    JOB,                 ROUTE_TOKEN, ROUTE_WORKER, DOCUMENT, NULL, jobs_api_change},
    {"DELETE", JOB,                 ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, jobs_api_delete},
    {"POST",   JOB "/confirm",      ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_confirm},
    {"POST",   JOB "/pause",        ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_pause},
    {"POST",   JOB "/resume",       ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_resume},
    {"POST",   JOB "/abort",        ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_abort},
    {"POST",   JOB "/trigger",      ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_trigger},
    {"POST",   JOB "/duplicate",    ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, jobs_api_duplicate},
    {"GET",    JOB "/fires",        ROUTE_TOKEN, ROUTE_WORKER, 0, fire_queries, jobs_api_fires},
    {"GET",    JOB "/results",      ROUTE_TOKEN, ROUTE_WORKER, 0, result_queries, jobs_api_results},
    {"GET",    API "/webhooks",     ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, webhooks_list},
    {"POST",   API "/webhooks",     ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, webhooks_create},
    {"GET",    WEBHOOK,             ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, webhooks_get},
    {"DELETE", WEBHOOK,             ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, webhooks_delete},
    {"POST",   WEBHOOK "/ping",     ROUTE_TOKEN, ROUTE_WORKER, SMALL, NULL, webhooks_ping},
    {"GET",    WEBHOOK "/deliveries", ROUTE_TOKEN, ROUTE_WORKER, 0, page_queries,
     webhooks_deliveries},
    {"GET",    API "/queue",        ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, queue_get},
    {"GET",    API "/kernels",      ROUTE_TOKEN, ROUTE_WORKER, 0, NULL, kernel_list},
    {"GET",    API "/events",       ROUTE_TOKEN, ROUTE_INLINE, 0, event_queries, events_open},
    {"GET",    API "/environments", ROUTE_TOKEN, ROUTE_WORKER, 0, environment_queries,
     environment_list},
    {"GET",    API "/service",      ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, about_service},
    {"GET",    API "/openapi.json", ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, docs_openapi},
    {"GET",    "/docs",             ROUTE_OPEN,  ROUTE_INLINE, 0, NULL, docs_page},
    {"GET",    "/healthz",          ROUTE_OPEN,  ROUTE_INLINE, 0, NULL, about_health},
    {"GET",    "/metrics",          ROUTE_TOKEN, ROUTE_INLINE, 0, NULL, about_metrics},

    /* Jupyter's: query parameters are not checked. */
    {"GET",    "/api",               BROWSER, ROUTE_INLINE, 0, NULL, on_jupyter_version},
    {"GET",    "/api/status",        BROWSER, ROUTE_WORKER, 0, NULL, on_jupyter_status},
    {"GET",    "/api/me",            BROWSER, ROUTE_INLINE, 0, NULL, on_jupyter_me},
    {"GET",    "/api" SPEC,          BROWSER, ROUTE_WORKER, 0, NULL, on_kernelspecs_get},
    {"GET",    "/api/kernelspecs",   BROWSER, ROUTE_WORKER, 0, NULL, on_kernelspecs_list},
    {"GET",    SPEC "/{file}",       BROWSER, ROUTE_WORKER, 0, NULL, on_kernelspecs_resource},
    {"GET",    "/api/kernels",       BROWSER, ROUTE_WORKER, 0, NULL, on_kernels_list},
    {"POST",   "/api/kernels",       BROWSER, ROUTE_WORKER, WITH_ENV, NULL, on_kernels_start},
    {"GET",    KERNEL,               BROWSER, ROUTE_WORKER, 0, NULL, on_kernels_get},
    {"DELETE", KERNEL,               BROWSER, ROUTE_WORKER, SMALL, NULL, on_kernels_delete},
    {"POST",   KERNEL "/interrupt",  BROWSER, ROUTE_WORKER, SMALL, NULL, on_kernels_interrupt},
    {"POST",   KERNEL "/restart",    BROWSER, ROUTE_WORKER, SMALL, NULL, on_kernels_restart},
    {"GET",    KERNEL "/channels",   BROWSER, ROUTE_WORKER, 0, NULL, on_channels_connect},
    {"GET",    "/api/sessions",      BROWSER, ROUTE_WORKER, 0, NULL, on_sessions_list},
    {"POST",   "/api/sessions",      BROWSER, ROUTE_WORKER, WITH_ENV, NULL, on_sessions_create},
    {"GET",    SESSION,              BROWSER, ROUTE_WORKER, 0, NULL, on_sessions_get},
    {"PATCH",  SESSION,              BROWSER, ROUTE_WORKER, WITH_ENV, NULL, on_sessions_change},
    {"DELETE", SESSION,              BROWSER, ROUTE_WORKER, SMALL, NULL, on_sessions_delete},
};
/* clang-format on */

const size_t service_route_count = sizeof service_routes / sizeof *service_routes;

void routes_print(FILE *out)
{
    for (size_t i = 0; i < service_route_count; i++)
        fprintf(out, "%s %s\n", service_routes[i].method, service_routes[i].path);
}
