#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/screen.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_MOST 1000000

/* Characters: a number has as many, and of a name it is enough to know it by. */
#define VALUE_LEAST 12

static const char HELP[] =
    "usage: segue jobs results JOB [--fire N|all] [--sort KEY|-KEY] [--limit N] [--csv | --json]\n"
    "                          " CLIENT_USAGE "\n"
    "\n"
    "Shows what the runs of a job reported (segue.log_metric) beside what they were given: best\n"
    "first, where the job has an objective.\n"
    "\n"
    "  --fire N          of that fire; all: of all. Default: the latest\n"
    "  --sort KEY        by that column, ascending; -KEY: descending; also number, duration\n"
    "  --limit N         at most so many rows; default: 100, and with --csv all\n"
    "  --csv, --json     for programs\n" CLIENT_HELP;

enum results_option { OPTION_FIRE = 1, OPTION_SORT, OPTION_LIMIT, OPTION_CSV, OPTION_JSON };

struct options {
    struct client_options client;
    const char *fire, *sort; /* NULL: not said */
    const char *format;      /* NULL: for people */
    unsigned long limit;     /* 0: not said */
};

/* --- columns --- */

enum kind { COLUMN_SET, COLUMN_FIRE, COLUMN_VALUE, COLUMN_STATUS, COLUMN_TIME, COLUMN_RUN };

struct column {
    enum kind kind;
    const char *group; /* of a value: "parameters", "metrics" or "reported" */
    char *heading;     /* of a value: its key in the rows */
    bool is_objective;
    int least; /* characters that it may be cut to; 0: it is not cut */
    int width; /* characters that it needs at least */
};

struct columns {
    struct column *items;
    uint32_t count, capacity;
    uint32_t left_out;
};

static void columns_clear(struct columns *columns)
{
    for (uint32_t i = 0; i < columns->count; i++)
        free(columns->items[i].heading);
    free(columns->items);
}

static char *cell_text(const struct json *doc, json_at row, const struct column *column)
{
    switch (column->kind) {
    case COLUMN_SET:
        return mem_printf("%" PRId64, run_doc_int(doc, row, "number", 0));
    case COLUMN_FIRE:
        return mem_printf("%" PRId64, run_doc_int(doc, row, "fire", 0));
    case COLUMN_VALUE:
        return job_text_value(doc,
                              json_get(doc, json_get(doc, row, column->group), column->heading));
    case COLUMN_STATUS:
        return job_text_status(doc, row);
    case COLUMN_TIME:
        return job_text_duration(doc, row);
    case COLUMN_RUN:
        return run_doc_short_id(doc, row, "run_uuid");
    }
    return NULL;
}

static void measure(const struct json *doc, struct column *column)
{
    column->width = shown_width(column->heading);
    json_each (doc, json_get(doc, 0, "rows"), row) {
        auto_free char *text = cell_text(doc, row, column);
        int width = shown_width(text ? text : "-") + (column->kind == COLUMN_SET);
        column->width = width > column->width ? width : column->width;
    }
    if (column->least > 0 && column->width > column->least)
        column->width = column->least;
}

static struct column *add_column(struct columns *columns, enum kind kind, char *take_heading,
                                 int least)
{
    mem_grow(columns->items, columns->count, columns->capacity);
    struct column *column = &columns->items[columns->count++];
    *column = (struct column){.kind = kind, .heading = take_heading, .least = least};
    return column;
}

/* The objective is what the table is about: it stands first among the metrics. */
static void add_values(const struct json *doc, const char *group, bool is_objective,
                       struct columns *columns)
{
    auto_free char *metric = run_doc_text(doc, json_get(doc, 0, "objective"), "metric");
    bool is_metrics = strcmp(group, "metrics") == 0;

    json_each (doc, json_get(doc, json_get(doc, 0, "columns"), group), item) {
        auto_free char *key = run_doc_text(doc, item, "key");
        bool is_it = is_metrics && metric && key && strcmp(metric, key) == 0;
        if (!key || is_it != is_objective)
            continue;
        struct column *column = add_column(columns, COLUMN_VALUE, take_ptr(&key), VALUE_LEAST);
        column->group = group;
        column->is_objective = is_it;
    }
}

/* One that can be done without: the last one of the values, but for the objective. */
static bool leave_one_out(struct columns *columns)
{
    for (uint32_t i = columns->count; i-- > 0;) {
        const struct column *column = &columns->items[i];
        if (column->kind != COLUMN_VALUE || column->is_objective)
            continue;
        free(column->heading);
        memmove(&columns->items[i], &columns->items[i + 1],
                (columns->count - i - 1) * sizeof *columns->items);
        columns->count--;
        columns->left_out++;
        return true;
    }
    return false;
}

static int width_of(const struct columns *columns)
{
    int width = 0;

    for (uint32_t i = 0; i < columns->count; i++)
        width += columns->items[i].width + (i > 0 ? 2 : 0);
    return width;
}

static void make_columns(const struct json *doc, int screen, struct columns *columns)
{
    add_column(columns, COLUMN_SET, mem_strdup("SET"), 0);
    if (json_is(doc, json_get(doc, 0, "fire"), "all"))
        add_column(columns, COLUMN_FIRE, mem_strdup("FIRE"), 0);
    add_values(doc, "parameters", false, columns);
    add_values(doc, "metrics", true, columns);
    add_values(doc, "metrics", false, columns);
    add_values(doc, "reported", false, columns);
    add_column(columns, COLUMN_STATUS, mem_strdup("STATUS"), 7);
    add_column(columns, COLUMN_TIME, mem_strdup("TIME"), 0);
    add_column(columns, COLUMN_RUN, mem_strdup("RUN"), 0);
    for (uint32_t i = 0; i < columns->count; i++)
        measure(doc, &columns->items[i]);
    while (screen > 0 && width_of(columns) > screen && leave_one_out(columns))
        ;
}

/* --- the table --- */

/* The first row is the best one when the rows are sorted by the objective, and it has that metric.
 */
static bool has_best(const struct json *doc, const struct columns *columns, const char *sort)
{
    json_at first = json_item(doc, json_get(doc, 0, "rows"), 0);

    if (sort || !json_is(doc, json_get(doc, first, "status"), "SUCCESS"))
        return false;
    for (uint32_t i = 0; i < columns->count; i++)
        if (columns->items[i].is_objective) {
            json_at value =
                json_get(doc, json_get(doc, first, "metrics"), columns->items[i].heading);
            return json_kind(doc, value) == JSON_NUMBER;
        }
    return false;
}

static void add_row(struct table *table, const struct json *doc, json_at row,
                    const struct columns *columns, bool is_best)
{
    for (uint32_t i = 0; i < columns->count; i++) {
        char *text = cell_text(doc, row, &columns->items[i]);
        if (is_best && columns->items[i].kind == COLUMN_SET) {
            char *marked = mem_printf("%s*", text);
            free(text);
            text = marked;
        }
        table_add(table, text);
    }
}

static void print_notes(const struct json *doc, const struct columns *columns, bool is_best)
{
    json_at objective = json_get(doc, 0, "objective");
    auto_free char *metric = run_doc_text(doc, objective, "metric");
    bool is_least = json_is(doc, json_get(doc, objective, "goal"), "min");
    int64_t total = run_doc_int(doc, 0, "total", 0);
    uint32_t shown = json_count(doc, json_get(doc, 0, "rows"));
    auto_buf struct buf out = {0};

    if (is_best) {
        buf_printf(&out, "* the best: the %s ", is_least ? "lowest" : "highest");
        shown_put(&out, metric);
        buf_putc(&out, '\n');
    }
    if (columns->left_out > 0)
        buf_printf(&out, "(%" PRIu32 " more columns than fit here: --csv has them)\n",
                   columns->left_out);
    if (total > shown)
        buf_printf(&out, "(%" PRIu32 " of %" PRId64 " rows: --limit or --csv gives more)\n", shown,
                   total);
    fputs(buf_text(&out), stdout);
}

static void print_results(const struct json *doc, const char *sort)
{
    auto_with(columns_clear) struct columns columns = {0};

    make_columns(doc, screen_width(), &columns);
    auto_free struct table_column *shown = mem_array(columns.count, sizeof *shown);
    for (uint32_t i = 0; i < columns.count; i++)
        shown[i] = (struct table_column){columns.items[i].heading, columns.items[i].least};
    auto_table struct table *table = table_new(shown, columns.count);
    bool is_best = has_best(doc, &columns, sort), is_first = true;
    json_each (doc, json_get(doc, 0, "rows"), row) {
        add_row(table, doc, row, &columns, is_best && is_first);
        is_first = false;
    }
    table_print(table);
    print_notes(doc, &columns, is_best);
}

/* --- asking --- */

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
        buf_printf(&rest, "&limit=%lu", options->limit);
    if (options->format)
        buf_printf(&rest, "&format=%s", options->format);
    return job_ask(client, "GET", uuid, buf_text(&rest), (struct str){0}, answer, NULL, e);
}

static int show(const struct client *client, const struct options *options, const char *uuid,
                struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};

    if (ask(client, options, uuid, &answer, e) < 0)
        return -1;
    if (options->format && strcmp(options->format, "csv") == 0) {
        fwrite(buf_text(&answer.body), 1, answer.body.len, stdout);
        return 0;
    }
    if (client_read(&answer, &doc, e) < 0)
        return -1;
    if (options->format)
        run_doc_print_line(&doc, 0);
    else
        print_results(&doc, options->sort);
    return 0;
}

int jobs_print_results(const struct client *client, const char *job_uuid, const char *fire,
                       struct err *e)
{
    const struct options options = {.fire = fire};

    return show(client, &options, job_uuid, e);
}

/* --- options --- */

static int usage_error(const char *text)
{
    fprintf(stderr, "segue jobs results: %s\n", text);
    return -1;
}

static int take_format(struct options *options, const char *format)
{
    if (options->format && strcmp(options->format, format) != 0)
        return usage_error("--csv and --json exclude each other");
    options->format = format;
    return 0;
}

static int take_limit(struct options *options, const char *value)
{
    char *end;

    options->limit = strtoul(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || options->limit < 1 ||
        options->limit > LIMIT_MOST)
        return usage_error("--limit is a number from 1 to 1000000");
    return 0;
}

static int take_option(void *user, int option, const char *value)
{
    struct options *options = user;

    switch (option) {
    case OPTION_FIRE:
        options->fire = value;
        return 0;
    case OPTION_SORT:
        options->sort = value;
        return 0;
    case OPTION_LIMIT:
        return take_limit(options, value);
    case OPTION_CSV:
        return take_format(options, "csv");
    case OPTION_JSON:
        return take_format(options, "json");
    default:
        client_take_option(&options->client, option, value);
        return 0;
    }
}

int verb_results(int argc, char **argv)
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
    static const struct jobs_args args = {"jobs results", HELP, "h", table,
                                          take_option,    1,    1,   "job"};
    auto_client struct client *client = NULL;
    struct options options = {0};
    struct err e;
    int parsed = jobs_args_parse(&args, &options, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0)
        return client_fail("jobs results", NULL, NULL, &e);
    auto_free char *uuid = job_pick(client, argv[optind], &e);
    if (!uuid || show(client, &options, uuid, &e) < 0)
        return client_fail("jobs results", NULL, NULL, &e);
    return EXIT_DONE;
}
