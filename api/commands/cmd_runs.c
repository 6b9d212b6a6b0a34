#include "api/commands/cmd_runs.h"

#include "api/commands/client.h"
#include "api/commands/run_doc.h"
#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>

#define LIMIT_DEFAULT 50
#define LIMIT_MOST    1000000
#define PAGE_MOST     1000 /* as many as the service gives at a time */

static const char HELP[] =
    "usage: segue runs [--status STATUS]... [--project PROJECT] [--limit N] [--json]\n"
    "                  " CLIENT_USAGE "\n"
    "\n"
    "Lists runs of the service, newest first.\n"
    "\n"
    "  --status STATUS   only those that are PENDING, STARTED, SUCCESS, FAILURE or ABORTED;\n"
    "                    repeat for more\n"
    "  --project PROJECT only those of this project, named by its path below the service's\n"
    "                    projects directory\n"
    "  --limit N         at most N, 50 if not said\n"
    "  --json            one run a line, as JSON\n" CLIENT_HELP;

enum runs_option { OPTION_STATUS = 1, OPTION_PROJECT, OPTION_LIMIT, OPTION_JSON };

struct options {
    struct client_options client;
    bool statuses[STATUS_COUNT];
    const char *project;
    int64_t limit;
    bool is_json;
};

static int usage_error(const char *text)
{
    fprintf(stderr, "segue runs: %s\n(segue runs --help tells more)\n", text);
    return -1;
}

static int take_status(struct options *options, const char *value)
{
    auto_free char *name = mem_strdup(value);
    enum status status;
    struct err e;

    for (char *p = name; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    if (status_parse(name, &status, &e) < 0)
        return usage_error("--status is PENDING, STARTED, SUCCESS, FAILURE or ABORTED");
    options->statuses[status] = true;
    return 0;
}

static int take_limit(struct options *options, const char *value)
{
    char *end;
    unsigned long limit = strtoul(value, &end, 10);

    if (!isdigit((unsigned char)*value) || *end || limit < 1 || limit > LIMIT_MOST)
        return usage_error("--limit is a number from 1 to 1000000");
    options->limit = (int64_t)limit;
    return 0;
}

static int take_option(struct options *options, int option, const char *value)
{
    if (client_take_option(&options->client, option, value))
        return 0;
    switch (option) {
    case OPTION_STATUS:
        return take_status(options, value);
    case OPTION_PROJECT:
        options->project = value;
        return 0;
    case OPTION_LIMIT:
        return take_limit(options, value);
    case OPTION_JSON:
        options->is_json = true;
        return 0;
    default:
        fputs("(segue runs --help tells more)\n", stderr);
        return -1;
    }
}

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        {"status", required_argument, NULL, OPTION_STATUS},
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"limit", required_argument, NULL, OPTION_LIMIT},
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
        if (take_option(options, option, optarg) < 0)
            return -1;
    }
    return optind == argc ? 1 : usage_error("it takes options only");
}

/* --- asking --- */

static char *path_of_page(const struct options *options, int64_t left, const char *cursor)
{
    struct buf path = {0};
    const char *separator = "&status=";

    buf_printf(&path, "/api/v1/runs?limit=%" PRId64, left < PAGE_MOST ? left : PAGE_MOST);
    for (int i = 0; i < STATUS_COUNT; i++) {
        if (!options->statuses[i])
            continue;
        buf_printf(&path, "%s%s", separator, status_name((enum status)i));
        separator = ",";
    }
    if (options->project) {
        buf_puts(&path, "&project=");
        http_put_escaped(&path, str_of(options->project));
    }
    if (cursor) {
        buf_puts(&path, "&cursor=");
        http_put_escaped(&path, str_of(cursor));
    }
    return buf_take(&path);
}

/* As many of the page as are still wanted. */
static void take_page(const struct options *options, const struct json *doc, struct table *list,
                      int64_t *left)
{
    json_each (doc, json_get(doc, 0, "runs"), run) {
        if (*left == 0)
            return;
        (*left)--;
        if (options->is_json)
            run_doc_print_line(doc, run);
        else
            run_doc_add(list, doc, run, clock_wall_us());
    }
}

static int list_runs(const struct options *options, const struct client *client, struct table *list,
                     struct err *e)
{
    int64_t left = options->limit;
    auto_free char *cursor = NULL;

    do {
        auto_json struct json doc = {0};
        auto_free char *path = path_of_page(options, left, cursor);
        if (client_get(client, path, &doc, e) < 0)
            return -1;
        take_page(options, &doc, list, &left);
        free(cursor);
        cursor = run_doc_text(&doc, 0, "next_cursor");
    } while (cursor && left > 0);
    return 0;
}

static int runs(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_table struct table *list = run_doc_list_new();
    struct err e;

    if (client_new(&client, &options->client, &e) < 0 || list_runs(options, client, list, &e) < 0)
        return client_fail("runs", NULL, NULL, &e);
    if (!options->is_json)
        table_print(list);
    return EXIT_DONE;
}

int cmd_runs(int argc, char **argv)
{
    struct options options = {.limit = LIMIT_DEFAULT};
    int parsed = parse_options(&options, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : runs(&options);
}
