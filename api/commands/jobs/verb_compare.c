#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/run_pick.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: segue jobs compare RUN RUN [--json] " CLIENT_USAGE "\n"
    "\n"
    "Shows in what two runs differ: parameters, metrics, durations, outputs of cells.\n"
    "\n"
    "  RUN               a run's uuid, or its first characters, 4 at least; or latest\n"
    "  --json            all of it, as JSON\n" CLIENT_HELP;

/* Of both runs, for headings. */
struct names {
    char *a, *b;
};

static void names_clear(struct names *names)
{
    free(names->a);
    free(names->b);
}

static void print_runs(const struct json *doc, const struct names *names)
{
    const struct table_column columns[] = {{"RUN", 0}, {names->a, 7}, {names->b, 7}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_at a = json_get(doc, 0, "a"), b = json_get(doc, 0, "b");

    table_add(table, mem_strdup("pipeline"));
    table_add(table, run_doc_text(doc, a, "pipeline_name"));
    table_add(table, run_doc_text(doc, b, "pipeline_name"));
    table_add(table, mem_strdup("status"));
    table_add(table, job_text_status(doc, a));
    table_add(table, job_text_status(doc, b));
    table_add(table, mem_strdup("time"));
    table_add(table, job_text_duration(doc, a));
    table_add(table, job_text_duration(doc, b));
    table_print(table);
}

static json_at step_of(const struct json *doc, const char *uuid)
{
    json_each (doc, json_get(doc, 0, "steps"), step)
        if (json_is(doc, json_get(doc, step, "step_uuid"), uuid))
            return step;
    return JSON_NONE;
}

/* "Train:depth", or the name alone where it is the pipeline's. */
static char *name_of(const struct json *doc, json_at item)
{
    auto_free char *uuid = run_doc_text(doc, item, "step_uuid");
    auto_free char *name = run_doc_text(doc, item, "name");
    auto_free char *title = uuid ? run_doc_text(doc, step_of(doc, uuid), "title") : NULL;

    if (!uuid)
        return take_ptr(&name);
    return mem_printf("%s:%s", title ? title : uuid, name ? name : "?");
}

static void print_values(const struct json *doc, const char *group, const char *heading,
                         const struct names *names, uint32_t column_count)
{
    const struct table_column columns[] = {
        {heading, 10}, {names->a, 8}, {names->b, 8}, {"DIFFERENCE", 0}};
    auto_table struct table *table = table_new(columns, column_count);

    if (json_count(doc, json_get(doc, 0, group)) == 0)
        return;
    json_each (doc, json_get(doc, 0, group), item) {
        table_add(table, name_of(doc, item));
        table_add(table, job_text_value(doc, json_get(doc, item, "a")));
        table_add(table, job_text_value(doc, json_get(doc, item, "b")));
        if (column_count == sizeof columns / sizeof *columns)
            table_add(table, job_text_value(doc, json_get(doc, item, "delta")));
    }
    putchar('\n');
    table_print(table);
}

/* "2 of 7: 3, 5": cells are numbered from 1 for people. */
static char *cells_text(const struct json *doc, json_at step)
{
    int64_t total = run_doc_int(doc, step, "cells_total", 0);
    const char *between = ": ";
    auto_buf struct buf out = {0};

    if (total == 0)
        return NULL;
    buf_printf(&out, "%" PRId64 " of %" PRId64, run_doc_int(doc, step, "cells_changed", 0), total);
    json_each (doc, json_get(doc, step, "cells"), cell) {
        buf_printf(&out, "%s%" PRId64, between, run_doc_int(doc, cell, "index", 0) + 1);
        between = ", ";
    }
    return buf_take(&out);
}

static char *step_text(const struct json *doc, json_at run)
{
    auto_free char *status = run_doc_text(doc, run, "status");
    auto_free char *time = job_text_duration(doc, run);

    return time ? mem_printf("%s in %s", status ? status : "?", time) : take_ptr(&status);
}

static void print_steps(const struct json *doc, const struct names *names)
{
    const struct table_column columns[] = {
        {"STEP", 10}, {names->a, 7}, {names->b, 7}, {"CELLS THAT DIFFER", 10}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);

    json_each (doc, json_get(doc, 0, "steps"), step) {
        table_add(table, run_doc_label(doc, step));
        table_add(table, step_text(doc, json_get(doc, step, "a")));
        table_add(table, step_text(doc, json_get(doc, step, "b")));
        table_add(table, cells_text(doc, step));
    }
    putchar('\n');
    table_print(table);
}

static void print_all(const struct json *doc)
{
    auto_with(names_clear) struct names names = {
        run_doc_short_id(doc, json_get(doc, 0, "a"), "uuid"),
        run_doc_short_id(doc, json_get(doc, 0, "b"), "uuid")};

    print_runs(doc, &names);
    print_values(doc, "parameters", "PARAMETER", &names, 3);
    print_values(doc, "metrics", "METRIC", &names, 4);
    print_steps(doc, &names);
}

static int compare(const struct client *client, char *const *words, bool is_json, struct err *e)
{
    auto_json struct json doc = {0};
    auto_free char *a = run_pick(client, words[0], e);
    auto_free char *b = a ? run_pick(client, words[1], e) : NULL;

    if (!b)
        return -1;
    auto_free char *path = mem_printf("/api/v1/runs/%s/compare?to=%s", a, b);
    if (client_get(client, path, &doc, e) < 0)
        return -1;
    if (is_json)
        run_doc_print_line(&doc, 0);
    else
        print_all(&doc);
    return 0;
}

int verb_compare(int argc, char **argv)
{
    static const struct run_command command = {"jobs compare", HELP, RUN_FLAG_JSON, 2, 2, "runs"};
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
