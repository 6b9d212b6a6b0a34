#include "api/commands/cmd_submit.h"

#include "api/commands/client.h"
#include "api/commands/duration.h"
#include "api/commands/made_run.h"
#include "api/commands/params.h"
#include "api/commands/place.h"
#include "api/commands/run_doc.h"
#include "api/commands/selection.h"
#include "base/fs.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/plan/project.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static const char HELP[] =
    "usage: segue submit PIPELINE " SELECTION_USAGE "\n"
    "                    [-p NAME=VALUE]... [-p STEP:NAME=VALUE]... [--project NAME]\n"
    "                    [--in-place] [--keep-kernels TIME] [--timeout TIME] [--wait] [--json]\n"
    "                    " CLIENT_USAGE "\n"
    "\n"
    "Gives a pipeline, or a part of it, to the service to run.\n"
    "\n" SELECTION_HELP PARAMS_HELP
    "  --project NAME    a project by its path below the service's projects directory; PIPELINE\n"
    "                    is a path in it then. Default: PIPELINE is a file of this machine, and\n"
    "                    its project the nearest parent with .segue, .orchest or .git\n"
    "  --in-place        write the executed notebooks over their sources\n"
    "  --keep-kernels TIME  the kernel of a notebook that fails is kept so long, to be looked at:\n"
    "                    600, 10m, 2h; a day at most\n"
    "  --timeout TIME    stop the run when it has taken so long: 90, 10m, 2h; 30 days at most\n"
    "  --wait            show the run and wait for its end\n"
    "  --json            the run as JSON; with --wait one event a line\n" CLIENT_HELP "\n"
    "Exit status: 0 accepted, with --wait: success; 1 not all steps succeeded, 2 wrong input,\n"
    "3 the service does not answer, 130 and 143 when interrupted: the run goes on.\n";

enum submit_option {
    OPTION_PROJECT = 1,
    OPTION_IN_PLACE,
    OPTION_KEEP_KERNELS,
    OPTION_TIMEOUT,
    OPTION_WAIT,
    OPTION_JSON
};

struct options {
    const char *file;
    const char *project; /* NULL: found by the file */
    struct selection selection;
    struct params params;
    struct client_options client;
    struct made_run_options made;
    bool in_place;
    uint32_t keep_kernels_s;
    uint32_t timeout_s;
};

/* --- options --- */

static int usage_error(const char *text)
{
    fprintf(stderr, "segue submit: %s\n(segue submit --help tells more)\n", text);
    return -1;
}

static int take_keep_kernels(struct options *options, const char *value)
{
    if (duration_parse(value, LIMIT_KEEP_KERNELS_S, &options->keep_kernels_s))
        return 0;
    return usage_error("--keep-kernels is a time such as 600, 10m or 2h, a day at most");
}

static int take_timeout(struct options *options, const char *value)
{
    if (duration_parse(value, LIMIT_RUN_TIMEOUT_S, &options->timeout_s) && options->timeout_s > 0)
        return 0;
    return usage_error("--timeout is a time such as 90, 10m or 2h, 30 days at most");
}

static int take_option(struct options *options, int option, const char *value)
{
    struct err e;

    if (client_take_option(&options->client, option, value))
        return 0;
    if (selection_is_option(option))
        return selection_add(&options->selection, option, value, &e) < 0 ? usage_error(e.text) : 0;
    switch (option) {
    case 'p':
        params_add(&options->params, value);
        return 0;
    case OPTION_PROJECT:
        options->project = value;
        return 0;
    case OPTION_IN_PLACE:
        options->in_place = true;
        return 0;
    case OPTION_KEEP_KERNELS:
        return take_keep_kernels(options, value);
    case OPTION_TIMEOUT:
        return take_timeout(options, value);
    case OPTION_WAIT:
        options->made.is_waiting = true;
        return 0;
    case OPTION_JSON:
        options->made.is_json = true;
        return 0;
    default:
        fputs("(segue submit --help tells more)\n", stderr);
        return -1;
    }
}

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        SELECTION_OPTIONS,
        CLIENT_OPTIONS,
        {"param", required_argument, NULL, 'p'},
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"in-place", no_argument, NULL, OPTION_IN_PLACE},
        {"keep-kernels", required_argument, NULL, OPTION_KEEP_KERNELS},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"wait", no_argument, NULL, OPTION_WAIT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "p:h", table, NULL)) != -1) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return 0;
        }
        if (take_option(options, option, optarg) < 0)
            return -1;
    }
    if (optind + 1 != argc)
        return usage_error(optind == argc ? "which pipeline?" : "one pipeline at a time");
    options->file = argv[optind];
    return 1;
}

/* --- the request --- */

static int put_uuids(const struct selection *selection, const struct pipeline *pipeline,
                     struct buf *out, struct err *e)
{
    auto_free uint32_t *steps = NULL;

    if (pipeline && selection_resolve(selection, pipeline, &steps, e) < 0)
        return -1;
    buf_putc(out, '[');
    for (uint32_t i = 0; i < selection->count; i++) {
        buf_puts(out, i > 0 ? "," : "");
        json_put_text(out, pipeline ? pipeline->steps[steps[i]].uuid : selection->steps[i]);
    }
    buf_putc(out, ']');
    return 0;
}

static int put_request(const struct options *options, const struct place *place,
                       const struct pipeline *pipeline, struct buf *body, struct err *e)
{
    buf_putc(body, '{');
    json_put_member(body, "project", place->project);
    json_put_member(body, "pipeline_path", place->pipeline_path);
    json_put_member(body, "run_type", run_type_name(options->selection.run_type));
    if (options->selection.count > 0) {
        json_put_key(body, "uuids");
        if (put_uuids(&options->selection, pipeline, body, e) < 0)
            return -1;
    }
    if (options->params.count > 0) {
        json_put_key(body, "parameters");
        if (params_put_json(&options->params, pipeline, body, e) < 0)
            return -1;
    }
    if (options->in_place)
        json_put_member_raw(body, "in_place", STR("true"));
    if (options->keep_kernels_s > 0)
        json_put_member_int(body, "keep_kernels", options->keep_kernels_s);
    if (options->timeout_s > 0)
        json_put_member_int(body, "timeout", options->timeout_s);
    buf_putc(body, '}');
    return 0;
}

/* The definition is read only where a step was named; the service reads it anyway. */
static int make_request(const struct client *client, const struct options *options,
                        struct place *place, struct buf *body, struct problems *problems,
                        struct err *e)
{
    auto_pipeline struct pipeline *pipeline = NULL;
    bool names_steps = options->selection.count > 0 || params_name_steps(&options->params);
    int result = place_find(client, options->file, options->project, names_steps, place, e);

    if (result == 0 && names_steps && place->local)
        result = pipeline_read(NULL, place->local, &pipeline, problems, e);
    return result < 0 ? result : put_request(options, place, pipeline, body, e);
}

static bool is_of_request(const char *pointer)
{
    static const char *const members[] = {"/project",  "/pipeline_path", "/run_type", "/uuids",
                                          "/in_place", "/keep_kernels",  "/timeout"};

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        size_t len = strlen(members[i]);
        if (strncmp(pointer, members[i], len) == 0 && (pointer[len] == 0 || pointer[len] == '/'))
            return true;
    }
    return false;
}

/* Whoever typed a command has not seen the request: its places mean nothing to them, those in the
 * definition do. */
static void drop_places(struct problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        struct problem *problem = &problems->items[i];
        if (!is_of_request(problem->pointer))
            continue;
        problem->pointer[0] = 0;
        problem->line = 0;
    }
}

static int ask(const struct client *client, const struct options *options,
               struct http_answer *answer, struct problems *problems, struct err *e)
{
    auto_place struct place place = {0};
    auto_buf struct buf body = {0};
    struct uuid key = uuid_random();

    if (make_request(client, options, &place, &body, problems, e) < 0)
        return -1;
    struct client_request request = {
        .path = "/api/v1/runs", .body = {body.data, body.len}, .key = key.text};
    if (client_ask(client, &request, answer, problems, e) == 0)
        return 0;
    drop_places(problems);
    return -1;
}

static int submit(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_problems struct problems problems = {0};
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0 ||
        ask(client, options, &answer, &problems, &e) < 0)
        return client_fail("submit", options->file, &problems, &e);
    return made_run(client, "submit", &answer, &options->made);
}

int cmd_submit(int argc, char **argv)
{
    struct options options = {0};
    int parsed = parse_options(&options, argc, argv);
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : submit(&options);

    selection_clear(&options.selection);
    params_clear(&options.params);
    return status;
}
