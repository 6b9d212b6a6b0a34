#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char LIST_HELP[] = "usage: segue jobs [list] [--json] " CLIENT_USAGE "\n"
                                "\n"
                                "Lists the jobs of the service, newest first.\n"
                                "\n"
                                "  --json            one job a line, as JSON\n" CLIENT_HELP;

static const char SHOW_HELP[] = "usage: segue jobs show JOB [--json] " CLIENT_USAGE "\n"
                                "\n"
                                "Shows a job: what it runs, when, and how far it is.\n"
                                "\n"
                                "  --json            the job as JSON\n" CLIENT_HELP;

static const char FIRES_HELP[] = "usage: segue jobs fires JOB [--json] " CLIENT_USAGE "\n"
                                 "\n"
                                 "Lists the times that a job was due or triggered, newest first.\n"
                                 "\n"
                                 "  --json            one a line, as JSON\n" CLIENT_HELP;

/* --- for all --- */

static void put_axis_name(const struct json *doc, json_at axis, struct buf *out)
{
    auto_free char *title = run_doc_text(doc, axis, "title");
    auto_free char *name = run_doc_text(doc, axis, "name");

    if (title && *title)
        buf_printf(out, "%s:", title);
    buf_puts(out, name ? name : "?");
}

void jobs_put_sets(const struct json *doc, json_at axes, int64_t count, struct buf *out)
{
    const char *between = ": ";

    buf_printf(out, "%" PRId64 " set%s", count, count == 1 ? "" : "s");
    json_each (doc, axes, axis) {
        buf_puts(out, between);
        put_axis_name(doc, axis, out);
        between = " x ";
    }
}

/* "7 of 24, 1 failed" */
static char *progress_of(const struct json *doc, json_at fire)
{
    json_at counts = json_get(doc, fire, "counts");
    int64_t total = run_doc_int(doc, fire, "set_count", 0);
    int64_t good = run_doc_int(doc, counts, "SUCCESS", 0);
    int64_t bad = run_doc_int(doc, counts, "FAILURE", 0);
    auto_buf struct buf out = {0};

    if (json_kind(doc, fire) != JSON_OBJECT)
        return NULL;
    buf_printf(&out, "%" PRId64 " of %" PRId64, good, total);
    if (bad > 0)
        buf_printf(&out, ", %" PRId64 " failed", bad);
    return buf_take(&out);
}

/* "2026-12-01 06:00", local; the seconds and the offset are for programs. */
static char *short_time(char *take_text)
{
    if (take_text && strlen(take_text) > 16) {
        take_text[10] = ' ';
        take_text[16] = 0;
    }
    return take_text;
}

static char *next_of(const struct json *doc, json_at job)
{
    json_at next = json_item(doc, json_get(doc, json_get(doc, job, "schedule"), "next"), 0);

    return short_time(run_doc_text(doc, next, "local"));
}

static char *short_uuid(const struct json *doc, json_at job)
{
    char *uuid = run_doc_text(doc, job, "uuid");

    if (uuid && strlen(uuid) > RUN_SHORT)
        uuid[RUN_SHORT] = 0;
    return uuid;
}

static void print_lines(const struct json *doc, json_at items)
{
    json_each (doc, items, item) {
        auto_buf struct buf line = {0};
        json_write(doc, item, JSON_COMPACT, 0, &line);
        puts(buf_text(&line));
    }
}

static void print_table(const struct table *table)
{
    auto_buf struct buf out = {0};

    table_put(table, table_screen_width(), &out);
    fwrite(out.data, 1, out.len, stdout);
}

/* --- the list --- */

static void add_job(struct table *table, const struct json *doc, json_at job)
{
    json_at fire = json_get(doc, job, "latest_fire");

    table_add(table, short_uuid(doc, job));
    table_add(table, run_doc_text(doc, job, "name"));
    table_add(table, run_doc_text(doc, job, "status"));
    table_add(table, run_doc_text(doc, json_get(doc, job, "schedule"), "words"));
    table_add(table, next_of(doc, job));
    table_add(table, progress_of(doc, fire));
}

static int list(const struct client *client, bool is_json, struct err *e)
{
    static const struct table_column columns[] = {
        {"JOB", 0}, {"NAME", 8}, {"STATUS", 0}, {"RUNS", 12}, {"NEXT", 0}, {"SETS DONE", 0},
    };
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_free char *path = mem_strdup("/api/v1/jobs?limit=200");

    while (path) {
        auto_json struct json doc = {0};
        if (client_get(client, path, &doc, e) < 0)
            return -1;
        json_at jobs = json_get(&doc, 0, "jobs");
        if (is_json)
            print_lines(&doc, jobs);
        json_each (&doc, jobs, job)
            add_job(table, &doc, job);
        auto_free char *next = run_doc_text(&doc, 0, "next_cursor");
        free(take_ptr(&path));
        if (next)
            path = mem_printf("/api/v1/jobs?limit=200&cursor=%s", next);
    }
    if (!is_json)
        print_table(table);
    return 0;
}

int verb_list(int argc, char **argv)
{
    static const struct run_command command = {"jobs list", LIST_HELP, RUN_FLAG_JSON, 0, 0, "job"};
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, &command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 ||
        list(client, options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail("jobs", NULL, NULL, &e);
    return EXIT_DONE;
}

/* --- one job --- */

static void put_line(struct buf *out, const char *label, const char *text)
{
    if (!text || !*text)
        return;
    buf_printf(out, "%-12s", label);
    shown_put(out, text);
    buf_putc(out, '\n');
}

static void put_policy(struct buf *out, const struct json *doc, json_at policy)
{
    auto_buf struct buf text = {0};

    json_write(doc, policy, JSON_COMPACT, 0, &text);
    if (text.len > 2)
        put_line(out, "policy", buf_text(&text));
}

static void put_retention(struct buf *out, const struct json *doc, json_at retention)
{
    int64_t runs = run_doc_int(doc, retention, "runs", 0);
    auto_free char *text = mem_printf("%" PRId64 " older run%s will be deleted after the next fire",
                                      runs, runs == 1 ? "" : "s");

    if (runs > 0)
        put_line(out, "retention", text);
}

static void put_fire(struct buf *out, const struct json *doc, json_at fire)
{
    auto_free char *status = run_doc_text(doc, fire, "status");
    auto_free char *progress = progress_of(doc, fire);

    if (!status)
        return;
    auto_free char *text = mem_printf("number %" PRId64 ", %s, %s",
                                      run_doc_int(doc, fire, "number", 0), status, progress);
    put_line(out, "latest", text);
}

void jobs_print_job(const struct json *doc, json_at job)
{
    static const struct {
        const char *label, *key;
    } texts[] = {
        {"job", "uuid"},
        {"name", "name"},
        {"status", "status"},
        {"project", "project"},
        {"pipeline", "pipeline_path"},
    };
    json_at schedule = json_get(doc, job, "schedule");
    auto_free char *words = run_doc_text(doc, schedule, "words");
    auto_free char *next = next_of(doc, job);
    auto_buf struct buf out = {0}, sets = {0};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        auto_free char *text = run_doc_text(doc, job, texts[i].key);
        put_line(&out, texts[i].label, text);
    }
    jobs_put_sets(doc, json_get(doc, job, "axes"), run_doc_int(doc, job, "set_count", 0), &sets);
    put_line(&out, "sets", buf_text(&sets));
    put_line(&out, "runs", words);
    put_line(&out, "next", next);
    put_policy(&out, doc, json_get(doc, job, "policy"));
    put_fire(&out, doc, json_get(doc, job, "latest_fire"));
    put_retention(&out, doc, json_get(doc, job, "retention"));
    fwrite(out.data, 1, out.len, stdout);
}

static int show(const struct client *client, const char *word, bool is_json, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *uuid = job_pick(client, word, e);

    if (!uuid || job_ask(client, "GET", uuid, "", (struct str){0}, &answer, NULL, e) < 0)
        return -1;
    if (is_json) {
        puts(buf_text(&answer.body));
        return 0;
    }
    if (client_read(&answer, &doc, e) < 0)
        return -1;
    jobs_print_job(&doc, 0);
    return 0;
}

int verb_show(int argc, char **argv)
{
    static const struct run_command command = {"jobs show", SHOW_HELP, RUN_FLAG_JSON, 1, 1, "job"};
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, &command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 ||
        show(client, options.words[0], options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail("jobs show", NULL, NULL, &e);
    return EXIT_DONE;
}

/* --- its fires --- */

static void add_fire(struct table *table, const struct json *doc, json_at fire)
{
    table_add(table, mem_printf("%" PRId64, run_doc_int(doc, fire, "number", 0)));
    table_add(table, run_doc_text(doc, fire, "kind"));
    table_add(table, run_doc_text(doc, fire, "status"));
    table_add(table, short_time(run_doc_text(doc, fire, "due_time")));
    table_add(table, short_time(run_doc_text(doc, fire, "finished_time")));
    table_add(table, progress_of(doc, fire));
}

static int fires(const struct client *client, const char *word, bool is_json, struct err *e)
{
    static const struct table_column columns[] = {
        {"FIRE", 0},      {"KIND", 0},        {"STATUS", 0},
        {"DUE (UTC)", 0}, {"ENDED (UTC)", 0}, {"SETS DONE", 0},
    };
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *uuid = job_pick(client, word, e);

    if (!uuid ||
        job_ask(client, "GET", uuid, "/fires?limit=100", (struct str){0}, &answer, NULL, e) < 0 ||
        client_read(&answer, &doc, e) < 0)
        return -1;
    json_at items = json_get(&doc, 0, "fires");
    if (is_json) {
        print_lines(&doc, items);
        return 0;
    }
    json_each (&doc, items, fire)
        add_fire(table, &doc, fire);
    print_table(table);
    return 0;
}

int verb_fires(int argc, char **argv)
{
    static const struct run_command command = {"jobs fires", FIRES_HELP, RUN_FLAG_JSON, 1, 1,
                                               "job"};
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, &command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 ||
        fires(client, options.words[0], options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail("jobs fires", NULL, NULL, &e);
    return EXIT_DONE;
}
