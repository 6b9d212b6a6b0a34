#include "api/commands/jobs/job_options.h"
#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/place.h"
#include "api/commands/run_doc.h"
#include "base/id.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const char CREATE_HELP[] =
    "usage: segue jobs create PIPELINE [-p [STEP:]NAME=VALUE]... [--grid [STEP:]NAME=VALUES]...\n"
    "                         [--draft] [--preview] [--wait] [--json] [--project NAME] ...\n"
    "\n"
    "Makes a job of a pipeline: it is run for each set of parameters, now, at a time or again and\n"
    "again, on a copy of the project as it is now.\n"
    "\n"
    "  -p [STEP:]NAME=VALUE   a parameter that all sets have\n" JOB_SETS_HELP JOB_SCHEDULE_HELP
        JOB_POLICY_HELP
    "  --project NAME    a project by its path below the service's projects directory; PIPELINE\n"
    "                    is a path in it then\n"
    "  --draft           it is not begun before `segue jobs confirm`\n"
    "  --preview         only shows the sets and the next times; nothing is made\n"
    "  --wait            waits for its end and shows the results\n"
    "  --json            the job as JSON\n" CLIENT_HELP;

static const char EDIT_HELP[] =
    "usage: segue jobs edit JOB [--name NAME] [options of the schedule and of the policy]\n"
    "\n"
    "Changes a job that is a draft, or that has not ended. The schedule and the policy are "
    "replaced\n"
    "as wholes: what is not given gets its default.\n"
    "\n" JOB_SCHEDULE_HELP JOB_POLICY_HELP "  --json            the job as JSON\n" CLIENT_HELP;

enum create_option { OPTION_PROJECT = 1, OPTION_DRAFT, OPTION_PREVIEW, OPTION_WAIT, OPTION_JSON };

struct options {
    struct client_options client;
    struct job_options job;
    const char *word; /* the pipeline, or the job */
    const char *project;
    bool is_draft, is_preview, is_waiting, is_json;
};

/* --- options --- */

static int take_option(struct options *options, int option, const char *value)
{
    if (client_take_option(&options->client, option, value))
        return 0;
    if (job_options_has(option) || option == 'g') {
        job_options_take(&options->job, option == 'g' ? JOB_GRID : option, value);
        return 0;
    }
    switch (option) {
    case 'p':
        params_add(&options->job.base, value);
        return 0;
    case OPTION_PROJECT:
        options->project = value;
        return 0;
    case OPTION_DRAFT:
        options->is_draft = true;
        return 0;
    case OPTION_PREVIEW:
        options->is_preview = true;
        return 0;
    case OPTION_WAIT:
        options->is_waiting = true;
        return 0;
    case OPTION_JSON:
        options->is_json = true;
        return 0;
    default:
        return -1;
    }
}

struct verb {
    const char *name, *help, *which;
    const char *letters;
    const struct option *table;
};

/* 1: go on, 0: help was given, -1: wrong usage. */
static int parse_options(struct options *options, const struct verb *verb, int argc, char **argv)
{
    int option;

    optind = 0;
    while ((option = getopt_long(argc, argv, verb->letters, verb->table, NULL)) != -1) {
        if (option == 'h') {
            fputs(verb->help, stdout);
            return 0;
        }
        if (take_option(options, option, optarg) < 0) {
            fprintf(stderr, "(segue jobs %s --help tells more)\n", verb->name);
            return -1;
        }
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "segue jobs %s: %s\n(segue jobs %s --help tells more)\n", verb->name,
                optind == argc ? verb->which : "one at a time", verb->name);
        return -1;
    }
    options->word = argv[optind];
    return 1;
}

/* --- creating --- */

static int make_body(const struct client *client, const struct options *options, struct buf *body,
                     struct problems *problems, struct err *e)
{
    auto_place struct place place = {0};
    auto_pipeline struct pipeline *pipeline = NULL;
    bool names_steps = job_options_name_steps(&options->job);

    if (place_find(client, options->word, options->project, names_steps, &place, e) < 0)
        return -1;
    if (names_steps && place.local && pipeline_read(NULL, place.local, &pipeline, problems, e) < 0)
        return -1;
    buf_putc(body, '{');
    json_put_member(body, "project", place.project);
    json_put_member(body, "pipeline_path", place.pipeline_path);
    if (options->is_draft)
        json_put_member_raw(body, "draft", STR("true"));
    if (job_options_put(&options->job, pipeline, body, e) < 0)
        return -1;
    buf_putc(body, '}');
    return 0;
}

static void print_sets(const struct json *doc, json_at sets)
{
    uint32_t shown = 0;

    json_each (doc, sets, set) {
        struct str parameters = json_raw(doc, json_get(doc, set, "parameters"));
        if (shown++ == 20) {
            printf("  ... %u more\n", json_count(doc, sets) - 20);
            return;
        }
        printf("  %4lld  " STR_FMT "\n", (long long)run_doc_int(doc, set, "number", 0),
               STR_ARG(parameters));
    }
}

static void print_next(const struct json *doc, json_at schedule)
{
    auto_free char *words = run_doc_text(doc, schedule, "words");

    printf("runs: %s\n", words ? words : "?");
    json_each (doc, json_get(doc, schedule, "next"), time) {
        auto_free char *local = run_doc_text(doc, time, "local");
        printf("  %s\n", local ? local : "?");
    }
}

static void print_preview(const struct json *doc)
{
    auto_buf struct buf line = {0};

    jobs_put_sets(doc, json_get(doc, 0, "axes"), run_doc_int(doc, 0, "set_count", 0), &line);
    puts(buf_text(&line));
    print_sets(doc, json_get(doc, 0, "sets"));
    print_next(doc, json_get(doc, 0, "schedule"));
}

static void print_created(const struct json *doc)
{
    auto_buf struct buf line = {0};
    auto_free char *uuid = run_doc_text(doc, 0, "uuid");
    auto_free char *status = run_doc_text(doc, 0, "status");

    jobs_put_sets(doc, json_get(doc, 0, "axes"), run_doc_int(doc, 0, "set_count", 0), &line);
    puts(buf_text(&line));
    printf("job %s, %s\n", uuid ? uuid : "?", status ? status : "?");
}

static int after_creation(const struct client *client, const struct options *options,
                          struct http_answer *answer)
{
    auto_json struct json doc = {0};
    struct err e;

    if (options->is_json || options->is_preview)
        options->is_json ? (void)puts(buf_text(&answer->body)) : (void)0;
    if (client_read(answer, &doc, &e) < 0)
        return client_fail("jobs create", NULL, NULL, &e);
    if (options->is_preview && !options->is_json)
        print_preview(&doc);
    if (options->is_preview)
        return EXIT_DONE;
    if (!options->is_json)
        print_created(&doc);
    auto_free char *uuid = run_doc_text(&doc, 0, "uuid");
    if (!options->is_waiting || options->is_draft || !uuid)
        return EXIT_DONE;
    int status = jobs_wait(client, uuid, 1);
    if (status <= EXIT_NOT_SUCCESS && !options->is_json &&
        jobs_print_results(client, uuid, "1", NULL, 0, &e) < 0)
        return client_fail("jobs create", NULL, NULL, &e);
    return status;
}

static int create(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_problems struct problems problems = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_buf struct buf body = {0};
    struct uuid key = uuid_random();
    struct err e;

    if (client_new(&client, &options->client, &e) < 0 ||
        make_body(client, options, &body, &problems, &e) < 0)
        return client_fail("jobs create", options->word, &problems, &e);
    struct client_request request = {.path = options->is_preview ? "/api/v1/jobs/preview"
                                                                 : "/api/v1/jobs",
                                     .body = {body.data, body.len},
                                     .key = options->is_preview ? NULL : key.text};
    if (client_ask(client, &request, &answer, &problems, &e) < 0)
        return client_fail("jobs create", options->word, &problems, &e);
    return after_creation(client, options, &answer);
}

int verb_create(int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        JOB_SETS_OPTIONS,
        JOB_SCHEDULE_OPTIONS,
        JOB_POLICY_OPTIONS,
        {"param", required_argument, NULL, 'p'},
        {"project", required_argument, NULL, OPTION_PROJECT},
        {"draft", no_argument, NULL, OPTION_DRAFT},
        {"preview", no_argument, NULL, OPTION_PREVIEW},
        {"wait", no_argument, NULL, OPTION_WAIT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct verb verb = {"create", CREATE_HELP, "which pipeline?", "hp:g:", table};
    struct options options = {0};
    int parsed = parse_options(&options, &verb, argc, argv);
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : create(&options);

    job_options_clear(&options.job);
    return status;
}

/* --- editing --- */

static int edit(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_problems struct problems problems = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_buf struct buf body = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("jobs edit", NULL, NULL, &e);
    auto_free char *uuid = job_pick(client, options->word, &e);
    buf_putc(&body, '{');
    if (!uuid || job_options_put(&options->job, NULL, &body, &e) < 0)
        return client_fail("jobs edit", NULL, NULL, &e);
    buf_putc(&body, '}');
    if (job_ask(client, "PUT", uuid, "", (struct str){body.data, body.len}, &answer, &problems,
                &e) < 0)
        return client_fail("jobs edit", NULL, &problems, &e);
    if (options->is_json) {
        puts(buf_text(&answer.body));
        return EXIT_DONE;
    }
    if (client_read(&answer, &doc, &e) < 0)
        return client_fail("jobs edit", NULL, NULL, &e);
    jobs_print_job(&doc, 0);
    return EXIT_DONE;
}

int verb_edit(int argc, char **argv)
{
    static const struct option table[] = {
        CLIENT_OPTIONS,
        JOB_SCHEDULE_OPTIONS,
        JOB_POLICY_OPTIONS,
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static const struct verb verb = {"edit", EDIT_HELP, "which job?", "h", table};
    struct options options = {0};
    int parsed = parse_options(&options, &verb, argc, argv);
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : edit(&options);

    job_options_clear(&options.job);
    return status;
}
