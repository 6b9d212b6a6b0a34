#include "api/service/service.h"

#include "api/service/parts.h"
#include "api/service/routes.h"
#include "api/service/token.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel-gateway/launch/docker_paths.h"
#include "runner/sdk.h"
#include "runner/version.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

/* --- what is logged --- */

static void log_end(const struct engine_event *event)
{
    auto_json struct json doc = {0};
    struct err ignored;

    if (json_parse(&doc, (struct str){event->json, event->json_len}, JSON_TOLERANT, NULL,
                   &ignored) < 0)
        return;
    json_at failure = json_get(&doc, 0, "failure");
    auto_free char *step = json_strdup(&doc, json_get(&doc, 0, "step_uuid"));
    auto_free char *status = json_strdup(&doc, json_get(&doc, 0, "status"));
    auto_free char *cause = json_strdup(&doc, json_get(&doc, failure, "cause"));
    auto_free char *message = json_strdup(&doc, json_get(&doc, failure, "message"));
    log_line(LOG_INFO, event->event, "run", event->run_uuid, "step", step, "status", status,
             "cause", cause, "message", message, NULL);
}

static void on_event(void *user, const struct engine_event *event)
{
    struct service *service = user;

    if (strcmp(event->event, "step_finished") == 0 || strcmp(event->event, "run_finished") == 0)
        log_end(event);
    else if (strncmp(event->event, "run_", 4) == 0)
        log_line(LOG_INFO, event->event, "run", event->run_uuid, NULL);
    if (service->jobs && strcmp(event->event, "run_finished") == 0)
        jobs_wake(service->jobs);
    if (service->jobs && strcmp(event->event, "run_deleted") == 0)
        jobs_forget_run(service->jobs, event->run_uuid);
    if (service->streams)
        streams_publish(service->streams, event);
}

static void on_failed(void *user, const struct err *e)
{
    struct service *service = user;

    atomic_store(&service->has_failed, true);
    log_line(LOG_ERROR, "storage_failed", "error", e->text, NULL);
}

static void on_recovered(void *user)
{
    struct service *service = user;

    atomic_store(&service->has_failed, false);
    if (service->streams)
        streams_missed(service->streams);
    log_line(LOG_INFO, "storage_recovered", NULL);
}

/* On any thread. */
static void on_job_told(void *user, const struct jobs_news *news)
{
    bool is_error = strcmp(news->what, "jobs_failed") == 0;

    (void)user;
    log_line(is_error ? LOG_ERROR : LOG_INFO, news->what, "job", news->job_uuid, "run",
             news->run_uuid, "delivery", news->delivery_uuid, "host", news->host, "detail",
             news->detail, NULL);
}

/* On the gateway's thread. */
static void on_kernel_event(void *user, const char *what, const struct kernel_view *view)
{
    (void)user;
    log_line(LOG_INFO, what, "kernel", view->id, "name", view->name, "user", view->username,
             "reason", *view->news.reason ? view->news.reason : NULL, NULL);
}

/* --- stopping --- */

static void on_stopped(void *user, uint32_t events)
{
    struct service *service = user;

    (void)events;
    loop_stop(service->loop);
}

/* Requests that are in hand wait for the engine, and so do the threads of jobs: it must go on while
 * they are stopped. */
static void *stop_server(void *user)
{
    struct service *service = user;
    uint64_t one = 1;

    server_stop(service->server);
    jobs_stop(service->jobs);
    (void)!write(service->stopped_fd, &one, sizeof one);
    return NULL;
}

static void on_signal(void *user, int signal_number)
{
    struct service *service = user;

    if (service->is_stopping)
        return;
    service->is_stopping = true;
    log_line(LOG_INFO, "stopping", "signal", strsignal(signal_number), NULL);
    if (pthread_create(&service->stopper, NULL, stop_server, service) != 0)
        abort();
}

/* --- setting up --- */

static int open_projects(struct service *service, struct err *e)
{
    const char *path = service->options->projects;

    service->projects = realpath(path, NULL);
    return service->projects
               ? 0
               : err_errno(e, errno, "cannot find the projects directory \"%s\"", path);
}

/* Before there is any thread: all of them inherit what is blocked here. */
static void open_loop(struct service *service)
{
    service->loop = loop_new();
    loop_add_signal(service->loop, SIGTERM, on_signal, service);
    loop_add_signal(service->loop, SIGINT, on_signal, service);
    service->stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (service->stopped_fd < 0)
        abort();
    loop_add_fd(service->loop, service->stopped_fd, EPOLLIN, on_stopped, service);
}

static const char *const nursery_argv[] = {"/proc/self/exe", "nursery", NULL};

static int open_engine(struct service *service, struct err *e)
{
    static const struct engine_events events = {
        .event = on_event, .failed = on_failed, .recovered = on_recovered};
    const struct service_options *options = service->options;
    struct engine_options engine_options = {
        .loop = service->loop,
        .state = &service->state,
        .sdk_dir = service->sdk_dir,
        .nursery_argv = nursery_argv,
        .limits = {options->limits[RUN_INTERACTIVE], options->limits[RUN_BACKGROUND]},
        .life = ENGINE_LASTING,
        .is_holding = options->is_holding,
        .life_fd = -1,
    };

    return engine_open(&service->engine, &engine_options, &events, service, e);
}

static int open_gateway(struct service *service, struct err *e)
{
    auto_free char *directory = fs_join(service->state.dir, "kernels");
    auto_free char *sockets = fs_join(service->state.dir, "k");
    struct gateway_options options = {
        .directory = directory,
        .sockets = sockets,
        .nursery_argv = nursery_argv,
        .limits = service->options->kernel_limits,
        .culling = service->options->culling,
        .event = on_kernel_event,
    };

    return gateway_open(&service->gateway, &options, e);
}

static int open_jobs(struct service *service, struct err *e)
{
    struct jobs_options options = {
        .engine = service->engine,
        .readers = service->readers,
        .state = &service->state,
        .projects = service->projects,
        .parallel = service->options->limits[RUN_BACKGROUND].runs,
        .allow_local_webhooks = service->options->allow_local_webhooks,
        .is_holding = service->options->is_holding,
        .told = on_job_told,
        .user = service,
    };

    return jobs_open(&service->jobs, &options, e);
}

static struct jupyter *new_jupyter(const struct service *service)
{
    struct jupyter_options options = {
        .gateway = service->gateway,
        .state = &service->state,
        .projects = service->projects,
        .sdk_dir = service->sdk_dir,
        .kernel_env = service->options->kernel_env,
        .default_kernel = service->options->default_kernel,
    };

    return jupyter_new(&options);
}

static int open_server(struct service *service, struct err *e)
{
    const struct service_options *options = service->options;
    struct server_options server_options = {
        .address = options->address,
        .port = options->port,
        .token = service->token,
        .hosts = options->hosts,
        .origins = options->origins,
        .dialects = service_dialects,
        .routes = service_routes,
        .route_count = service_route_count,
    };

    struct server *server;
    if (server_start(&server, &server_options, service, e) < 0)
        return -1;
    service->server = server;
    return 0;
}

/* What steps in containers are given of our directories, the Docker engine has to find. */
static int check_paths(const struct service *service, struct err *e)
{
    if (docker_check_path(service->projects, e) < 0)
        return -1;
    return docker_check_path(service->state.dir, e);
}

static int open_parts(struct service *service, struct err *e)
{
    if (open_projects(service, e) < 0 ||
        state_open(&service->state, service->options->state_dir, e) < 0 ||
        check_paths(service, e) < 0)
        return -1;
    service->sdk_dir = sdk_keep(service->state.dir, e);
    if (!service->sdk_dir)
        return -1;
    service->token = token_keep(&service->state, service->options->token_file, e);
    if (!service->token)
        return -1;
    auto_free char *database = fs_join(service->state.dir, "segue.db");
    auto_free char *runs = fs_join(service->state.dir, "runs");
    open_loop(service);
    if (open_engine(service, e) < 0 || open_gateway(service, e) < 0)
        return -1;
    service->jupyter = new_jupyter(service);
    service->readers = readers_new(database);
    service->streams = streams_new(service->loop, service->readers, runs);
    service->run_cache = run_cache_new();
    if (open_jobs(service, e) < 0 || open_server(service, e) < 0)
        return -1;
    jobs_start(service->jobs);
    return 0;
}

static void close_parts(struct service *service)
{
    if (service->is_stopping)
        pthread_join(service->stopper, NULL);
    gateway_close(service->gateway); /* whoever waits for a kernel is answered now */
    jupyter_free(service->jupyter);
    jobs_close(service->jobs);
    /* The writing connection is the last: it tidies the files of the database up. */
    readers_free(service->readers);
    engine_close(service->engine);
    streams_free(service->streams);
    run_cache_free(service->run_cache);
    loop_free(service->loop);
    if (service->stopped_fd >= 0)
        close(service->stopped_fd);
    state_close(&service->state);
    free(service->token);
    free(service->sdk_dir);
    free(service->projects);
}

static void log_start(const struct service *service)
{
    const char *address = service->options->address;
    bool is_v6 = strchr(address, ':') != NULL;
    auto_free char *url = mem_printf("http://%s%s%s:%u", is_v6 ? "[" : "", address,
                                     is_v6 ? "]" : "", server_port(service->server));

    log_line(LOG_INFO, "listening", "url", url, "version", SEGUE_VERSION, "state",
             service->state.dir, "projects", service->projects, NULL);
}

int service_run(const struct service_options *options, struct err *e)
{
    struct service service = {.options = options, .state = {.lock_fd = -1}, .stopped_fd = -1};

    int result = open_parts(&service, e);
    if (result == 0) {
        log_start(&service);
        loop_run(service.loop);
        log_line(LOG_INFO, "stopped", NULL);
    }
    close_parts(&service);
    return result;
}
