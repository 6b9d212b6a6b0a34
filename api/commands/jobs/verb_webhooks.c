#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char HELP[] =
    "usage: segue jobs webhooks [list] [--json]\n"
    "       segue jobs webhooks add URL [--secret-file FILE] [--event EVENT]... [--job JOB]\n"
    "                                   [--project NAME] [--failures-only] [--json]\n"
    "       segue jobs webhooks remove|ping|log WEBHOOK [--json]\n"
    "\n"
    "Who is told by a POST when runs and jobs have ended.\n"
    "\n"
    "  add               whoever answers at URL is told from now on; prints the webhook's uuid\n"
    "  ping              sends a notice, for trying it\n"
    "  log               what was sent, and what came of it\n"
    "  --secret-file FILE\n"
    "                    the notices are signed with the secret in it, as GitHub's are\n"
    "  --event EVENT     run_finished or job_finished; default: both\n"
    "  --job JOB         only about that job and its runs\n"
    "  --project NAME    only about that project, by its path below the service's projects\n"
    "                    directory\n"
    "  --failures-only   not about what succeeded\n"
    "  --json            one a line, as JSON\n"
    "\n"
    "A WEBHOOK is named by its uuid or the beginning of it (at least 4 characters).\n"
    "\n" CLIENT_HELP;

#define EVENTS_MOST 8u

/* Those of `add` stand together. */
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
    const char *events[EVENTS_MOST];
    uint32_t event_count;
    bool failures_only, is_json;
    bool is_about;    /* an option was given that only `add` has */
    const char *word; /* the URL or the webhook; NULL: none */
};

static const struct option TABLE[] = {
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

static int take_event(struct options *options, const char *value)
{
    if (options->event_count == EVENTS_MOST) {
        fputs("segue jobs webhooks: --event is given too often\n", stderr);
        return -1;
    }
    options->events[options->event_count++] = value;
    return 0;
}

static int take_option(void *user, int option, const char *value)
{
    struct options *options = user;

    options->is_about |= option >= OPTION_SECRET_FILE && option <= OPTION_FAILURES_ONLY;
    switch (option) {
    case OPTION_SECRET_FILE:
        options->secret_file = value;
        return 0;
    case OPTION_EVENT:
        return take_event(options, value);
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
        client_take_option(&options->client, option, value);
        return 0;
    }
}

static const struct jobs_args ARGS = {"jobs webhooks", HELP, "h", TABLE,
                                      take_option,     0,    2,   "webhook"};

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

static void put_events(struct buf *body, const struct options *options)
{
    if (options->event_count == 0)
        return;
    json_put_key(body, "events");
    for (uint32_t i = 0; i < options->event_count; i++) {
        buf_putc(body, i == 0 ? '[' : ',');
        json_put_text(body, options->events[i]);
    }
    buf_putc(body, ']');
}

static int make_body(const struct client *client, const struct options *options, struct buf *body,
                     struct err *e)
{
    auto_free char *job = options->job ? job_pick(client, options->job, e) : NULL;

    if (options->job && !job)
        return -1;
    buf_putc(body, '{');
    json_put_member(body, "url", options->word);
    if (options->secret_file && put_secret(body, options->secret_file, e) < 0)
        return -1;
    put_events(body, options);
    json_put_member(body, "job_uuid", job);
    json_put_member(body, "project", options->project);
    if (options->failures_only)
        json_put_member_raw(body, "failures_only", STR("true"));
    buf_putc(body, '}');
    return 0;
}

static int add(const struct client *client, const struct options *options)
{
    auto_buf struct buf body = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    struct err e;

    if (make_body(client, options, &body, &e) < 0)
        return client_fail(ARGS.name, NULL, NULL, &e);
    struct client_request request = {.path = "/api/v1/webhooks", .body = {body.data, body.len}};
    if (client_ask(client, &request, &answer, &problems, &e) < 0 ||
        client_read(&answer, &doc, &e) < 0)
        return jobs_refused(ARGS.name, NULL, &body, &problems, &e);
    auto_free char *uuid = run_doc_text(&doc, 0, "uuid");
    if (options->is_json)
        run_doc_print_line(&doc, 0);
    else
        puts(uuid ? uuid : "?");
    return EXIT_DONE;
}

/* --- one of them --- */

/* As of jobs: too easily a shorter word would mean one. */
#define BEGINNING_LEAST 4

/* The only one that begins so. free() it. */
static char *pick(const struct client *client, const char *word, struct err *e)
{
    auto_json struct json doc = {0};
    auto_free char *found = NULL;

    if (client_get(client, "/api/v1/webhooks", &doc, e) < 0)
        return NULL;
    json_each (&doc, json_get(&doc, 0, "webhooks"), webhook) {
        auto_free char *uuid = run_doc_text(&doc, webhook, "uuid");
        if (!uuid || strlen(word) < BEGINNING_LEAST || strncasecmp(uuid, word, strlen(word)) != 0)
            continue;
        if (found) {
            err_set(e, ERR_INVALID, "\"%s\" may be webhook %s or %s, or more: say more of it", word,
                    found, uuid);
            return NULL;
        }
        found = take_ptr(&uuid);
    }
    if (!found)
        err_set(e, ERR_NOT_FOUND, "there is no webhook \"%s\" (segue jobs webhooks lists them)",
                word);
    return take_ptr(&found);
}

static int act(const struct client *client, const struct options *options, const char *method,
               const char *rest, const char *done)
{
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    auto_free char *uuid = pick(client, options->word, &e);

    if (!uuid)
        return client_fail(ARGS.name, NULL, NULL, &e);
    auto_free char *path = mem_printf("/api/v1/webhooks/%s%s", uuid, rest);
    struct client_request request = {.method = method, .path = path};
    if (client_ask(client, &request, &answer, NULL, &e) < 0)
        return client_fail(ARGS.name, NULL, NULL, &e);
    if (!options->is_json)
        printf("webhook %.*s %s\n", RUN_SHORT, uuid, done);
    else if (answer.body.len > 0)
        puts(buf_text(&answer.body));
    return EXIT_DONE;
}

static int remove_one(const struct client *client, const struct options *options)
{
    return act(client, options, "DELETE", "", "is removed");
}

static int ping(const struct client *client, const struct options *options)
{
    return act(client, options, "POST", "/ping",
               "is sent a notice; its log tells what comes of it");
}

static void add_delivery(struct table *table, const struct json *doc, json_at delivery)
{
    int64_t status = run_doc_int(doc, delivery, "last_status", 0);

    table_add(table, run_doc_time(doc, delivery, "created_time"));
    table_add(table, run_doc_text(doc, delivery, "event"));
    table_add(table, run_doc_text(doc, delivery, "status"));
    table_add(table, mem_printf("%" PRId64, run_doc_int(doc, delivery, "tries", 0)));
    table_add(table, status > 0 ? mem_printf("%" PRId64, status) : NULL);
    table_add(table, run_doc_text(doc, delivery, "last_error"));
}

static int print_log(const struct client *client, const struct options *options, struct err *e)
{
    static const struct table_column columns[] = {{"CREATED", 0}, {"EVENT", 0}, {"STATUS", 0},
                                                  {"TRIES", 0},   {"HTTP", 0},  {"ERROR", 20}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_json struct json doc = {0};
    auto_free char *uuid = pick(client, options->word, e);

    if (!uuid)
        return -1;
    auto_free char *path = mem_printf("/api/v1/webhooks/%s/deliveries?limit=100", uuid);
    if (client_get(client, path, &doc, e) < 0)
        return -1;
    json_at deliveries = json_get(&doc, 0, "deliveries");
    json_each (&doc, deliveries, delivery)
        add_delivery(table, &doc, delivery);
    if (options->is_json)
        run_doc_print_lines(&doc, deliveries);
    else
        table_print(table);
    return 0;
}

static int log_of(const struct client *client, const struct options *options)
{
    struct err e;

    return print_log(client, options, &e) < 0 ? client_fail(ARGS.name, NULL, NULL, &e) : EXIT_DONE;
}

/* --- all of them --- */

static char *events_of(const struct json *doc, json_at webhook)
{
    const char *between = "";
    auto_buf struct buf out = {0};

    json_each (doc, json_get(doc, webhook, "events"), event) {
        auto_free char *name = json_strdup(doc, event);
        buf_printf(&out, "%s%s", between, name ? name : "?");
        between = ", ";
    }
    if (json_is_true(doc, json_get(doc, webhook, "failures_only")))
        buf_puts(&out, " (failures)");
    return buf_take(&out);
}

/* What it is told about; NULL: everything. */
static char *about(const struct json *doc, json_at webhook)
{
    auto_free char *job = run_doc_short_id(doc, webhook, "job_uuid");
    auto_free char *project = run_doc_text(doc, webhook, "project");

    if (job)
        return mem_printf("job %s", job);
    return project ? mem_printf("project %s", project) : NULL;
}

static void add_webhook(struct table *table, const struct json *doc, json_at webhook)
{
    bool is_signed = json_is_true(doc, json_get(doc, webhook, "has_secret"));

    table_add(table, run_doc_short_id(doc, webhook, "uuid"));
    table_add(table, run_doc_text(doc, webhook, "url"));
    table_add(table, events_of(doc, webhook));
    table_add(table, about(doc, webhook));
    table_add(table, mem_strdup(is_signed ? "yes" : "no"));
}

static int list(const struct client *client, const struct options *options)
{
    static const struct table_column columns[] = {
        {"WEBHOOK", 0}, {"URL", 16}, {"EVENTS", 12}, {"ABOUT", 8}, {"SIGNED", 0}};
    auto_table struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    auto_json struct json doc = {0};
    struct err e;

    if (client_get(client, "/api/v1/webhooks", &doc, &e) < 0)
        return client_fail(ARGS.name, NULL, NULL, &e);
    json_at webhooks = json_get(&doc, 0, "webhooks");
    json_each (&doc, webhooks, webhook)
        add_webhook(table, &doc, webhook);
    if (options->is_json)
        run_doc_print_lines(&doc, webhooks);
    else
        table_print(table);
    return EXIT_DONE;
}

/* --- which --- */

static const struct verb {
    const char *name;
    int (*run)(const struct client *client, const struct options *options);
    const char *missing; /* what is said without a word; NULL: there is none */
} VERBS[] = {
    {"list", list, NULL},
    {"add", add, "which URL?"},
    {"remove", remove_one, "which webhook?"},
    {"ping", ping, "which webhook?"},
    {"log", log_of, "which webhook?"},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof VERBS / sizeof *VERBS; i++)
        if (strcmp(name, VERBS[i].name) == 0)
            return &VERBS[i];
    jobs_misused(&ARGS, "it is list, add, remove, ping or log");
    return NULL;
}

static const struct verb *read_words(struct options *options, int count, char **words)
{
    const struct verb *verb = find_verb(count > 0 ? words[0] : "list");
    const char *wrong = NULL;

    if (!verb)
        return NULL;
    options->word = count > 1 && words[1][0] ? words[1] : NULL;
    if (!options->word && verb->missing)
        wrong = verb->missing;
    else if (count > 1 && !verb->missing)
        wrong = "there are words too many";
    else if (options->is_about && verb->run != add)
        wrong = "--secret-file, --event, --job, --project and --failures-only go with add";
    if (wrong)
        jobs_misused(&ARGS, wrong);
    return wrong ? NULL : verb;
}

int verb_webhooks(int argc, char **argv)
{
    auto_client struct client *client = NULL;
    struct options options = {0};
    struct err e;
    int parsed = jobs_args_parse(&ARGS, &options, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    const struct verb *verb = read_words(&options, argc - optind, argv + optind);
    if (!verb)
        return EXIT_INPUT;
    if (client_new(&client, &options.client, &e) < 0)
        return client_fail(ARGS.name, NULL, NULL, &e);
    return verb->run(client, &options);
}
