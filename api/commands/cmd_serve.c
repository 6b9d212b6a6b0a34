#include "api/commands/cmd_serve.h"

#include "api/commands/exit_status.h"
#include "api/service/routes.h"
#include "api/service/service.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char HELP[] =
    "usage: segue serve [--listen ADDRESS:PORT] [--projects DIR] [--state DIR] ...\n"
    "\n"
    "Runs pipelines for whoever asks over HTTP and has the token.\n"
    "\n"
    "  --listen ADDRESS:PORT      default 127.0.0.1:7878; port 0: a free one\n"
    "  --allow-host NAME          a name under which a proxy asks; repeat for more\n"
    "  --projects DIR             the directory that projects lie in; default: the current one\n"
    "  --state DIR                where runs are kept; default SEGUE_STATE, else\n"
    "                             ~/.local/state/segue, as root /var/lib/segue\n"
    "  --token-file FILE          default STATE/token; made at the first start\n"
    "  --max-runs N               runs that go on at a time (16)\n"
    "  --max-steps N              their steps that run at a time (the number of processors)\n"
    "  --max-background-runs N    the same for runs of jobs (4)\n"
    "  --max-background-steps N   (half the number of processors)\n"
    "  --hold                     accept runs and start none\n"
    "  --allow-local-webhooks     notices may go to this machine and its link, too\n"
    "  --allow-origin ORIGIN      pages that may use the kernels from a browser, such as\n"
    "                             https://lab.example.org; \"*\": all; repeat for more\n"
    "  --kernel-env NAME          a variable that clients may set for their kernels beside\n"
    "                             KERNEL_*; \"NAME*\": all that begin so; repeat for more\n"
    "  --default-kernel NAME      of a kernelspec; default python3\n"
    "  --max-kernels N            kernels of notebooks at a time (200)\n"
    "  --max-kernels-per-user N   the same for each KERNEL_USERNAME (as many)\n"
    "  --max-starting-kernels N   that start at a time, others wait (the number of processors)\n"
    "  --cull-idle-timeout SECONDS  shut kernels down that were idle so long; 0: never (0)\n"
    "  --cull-interval SECONDS    how often that is looked at (300)\n"
    "  --cull-connected           also those that somebody is connected to\n"
    "  --cull-busy                also those that execute something\n"
    "  --log-level LEVEL          debug, info, warning or error\n"
    "  --routes                   list what is served, and exit\n";

enum option_name {
    OPTION_LISTEN = 1,
    OPTION_ALLOW_HOST,
    OPTION_PROJECTS,
    OPTION_STATE,
    OPTION_TOKEN_FILE,
    OPTION_MAX_RUNS,
    OPTION_MAX_STEPS,
    OPTION_MAX_BACKGROUND_RUNS,
    OPTION_MAX_BACKGROUND_STEPS,
    OPTION_HOLD,
    OPTION_ALLOW_ORIGIN,
    OPTION_ALLOW_LOCAL_WEBHOOKS,
    OPTION_KERNEL_ENV,
    OPTION_DEFAULT_KERNEL,
    OPTION_MAX_KERNELS,
    OPTION_MAX_KERNELS_PER_USER,
    OPTION_MAX_STARTING_KERNELS,
    OPTION_CULL_IDLE_TIMEOUT,
    OPTION_CULL_INTERVAL,
    OPTION_CULL_CONNECTED,
    OPTION_CULL_BUSY,
    OPTION_LOG_LEVEL,
    OPTION_ROUTES,
    OPTION_HELP,
};

static const struct option table[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"allow-host", required_argument, NULL, OPTION_ALLOW_HOST},
    {"projects", required_argument, NULL, OPTION_PROJECTS},
    {"state", required_argument, NULL, OPTION_STATE},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"max-runs", required_argument, NULL, OPTION_MAX_RUNS},
    {"max-steps", required_argument, NULL, OPTION_MAX_STEPS},
    {"max-background-runs", required_argument, NULL, OPTION_MAX_BACKGROUND_RUNS},
    {"max-background-steps", required_argument, NULL, OPTION_MAX_BACKGROUND_STEPS},
    {"hold", no_argument, NULL, OPTION_HOLD},
    {"allow-local-webhooks", no_argument, NULL, OPTION_ALLOW_LOCAL_WEBHOOKS},
    {"allow-origin", required_argument, NULL, OPTION_ALLOW_ORIGIN},
    {"kernel-env", required_argument, NULL, OPTION_KERNEL_ENV},
    {"default-kernel", required_argument, NULL, OPTION_DEFAULT_KERNEL},
    {"max-kernels", required_argument, NULL, OPTION_MAX_KERNELS},
    {"max-kernels-per-user", required_argument, NULL, OPTION_MAX_KERNELS_PER_USER},
    {"max-starting-kernels", required_argument, NULL, OPTION_MAX_STARTING_KERNELS},
    {"cull-idle-timeout", required_argument, NULL, OPTION_CULL_IDLE_TIMEOUT},
    {"cull-interval", required_argument, NULL, OPTION_CULL_INTERVAL},
    {"cull-connected", no_argument, NULL, OPTION_CULL_CONNECTED},
    {"cull-busy", no_argument, NULL, OPTION_CULL_BUSY},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"routes", no_argument, NULL, OPTION_ROUTES},
    {"help", no_argument, NULL, OPTION_HELP},
    {0},
};

/* Borrowed texts; NULL at the end. */
struct text_list {
    const char **items;
    uint32_t count, capacity;
};

struct options {
    struct service_options service;
    char *address;
    struct text_list hosts, origins, kernel_env;
    enum { SERVE, SHOW_ROUTES, SHOW_HELP } wish;
};

static int usage_error(const char *what, const char *value)
{
    fprintf(stderr, "segue serve: %s%s%s%s\n(segue serve --help tells more)\n", what,
            value ? " \"" : "", value ? value : "", value ? "\"" : "");
    return -1;
}

/* "127.0.0.1:7878", "[::1]:7878", ":7878" (loopback). */
static int parse_listen(struct options *options, const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;

    if (!colon || !colon[1])
        return usage_error("--listen takes ADDRESS:PORT, not", text);
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (*end || port > 65535)
        return usage_error("no such port in", text);
    bool has_brackets = text[0] == '[' && colon > text && colon[-1] == ']';
    free(options->address);
    options->address = has_brackets    ? mem_strndup(text + 1, (size_t)(colon - text) - 2)
                       : colon == text ? mem_strdup("127.0.0.1")
                                       : mem_strndup(text, (size_t)(colon - text));
    options->service.address = options->address;
    options->service.port = (uint16_t)port;
    return 0;
}

static int parse_count(uint32_t *out, const char *text)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*end || end == text || value == 0 || value > 100000)
        return usage_error("a number from 1 to 100000 is needed, not", text);
    *out = (uint32_t)value;
    return 0;
}

static int parse_level(const char *text)
{
    static const char *const names[] = {[LOG_DEBUG] = "debug",
                                        [LOG_INFO] = "info",
                                        [LOG_WARNING] = "warning",
                                        [LOG_ERROR] = "error"};

    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (strcmp(text, names[i]) == 0) {
            log_set_level((enum log_level)i);
            return 0;
        }
    }
    return usage_error("the levels are debug, info, warning and error, not", text);
}

static int parse_seconds(int64_t *out, const char *text)
{
    char *end;
    long long value = strtoll(text, &end, 10);

    if (*end || end == text || value < 0 || value > 1000000000)
        return usage_error("a number of seconds is needed, not", text);
    *out = value;
    return 0;
}

static const char *const *add_text(struct text_list *list, const char *text)
{
    mem_grow(list->items, list->count + 1, list->capacity);
    list->items[list->count++] = text;
    list->items[list->count] = NULL;
    return list->items;
}

/* "https://lab.example.org:8888", as browsers send it. */
static int add_origin(struct options *options, const char *origin)
{
    const char *host = strstr(origin, "://");

    if (strcmp(origin, "*") != 0 && (!host || host == origin || !host[3] || strchr(host + 3, '/')))
        return usage_error("an origin is like https://host:port without a path, not", origin);
    options->service.origins = add_text(&options->origins, origin);
    return 0;
}

/* Those of notebooks' kernels. */
static int take_kernel_option(struct options *options, int option, const char *value)
{
    struct service_options *service = &options->service;

    switch (option) {
    case OPTION_ALLOW_ORIGIN:
        return add_origin(options, value);
    case OPTION_KERNEL_ENV:
        service->kernel_env = add_text(&options->kernel_env, value);
        return 0;
    case OPTION_DEFAULT_KERNEL:
        service->default_kernel = value;
        return 0;
    case OPTION_MAX_KERNELS:
        return parse_count(&service->kernel_limits.kernels, value);
    case OPTION_MAX_KERNELS_PER_USER:
        return parse_count(&service->kernel_limits.kernels_per_user, value);
    case OPTION_MAX_STARTING_KERNELS:
        return parse_count(&service->kernel_limits.starting, value);
    case OPTION_CULL_IDLE_TIMEOUT:
        return parse_seconds(&service->culling.idle_timeout_s, value);
    case OPTION_CULL_INTERVAL:
        return parse_seconds(&service->culling.interval_s, value);
    case OPTION_CULL_CONNECTED:
        service->culling.connected = true;
        return 0;
    case OPTION_CULL_BUSY:
        service->culling.busy = true;
        return 0;
    default:
        fputs("(segue serve --help tells more)\n", stderr);
        return -1;
    }
}

static int take_option(struct options *options, int option, const char *value)
{
    struct service_options *service = &options->service;

    switch (option) {
    case OPTION_LISTEN:
        return parse_listen(options, value);
    case OPTION_ALLOW_HOST:
        service->hosts = add_text(&options->hosts, value);
        return 0;
    case OPTION_PROJECTS:
        service->projects = value;
        return 0;
    case OPTION_STATE:
        service->state_dir = value;
        return 0;
    case OPTION_TOKEN_FILE:
        service->token_file = value;
        return 0;
    case OPTION_MAX_RUNS:
        return parse_count(&service->limits[RUN_INTERACTIVE].runs, value);
    case OPTION_MAX_STEPS:
        return parse_count(&service->limits[RUN_INTERACTIVE].steps, value);
    case OPTION_MAX_BACKGROUND_RUNS:
        return parse_count(&service->limits[RUN_BACKGROUND].runs, value);
    case OPTION_MAX_BACKGROUND_STEPS:
        return parse_count(&service->limits[RUN_BACKGROUND].steps, value);
    case OPTION_HOLD:
        service->is_holding = true;
        return 0;
    case OPTION_ALLOW_LOCAL_WEBHOOKS:
        service->allow_local_webhooks = true;
        return 0;
    case OPTION_LOG_LEVEL:
        return parse_level(value);
    case OPTION_ROUTES:
        options->wish = SHOW_ROUTES;
        return 0;
    case OPTION_HELP:
        options->wish = SHOW_HELP;
        return 0;
    default:
        return take_kernel_option(options, option, value);
    }
}

static void set_defaults(struct options *options)
{
    cpu_set_t cores;
    uint32_t count =
        sched_getaffinity(0, sizeof cores, &cores) == 0 ? (uint32_t)CPU_COUNT(&cores) : 1;

    *options = (struct options){
        .address = mem_strdup("127.0.0.1"),
        .service = {.port = 7878,
                    .projects = ".",
                    .limits = {[RUN_INTERACTIVE] = {.runs = 16, .steps = count},
                               [RUN_BACKGROUND] = {.runs = 4, .steps = (count + 1) / 2}}},
    };
    options->service.address = options->address;
}

static int parse_options(struct options *options, int argc, char **argv)
{
    int option;

    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1)
        if (take_option(options, option == 'h' ? OPTION_HELP : option, optarg) < 0)
            return -1;
    return optind == argc ? 0 : usage_error("no argument is taken, but there is", argv[optind]);
}

static int serve(struct options *options)
{
    auto_free char *root = state_root();
    auto_free char *given =
        options->service.state_dir ? realpath(options->service.state_dir, NULL) : NULL;
    struct err e;

    if (!options->service.state_dir)
        options->service.state_dir = root;
    else if (given)
        options->service.state_dir = given;
    /* What a client needs to reach us is no business of the kernels. */
    unsetenv("SEGUE_TOKEN");
    if (service_run(&options->service, &e) == 0)
        return EXIT_DONE;
    log_line(LOG_ERROR, "failed", "error", e.text, NULL);
    return e.code == ERR_INVALID || e.code == ERR_LIMIT || e.code == ERR_NOT_FOUND
               ? EXIT_INPUT
               : EXIT_NOT_SUCCESS;
}

int cmd_serve(int argc, char **argv)
{
    struct options options;
    int status = EXIT_INPUT;

    set_defaults(&options);
    if (parse_options(&options, argc, argv) == 0) {
        status = EXIT_DONE;
        if (options.wish == SHOW_HELP)
            fputs(HELP, stdout);
        else if (options.wish == SHOW_ROUTES)
            routes_print(stdout);
        else
            status = serve(&options);
    }
    free(options.address);
    free(options.hosts.items);
    free(options.origins.items);
    free(options.kernel_env.items);
    return status;
}
