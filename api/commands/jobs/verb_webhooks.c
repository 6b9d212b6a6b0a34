#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: segue jobs webhooks [list] [--json]\n"
    "       segue jobs webhooks add URL [--secret-file FILE] [--event EVENT]... [--job JOB]\n"
    "                                   [--project NAME] [--failures-only] [--json]\n"
    "       segue jobs webhooks remove|ping|log WEBHOOK\n"
    "\n"
    "Who is told by a POST when runs and jobs have ended.\n"
    "\n"
    "  add               from now on; prints its uuid\n"
    "  ping              sends a notice, for trying it\n"
    "  log               what was sent, and what came of it\n"
    "  --secret-file FILE   the notices are signed with the secret in it, as GitHub's are\n"
    "  --event EVENT     run_finished or job_finished; default: both\n"
    "  --job JOB         only about that job and its runs\n"
    "  --project NAME    only about that project\n"
    "  --failures-only   not about what succeeded\n"
    "  --json            as JSON\n" CLIENT_HELP;

enum webhooks_option {
    OPTION_SECRET_FILE = 1,
    OPTION_EVENT,
    OPTION_JOB,
    OPTION_PROJECT,
    OPTION_FAILURES_ONLY,
    OPTION_JSON
};

struct options {
    struct client_options client;
    const char *secret_file, *job, *project;
    const char *events[8];
    uint32_t event_count;
    bool failures_only, is_json;
    const char *verb, *word; /* NULL: none */
};

static int usage_error(const char *text)
{
    fprintf(stderr, "segue jobs webhooks: %s\n(segue jobs webhooks --help tells more)\n", text);
    return -1;
}

static int take_option(struct options *options, int option, const char *value)
{
    switch (option) {
    case OPTION_SECRET_FILE:
        options->secret_file = value;
        return 0;
    case OPTION_EVENT:
        if (options->event_count == sizeof options->events / sizeof *options->events)
            return usage_error("--event is given too often");
        options->events[options->event_count++] = value;
        return 0;
    case OPTION_JOB:
        options->job = value;
        return 0;
    case OPTION_PROJECT:
        options->project = value;
        return 0;
    case OPTION_FAILURES_ONLY:
        options->failures_only = true;
        return 0;
    case OPTION_JSON:
        options->is_json = true;
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
        {"secret-file", required_argument, NULL, OPTION_SECRET_FILE},
        {"event", required_argument, NULL, OPTION_EVENT},
        {"job", required_argument, NULL, OPTION_JOB},
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"failures-only", no_argument, NULL, OPTION_FAILURES_ONLY},
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
            return usage_error("wrong options");
    }
    options->verb = optind < argc ? argv[optind++] : "list";
    options->word = optind < argc ? argv[optind++] : NULL;
    if (optind < argc)
        return usage_error("there are words too many");
    if (!options->word && strcmp(options->verb, "list") != 0)
        return usage_error("which one?");
    return 1;
}

/* --- what is asked --- */

static int put_secret(struct buf *body, const char *path, struct err *e)
{
    auto_buf struct buf text = {0};

    if (fs_read(path, LIMIT_CONFIG_BYTES, &text, e) < 0)
        return -1;
    while (text.len > 0 && strchr("\r\n", text.data[text.len - 1]))
        text.len--;
    json_put_key(body, "secret");
    json_put_str(body, (struct str){buf_text(&text), text.len});
    return 0;
}

static int add(const struct client *client, const struct options *options, struct err *e)
{
    auto_buf struct buf body = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *job = options->job ? job_pick(client, options->job, e) : NULL;

    if (options->job && !job)
        return -1;
    buf_putc(&body, '{');
    json_put_member(&body, "url", options->word);
    if (options->secret_file && put_secret(&body, options->secret_file, e) < 0)
        return -1;
    if (options->event_count > 0) {
        json_put_key(&body, "events");
        for (uint32_t i = 0; i < options->event_count; i++) {
            buf_putc(&body, i == 0 ? '[' : ',');
            json_put_text(&body, options->events[i]);
        }
        buf_putc(&body, ']');
    }
    json_put_member(&body, "job_uuid", job);
    json_put_member(&body, "project", options->project);
    if (options->failures_only)
        json_put_member_raw(&body, "failures_only", STR("true"));
    buf_putc(&body, '}');
    struct client_request request = {.path = "/api/v1/webhooks", .body = {body.data, body.len}};
    if (client_ask(client, &request, &answer, NULL, e) < 0)
        return -1;
    if (options->is_json) {
        puts(buf_text(&answer.body));
        return 0;
    }
    if (client_read(&answer, &doc, e) < 0)
        return -1;
    auto_free char *uuid = run_doc_text(&doc, 0, "uuid");
    puts(uuid ? uuid : "?");
    return 0;
}

static int act(const struct client *client, const char *method, const char *word, const char *rest,
               const char *done, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_free char *path = mem_printf("/api/v1/webhooks/%s%s", word, rest);
    struct client_request request = {.method = method, .path = path};

    if (client_ask(client, &request, &answer, NULL, e) < 0)
        return -1;
    puts(done);
    return 0;
}

/* A table of the members `keys` of what is in `list`. */
static int print_list(const struct client *client, const char *path, const char *list,
                      const struct table_column *columns, const char *const *keys, uint32_t count,
                      bool is_json, struct err *e)
{
    auto_table struct table *table = table_new(columns, count);
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};

    if (client_get(client, path, &doc, e) < 0)
        return -1;
    json_each (&doc, json_get(&doc, 0, list), item) {
        if (is_json) {
            json_write(&doc, item, JSON_COMPACT, 0, &out);
            buf_putc(&out, '\n');
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            auto_buf struct buf text = {0};
            json_at value = json_get(&doc, item, keys[i]);
            if (json_kind(&doc, value) == JSON_STRING)
                json_string(&doc, value, &text);
            else if (json_kind(&doc, value) != JSON_NULL)
                json_write(&doc, value, JSON_COMPACT, 0, &text);
            table_add(table, text.len > 0 ? buf_take(&text) : NULL);
        }
    }
    if (!is_json)
        table_put(table, table_screen_width(), &out);
    fwrite(buf_text(&out), 1, out.len, stdout);
    return 0;
}

static int list(const struct client *client, bool is_json, struct err *e)
{
    static const struct table_column columns[] = {
        {"WEBHOOK", 0}, {"URL", 20}, {"EVENTS", 0}, {"JOB", 8}, {"SIGNED", 0}};
    static const char *const keys[] = {"uuid", "url", "events", "job_uuid", "has_secret"};

    return print_list(client, "/api/v1/webhooks", "webhooks", columns, keys, 5, is_json, e);
}

static int log_of(const struct client *client, const char *word, bool is_json, struct err *e)
{
    static const struct table_column columns[] = {{"CREATED", 0}, {"EVENT", 0}, {"STATUS", 0},
                                                  {"TRIES", 0},   {"HTTP", 0},  {"ERROR", 20}};
    static const char *const keys[] = {"created_time", "event",       "status",
                                       "tries",        "last_status", "last_error"};
    auto_free char *path = mem_printf("/api/v1/webhooks/%s/deliveries?limit=100", word);

    return print_list(client, path, "deliveries", columns, keys, 6, is_json, e);
}

static int do_verb(const struct client *client, const struct options *options, struct err *e)
{
    const char *verb = options->verb, *word = options->word;

    if (strcmp(verb, "list") == 0)
        return list(client, options->is_json, e);
    if (strcmp(verb, "add") == 0)
        return add(client, options, e);
    if (strcmp(verb, "remove") == 0)
        return act(client, "DELETE", word, "", "removed", e);
    if (strcmp(verb, "ping") == 0)
        return act(client, "POST", word, "/ping", "a notice is on its way", e);
    if (strcmp(verb, "log") == 0)
        return log_of(client, word, options->is_json, e);
    return err_set(e, ERR_INVALID, "it is list, add, remove, ping or log, not \"%s\"", verb);
}

int verb_webhooks(int argc, char **argv)
{
    auto_client struct client *client = NULL;
    struct options options = {0};
    struct err e;
    int parsed = parse_options(&options, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 || do_verb(client, &options, &e) < 0)
        return client_fail("jobs webhooks", NULL, NULL, &e);
    return EXIT_DONE;
}
