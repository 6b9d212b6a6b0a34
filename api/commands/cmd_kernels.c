#include "api/commands/cmd_kernels.h"

#include "api/commands/client.h"
#include "api/commands/run_doc.h"
#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: segue kernels [--json] " CLIENT_USAGE "\n"
    "       segue kernels interrupt|restart|shutdown KERNEL " CLIENT_USAGE "\n"
    "\n"
    "Lists the kernels of the service: those of notebooks that people work with, and those of\n"
    "steps that run, or that failed and were kept (segue submit --keep-kernels).\n"
    "\n"
    "  interrupt         what it executes is interrupted\n"
    "  restart           it is started again; clients stay connected. Not for steps\n"
    "  shutdown          it is ended; of steps only one that was kept\n"
    "\n"
    "  KERNEL            a kernel's id, or so much of its beginning that only one begins so\n"
    "  --json            one kernel a line, as JSON\n" CLIENT_HELP;

enum kernels_option { OPTION_JSON = 1 };

enum action { ACTION_LIST, ACTION_INTERRUPT, ACTION_RESTART, ACTION_SHUTDOWN };

/* In the order of enum action; `rest` goes behind the kernel's path. */
static const struct verb {
    const char *name, *method, *rest, *done;
} VERBS[] = {
    [ACTION_INTERRUPT] = {"interrupt", "POST", "/interrupt", "is interrupted"},
    [ACTION_RESTART] = {"restart", "POST", "/restart", "is restarted"},
    [ACTION_SHUTDOWN] = {"shutdown", "DELETE", "", "is shut down"},
};

struct options {
    struct client_options client;
    enum action action;
    const char *kernel;
    bool is_json;
};

/* --- options --- */

static int usage_error(const char *text)
{
    fprintf(stderr, "segue kernels: %s\n(segue kernels --help tells more)\n", text);
    return -1;
}

static int take_words(struct options *options, char **words, int count)
{
    if (count == 0)
        return 1;
    for (enum action action = ACTION_INTERRUPT; action <= ACTION_SHUTDOWN; action++)
        if (strcmp(words[0], VERBS[action].name) == 0)
            options->action = action;
    if (options->action == ACTION_LIST)
        return usage_error("a kernel can be made to interrupt, restart or shutdown");
    if (count != 2)
        return usage_error(count == 1 ? "which kernel?" : "one kernel at a time");
    options->kernel = words[1];
    return 1;
}

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        if (option == 'h') {
            fputs(HELP, stdout);
            return 0;
        }
        if (option == OPTION_JSON)
            options->is_json = true;
        else if (!client_take_option(&options->client, option, optarg)) {
            fputs("(segue kernels --help tells more)\n", stderr);
            return -1;
        }
    }
    return take_words(options, argv + optind, argc - optind);
}

/* --- the list --- */

static const struct table_column COLUMNS[] = {
    {"KERNEL", 0}, {"STATUS", 0},  {"NAME", 8}, {"FOR", 12},
    {"USER", 0},   {"CLIENTS", 0}, {"IDLE", 0},
};

static char *status_of(const struct json *doc, json_at kernel)
{
    auto_free char *status = run_doc_text(doc, kernel, "status");
    bool is_kept = json_is_true(doc, json_get(doc, kernel, "is_kept"));

    return mem_printf("%s%s", status ? status : "?", is_kept ? ", kept" : "");
}

/* Whose: an environment of a project, or a step of a run. */
static char *purpose_of(const struct json *doc, json_at kernel)
{
    auto_free char *project = run_doc_text(doc, kernel, "project");
    auto_free char *environment = run_doc_text(doc, kernel, "environment");
    auto_free char *file = run_doc_text(doc, kernel, "file_path");
    auto_free char *run = run_doc_text(doc, kernel, "run_uuid");

    if (run)
        return mem_printf("run %.*s %s", RUN_SHORT, run, file ? file : "");
    if (project && environment)
        return mem_printf("%s: %s", project, environment);
    return project ? take_ptr(&project) : NULL;
}

/* How long ago something was heard of it, roughly. */
static char *age_of(const struct json *doc, json_at kernel, int64_t now_us)
{
    static const struct {
        int64_t least, unit;
        const char *name;
    } scales[] = {{2 * 86400, 86400, "d"}, {2 * 3600, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
    auto_free char *text = run_doc_text(doc, kernel, "last_activity");
    int64_t then_us = text ? time_text_parse(text) : -1;
    int64_t age = then_us < 0 || then_us > now_us ? 0 : (now_us - then_us) / 1000000;
    size_t i = 0;

    if (then_us < 0)
        return NULL;
    while (age < scales[i].least)
        i++;
    return mem_printf("%" PRId64 " %s", age / scales[i].unit, scales[i].name);
}

static void add_kernel(struct table *list, const struct json *doc, json_at kernel)
{
    table_add(list, run_doc_short_id(doc, kernel, "id"));
    table_add(list, status_of(doc, kernel));
    table_add(list, run_doc_text(doc, kernel, "name"));
    table_add(list, purpose_of(doc, kernel));
    table_add(list, run_doc_text(doc, kernel, "username"));
    table_add(list, mem_printf("%" PRId64, run_doc_int(doc, kernel, "connections", 0)));
    table_add(list, age_of(doc, kernel, clock_wall_us()));
}

static void show_table(const struct json *doc, json_at kernels)
{
    auto_table struct table *list = table_new(COLUMNS, sizeof COLUMNS / sizeof *COLUMNS);

    json_each (doc, kernels, kernel)
        add_kernel(list, doc, kernel);
    table_print(list);
}

static int ask_kernels(const struct client *client, struct json *ret_doc, json_at *ret_kernels,
                       struct err *e)
{
    if (client_get(client, "/api/v1/kernels", ret_doc, e) < 0)
        return -1;
    *ret_kernels = json_get(ret_doc, 0, "kernels");
    return 0;
}

static int list_kernels(const struct client *client, const struct options *options, struct err *e)
{
    auto_json struct json doc = {0};
    json_at kernels;

    if (ask_kernels(client, &doc, &kernels, e) < 0)
        return -1;
    if (options->is_json)
        run_doc_print_lines(&doc, kernels);
    else
        show_table(&doc, kernels);
    return 0;
}

/* --- one kernel --- */

static char *lower(const char *word)
{
    char *text = mem_strdup(word);

    for (char *p = text; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return text;
}

/* The only kernel that begins so. */
static int pick(const struct json *doc, json_at kernels, const char *word, json_at *ret_kernel,
                char **ret_id, struct err *e)
{
    auto_free char *beginning = lower(word);
    auto_free char *found = NULL;

    json_each (doc, kernels, kernel) {
        auto_free char *id = run_doc_text(doc, kernel, "id");
        if (!id || strncmp(id, beginning, strlen(beginning)) != 0)
            continue;
        if (found)
            return err_set(e, ERR_INVALID, "\"%s\" may be kernel %s or %s, or more: say more of it",
                           word, found, id);
        found = take_ptr(&id);
        *ret_kernel = kernel;
    }
    if (!found)
        return err_set(e, ERR_NOT_FOUND, "there is no kernel \"%s\"", word);
    *ret_id = take_ptr(&found);
    return 0;
}

/* A step cannot do without its kernel, nor go on with another one. */
static int check_action(const struct json *doc, json_at kernel, enum action action, struct err *e)
{
    auto_free char *run = run_doc_text(doc, kernel, "run_uuid");
    bool is_kept = json_is_true(doc, json_get(doc, kernel, "is_kept"));

    if (!run || action == ACTION_INTERRUPT || (action == ACTION_SHUTDOWN && is_kept))
        return 0;
    return err_set(e, ERR_CONFLICT,
                   is_kept ? "the step of this kernel has failed: `segue rerun %.*s` runs it again"
                           : "a step runs in this kernel: `segue cancel %.*s` stops its run",
                   RUN_SHORT, run);
}

static int act(const struct client *client, const struct options *options, struct err *e)
{
    const struct verb *verb = &VERBS[options->action];
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *id = NULL;
    json_at kernels, kernel = JSON_NONE;

    if (ask_kernels(client, &doc, &kernels, e) < 0 ||
        pick(&doc, kernels, options->kernel, &kernel, &id, e) < 0 ||
        check_action(&doc, kernel, options->action, e) < 0)
        return -1;
    auto_free char *path = mem_printf("/api/kernels/%s%s", id, verb->rest);
    struct client_request request = {.method = verb->method, .path = path};
    if (client_ask(client, &request, &answer, NULL, e) < 0)
        return -1;
    printf("kernel %.*s %s\n", RUN_SHORT, id, verb->done);
    return 0;
}

static int kernels(const struct options *options)
{
    auto_client struct client *client = NULL;
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("kernels", NULL, NULL, &e);
    int result = options->action == ACTION_LIST ? list_kernels(client, options, &e)
                                                : act(client, options, &e);
    return result < 0 ? client_fail("kernels", NULL, NULL, &e) : EXIT_DONE;
}

int cmd_kernels(int argc, char **argv)
{
    struct options options = {0};
    int parsed = parse_options(&options, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : kernels(&options);
}
