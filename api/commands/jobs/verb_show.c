#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

static const char LIST_HELP[] =
    "usage: segue jobs [list] [--project PROJECT] [--json] " CLIENT_USAGE "\n"
    "\n"
    "Lists the jobs of the service, newest first.\n"
    "\n"
    "  --project PROJECT only those of this project, named by its path below the service's\n"
    "                    projects directory\n"
    "  --json            one job a line, as JSON\n" CLIENT_HELP;

static const char SHOW_HELP[] = "usage: segue jobs show JOB [--json] " CLIENT_USAGE "\n"
                                "\n"
                                "Shows a job: what it runs, when, and how far it is.\n"
                                "\n"
                                "  --json            the job as JSON\n" CLIENT_HELP;

static const char FIRES_HELP[] =
    "usage: segue jobs fires JOB [--json] " CLIENT_USAGE "\n"
    "\n"
    "Lists the times that a job was due or triggered, newest first: the last hundred.\n"
    "\n"
    "  --json            one a line, as JSON\n" CLIENT_HELP;

static char *counts_of(const struct json *doc, json_at fire)
{
    auto_buf struct buf out = {0};

    if (json_kind(doc, fire) != JSON_OBJECT)
        return NULL;
    job_text_put_counts(doc, fire, "", &out);
    return buf_take(&out);
}

/* --- the list --- */

struct list_options {
    struct client_options client;
    const char *project;
    bool is_json;
};

enum list_option { OPTION_PROJECT = 1, OPTION_JSON };

static int take_list_option(void *user, int option, const char *value)
{
    struct list_options *options = user;

    if (option == OPTION_PROJECT)
        options->project = value;
    else if (option == OPTION_JSON)
        options->is_json = true;
    else
        client_take_option(&options->client, option, value);
    return 0;
}

static void add_job(struct table *table, const struct json *doc, json_at job)
{
    json_at schedule = json_get(doc, job, "schedule");

    table_add(table, run_doc_short_id(doc, job, "uuid"));
    table_add(table, run_doc_text(doc, job, "name"));
    table_add(table, run_doc_text(doc, job, "status"));
    table_add(table, counts_of(doc, json_get(doc, job, "latest_fire")));
    table_add(table, run_doc_text(doc, schedule, "words"));
    table_add(table, job_text_next(doc, json_item(doc, json_get(doc, schedule, "next"), 0)));
}

struct listing {
    const struct list_options *options;
    struct table *table;
};

static int add_page(void *user, const struct json *doc, struct err *e)
{
    const struct listing *listing = user;
    json_at jobs = json_get(doc, 0, "jobs");

    (void)e;
    if (listing->options->is_json)
        run_doc_print_lines(doc, jobs);
    else
        json_each (doc, jobs, job)
            add_job(listing->table, doc, job);
    return 0;
}

static int list_all(const struct client *client, const struct list_options *options,
                    struct table *table, struct err *e)
{
    struct listing listing = {options, table};
    auto_buf struct buf path = {0};

    buf_puts(&path, "/api/v1/jobs?limit=200");
    if (options->project) {
        buf_puts(&path, "&project=");
        http_put_escaped(&path, str_of(options->project));
    }
    return client_each_page(client, buf_text(&path), add_page, &listing, e);
}

static int list(const struct list_options *options)
{
    static const struct table_column columns[] = {
        {"JOB", 0}, {"NAME", 8}, {"STATUS", 0}, {"SETS DONE", 7}, {"RUNS", 12}, {"NEXT", 0},
    };
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_client struct client *client = NULL;
    struct err e;

    if (client_new(&client, &options->client, &e) < 0 || list_all(client, options, table, &e) < 0)
        return client_fail("jobs", NULL, NULL, &e);
    if (!options->is_json)
        table_print(table);
    return EXIT_DONE;
}

int verb_list(int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct jobs_args args = {"jobs list",      LIST_HELP, "h", table,
                                          take_list_option, 0,         0,   "job"};
    struct list_options options = {0};
    int parsed = jobs_args_parse(&args, &options, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : list(&options);
}

/* --- one job --- */

/* What is asked of one job, shown as `print` does, or as JSON lines. */
typedef int show_fn(const struct client *client, const char *uuid, bool is_json, struct err *e);

static int show_one(const struct run_command *command, show_fn *show, int argc, char **argv)
{
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0)
        return client_fail(command->name, NULL, NULL, &e);
    auto_free char *uuid = job_pick(client, options.words[0], &e);
    if (!uuid || show(client, uuid, options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail(command->name, NULL, NULL, &e);
    return EXIT_DONE;
}

static int show_job(const struct client *client, const char *uuid, bool is_json, struct err *e)
{
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};

    if (job_get(client, uuid, "", &doc, e) < 0)
        return -1;
    if (is_json) {
        run_doc_print_line(&doc, 0);
        return 0;
    }
    job_text_put(&doc, 0, &out);
    fwrite(out.data, 1, out.len, stdout);
    return 0;
}

int verb_show(int argc, char **argv)
{
    static const struct run_command command = {"jobs show", SHOW_HELP, RUN_FLAG_JSON, 1, 1, "job"};

    return show_one(&command, show_job, argc, argv);
}

/* --- its fires --- */

static void add_fire(struct table *table, const struct json *doc, json_at fire)
{
    table_add(table, mem_printf("%" PRId64, run_doc_int(doc, fire, "number", 0)));
    table_add(table, run_doc_text(doc, fire, "kind"));
    table_add(table, run_doc_text(doc, fire, "status"));
    table_add(table, run_doc_time(doc, fire, "due_time"));
    table_add(table, run_doc_time(doc, fire, "finished_time"));
    table_add(table, counts_of(doc, fire));
}

static int show_fires(const struct client *client, const char *uuid, bool is_json, struct err *e)
{
    static const struct table_column columns[] = {
        {"FIRE", 0}, {"KIND", 0}, {"STATUS", 0}, {"DUE", 0}, {"ENDED", 0}, {"SETS DONE", 7},
    };
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_json struct json doc = {0};

    if (job_get(client, uuid, "/fires?limit=100", &doc, e) < 0)
        return -1;
    json_at fires = json_get(&doc, 0, "fires");
    if (is_json) {
        run_doc_print_lines(&doc, fires);
        return 0;
    }
    json_each (&doc, fires, fire)
        add_fire(table, &doc, fire);
    table_print(table);
    return 0;
}

int verb_fires(int argc, char **argv)
{
    static const struct run_command command = {"jobs fires", FIRES_HELP, RUN_FLAG_JSON, 1, 1,
                                               "job"};

    return show_one(&command, show_fires, argc, argv);
}
