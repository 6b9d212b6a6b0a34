#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/run_pick.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char RESULTS_HELP[] =
    "usage: segue jobs results JOB [--fire N|all] [--sort KEY|-KEY] [--limit N] [--csv | --json]\n"
    "\n"
    "Shows what the runs of a job reported (segue.log_metric) beside what they were given: best\n"
    "first, where the job has an objective.\n"
    "\n"
    "  --fire N          of that fire; all: of all. Default: the latest\n"
    "  --sort KEY        by that column, ascending; -KEY: descending\n"
    "  --limit N         at most so many rows\n"
    "  --csv, --json     for programs\n" CLIENT_HELP;

static const char COMPARE_HELP[] =
    "usage: segue jobs compare RUN RUN [--json]\n"
    "\n"
    "Shows in what two runs differ: parameters, metrics, durations, outputs of cells.\n"
    "\n"
    "  --json            all of it, as JSON\n" CLIENT_HELP;

enum results_option { OPTION_FIRE = 1, OPTION_SORT, OPTION_LIMIT, OPTION_CSV, OPTION_JSON };

struct options {
    struct client_options client;
    const char *job, *fire, *sort;
    const char *format; /* NULL: for people */
    uint32_t limit;
};

/* --- the table --- */

static char *value_text(const struct json *doc, json_at value)
{
    auto_buf struct buf out = {0};
    double number;

    if (json_kind(doc, value) == JSON_ABSENT || json_kind(doc, value) == JSON_NULL)
        return NULL;
    if (json_kind(doc, value) == JSON_STRING)
        return json_strdup(doc, value);
    struct str raw = json_raw(doc, value);
    if (json_kind(doc, value) == JSON_NUMBER && raw.len > 8 && json_double(doc, value, &number))
        buf_printf(&out, "%.6g", number);
    else
        json_write(doc, value, JSON_COMPACT, 0, &out);
    return buf_take(&out);
}

static char *duration_text(const struct json *doc, json_at row)
{
    auto_buf struct buf out = {0};
    double seconds;

    if (!json_double(doc, json_get(doc, row, "duration"), &seconds))
        return NULL;
    shown_put_duration(&out, (msec)(seconds * 1000));
    char *text = buf_take(&out);
    size_t blanks = strspn(text, " ");
    memmove(text, text + blanks, strlen(text + blanks) + 1);
    return text;
}

static char *state_text(const struct json *doc, json_at row)
{
    auto_free char *status = run_doc_text(doc, row, "status");
    auto_free char *cause = run_doc_text(doc, row, "cause");

    return cause && *cause ? mem_printf("%s (%s)", status, cause) : take_ptr(&status);
}

static char *run_text(const struct json *doc, json_at row)
{
    char *run = run_doc_text(doc, row, "run_uuid");

    if (run && strlen(run) > RUN_SHORT)
        run[RUN_SHORT] = 0;
    return run;
}

struct columns {
    struct table_column *items;
    char **headings;
    uint32_t count;
};

static void add_column(struct columns *columns, char *take_heading, int least)
{
    columns->items = mem_resize(columns->items, columns->count + 1, sizeof *columns->items);
    columns->headings =
        mem_resize(columns->headings, columns->count + 2, sizeof *columns->headings);
    columns->headings[columns->count] = take_heading;
    columns->headings[columns->count + 1] = NULL;
    columns->items[columns->count++] = (struct table_column){take_heading, least};
}

static void columns_clear(struct columns *columns)
{
    free(columns->items);
    mem_free_texts(columns->headings);
}

static json_at columns_of(const struct json *doc, const char *group)
{
    return json_get(doc, json_get(doc, 0, "columns"), group);
}

static const char *const GROUPS[] = {"parameters", "reported", "metrics"};
#define GROUP_COUNT (sizeof GROUPS / sizeof *GROUPS)

static void make_columns(const struct json *doc, struct columns *columns)
{
    add_column(columns, mem_strdup("SET"), 0);
    for (size_t i = 0; i < GROUP_COUNT; i++)
        json_each (doc, columns_of(doc, GROUPS[i]), column)
            add_column(columns, run_doc_text(doc, column, "key"), 8);
    add_column(columns, mem_strdup("STATUS"), 0);
    add_column(columns, mem_strdup("TIME"), 0);
    add_column(columns, mem_strdup("RUN"), 0);
}

static void add_row(struct table *table, const struct json *doc, json_at row, bool is_best)
{
    table_add(table,
              mem_printf("%s%" PRId64, is_best ? "*" : "", run_doc_int(doc, row, "number", 0)));
    for (size_t i = 0; i < GROUP_COUNT; i++)
        json_each (doc, columns_of(doc, GROUPS[i]), column) {
            auto_free char *key = run_doc_text(doc, column, "key");
            json_at values = json_get(doc, row, GROUPS[i]);
            table_add(table, value_text(doc, json_get(doc, values, key ? key : "")));
        }
    table_add(table, state_text(doc, row));
    table_add(table, duration_text(doc, row));
    table_add(table, run_text(doc, row));
}

/* The first row is the best one when the rows are sorted by the objective, and it has that metric.
 */
static bool has_best(const struct json *doc, const char *sort)
{
    json_at objective = json_get(doc, 0, "objective");
    json_at first = json_item(doc, json_get(doc, 0, "rows"), 0);
    auto_free char *metric = run_doc_text(doc, objective, "metric");
    auto_free char *key = run_doc_text(doc, objective, "key");

    if (!metric || sort || !json_is(doc, json_get(doc, first, "status"), "SUCCESS"))
        return false;
    json_at value = json_get(doc, json_get(doc, first, "metrics"), key ? key : metric);
    return json_kind(doc, value) == JSON_NUMBER;
}

static void print_table(const struct json *doc, const char *sort)
{
    __attribute__((cleanup(columns_clear))) struct columns columns = {0};
    auto_buf struct buf out = {0};
    bool is_best = has_best(doc, sort);

    make_columns(doc, &columns);
    auto_table struct table *table = table_new(columns.items, columns.count);
    json_each (doc, json_get(doc, 0, "rows"), row) {
        add_row(table, doc, row, is_best);
        is_best = false;
    }
    table_put(table, table_screen_width(), &out);
    fwrite(out.data, 1, out.len, stdout);
}

static int ask(const struct client *client, const struct options *options, const char *uuid,
               struct http_answer *answer, struct err *e)
{
    auto_buf struct buf rest = {0};

    buf_puts(&rest, "/results?fire=");
    http_put_escaped(&rest, str_of(options->fire ? options->fire : "latest"));
    if (options->sort) {
        buf_puts(&rest, "&sort=");
        http_put_escaped(&rest, str_of(options->sort));
    }
    if (options->limit > 0)
        buf_printf(&rest, "&limit=%u", options->limit);
    if (options->format)
        buf_printf(&rest, "&format=%s", options->format);
    return job_ask(client, "GET", uuid, buf_text(&rest), (struct str){0}, answer, NULL, e);
}

static void print_more(const struct json *doc)
{
    int64_t total = run_doc_int(doc, 0, "total", 0);
    uint32_t shown = json_count(doc, json_get(doc, 0, "rows"));

    if (total > shown)
        printf("(%u of %" PRId64 " rows: --limit and --csv give more)\n", shown, total);
}

static int print_results(const struct client *client, const struct options *options,
                         const char *uuid, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};

    if (ask(client, options, uuid, &answer, e) < 0)
        return -1;
    if (options->format) {
        fwrite(answer.body.data, 1, answer.body.len, stdout);
        if (strcmp(options->format, "json") == 0)
            putchar('\n');
        return 0;
    }
    if (client_read(&answer, &doc, e) < 0)
        return -1;
    print_table(&doc, options->sort);
    print_more(&doc);
    return 0;
}

int jobs_print_results(const struct client *client, const char *job_uuid, const char *fire,
                       const char *sort, uint32_t limit, struct err *e)
{
    const struct options options = {.fire = fire, .sort = sort, .limit = limit};

    return print_results(client, &options, job_uuid, e);
}

static int take_option(struct options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_FIRE:
        options->fire = value;
        return 0;
    case OPTION_SORT:
        options->sort = value;
        return 0;
    case OPTION_LIMIT:
        options->limit = (uint32_t)strtoul(value, NULL, 10);
        return options->limit > 0 ? 0 : -1;
    case OPTION_CSV:
        options->format = "csv";
        return 0;
    case OPTION_JSON:
        options->format = "json";
        return 0;
    default:
        return client_take_option(&options->client, option, value) ? 0 : -1;
    }
}

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        {"fire", required_argument, NULL, OPTION_FIRE},
        {"sort", required_argument, NULL, OPTION_SORT},
        {"limit", required_argument, NULL, OPTION_LIMIT},
        {"csv", no_argument, NULL, OPTION_CSV},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        if (option == 'h') {
            fputs(RESULTS_HELP, stdout);
            return 0;
        }
        if (take_option(options, option, optarg) < 0) {
            fputs("(segue jobs results --help tells more)\n", stderr);
            return -1;
        }
    }
    if (optind + 1 == argc) {
        options->job = argv[optind];
        return 1;
    }
    fprintf(stderr, "segue jobs results: %s\n", optind == argc ? "which job?" : "one at a time");
    return -1;
}

int verb_results(int argc, char **argv)
{
    auto_client struct client *client = NULL;
    struct options options = {0};
    struct err e;
    int parsed = parse_options(&options, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0)
        return client_fail("jobs results", NULL, NULL, &e);
    auto_free char *uuid = job_pick(client, options.job, &e);
    if (!uuid || print_results(client, &options, uuid, &e) < 0)
        return client_fail("jobs results", NULL, NULL, &e);
    return EXIT_DONE;
}

/* --- two runs --- */

static void print_differing(const struct json *doc, const char *group)
{
    static const struct table_column columns[] = {{"", 10}, {"A", 10}, {"B", 10}, {"B - A", 0}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_buf struct buf out = {0};

    if (json_count(doc, json_get(doc, 0, group)) == 0)
        return;
    json_each (doc, json_get(doc, 0, group), item) {
        auto_free char *title = run_doc_text(doc, item, "title");
        auto_free char *name = run_doc_text(doc, item, "name");
        table_add(table, mem_printf("%s%s%s", title ? title : "", title ? ":" : "", name));
        table_add(table, value_text(doc, json_get(doc, item, "a")));
        table_add(table, value_text(doc, json_get(doc, item, "b")));
        table_add(table, value_text(doc, json_get(doc, item, "delta")));
    }
    printf("%s\n", group);
    table_put(table, table_screen_width(), &out);
    fwrite(out.data, 1, out.len, stdout);
    putchar('\n');
}

static void print_steps(const struct json *doc)
{
    static const struct table_column columns[] = {{"STEP", 10}, {"A", 0}, {"", 0},
                                                  {"B", 0},     {"", 0},  {"CELLS CHANGED", 0}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_buf struct buf out = {0};

    json_each (doc, json_get(doc, 0, "steps"), step) {
        table_add(table, run_doc_label(doc, step));
        for (const char *side = "a"; side; side = *side == 'a' ? "b" : NULL) {
            json_at run = json_get(doc, step, side);
            table_add(table, run_doc_text(doc, run, "status"));
            table_add(table, duration_text(doc, run));
        }
        table_add(table,
                  mem_printf("%" PRId64 " of %" PRId64, run_doc_int(doc, step, "cells_changed", 0),
                             run_doc_int(doc, step, "cells_total", 0)));
    }
    table_put(table, table_screen_width(), &out);
    fwrite(out.data, 1, out.len, stdout);
}

static int compare(const struct client *client, char *const *words, bool is_json, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *a = run_pick(client, words[0], e);
    auto_free char *b = a ? run_pick(client, words[1], e) : NULL;

    if (!b)
        return -1;
    auto_free char *path = mem_printf("/api/v1/runs/%s/compare?to=%s", a, b);
    struct client_request request = {.path = path};
    if (client_ask(client, &request, &answer, NULL, e) < 0)
        return -1;
    if (is_json) {
        puts(buf_text(&answer.body));
        return 0;
    }
    if (client_read(&answer, &doc, e) < 0)
        return -1;
    print_differing(&doc, "parameters");
    print_differing(&doc, "metrics");
    print_steps(&doc);
    return 0;
}

int verb_compare(int argc, char **argv)
{
    static const struct run_command command = {"jobs compare", COMPARE_HELP, RUN_FLAG_JSON, 2, 2,
                                               "run"};
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, &command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 ||
        compare(client, options.words, options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail("jobs compare", NULL, NULL, &e);
    return EXIT_DONE;
}
