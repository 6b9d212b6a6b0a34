#include "api/commands/jobs/job_options.h"
#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/place.h"
#include "api/commands/run_doc.h"
#include "api/commands/shown.h"
#include "base/id.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char CREATE_HELP[] =
    "usage: segue jobs create PIPELINE [-p [STEP:]NAME=VALUE]... [--grid [STEP:]NAME=VALUES]...\n"
    "                         [--draft] [--preview] [--wait] [--json] [--project NAME] ...\n"
    "\n"
    "Makes a job of a pipeline: it is run for each set of parameters, now, at a time or again and\n"
    "again, on a copy of the project as it is now.\n"
    "\n"
    "  PIPELINE          its file\n" JOB_SETS_HELP JOB_SCHEDULE_HELP JOB_POLICY_HELP
    "  --project NAME    a project by its path below the service's projects directory; PIPELINE\n"
    "                    is a path in it then\n"
    "  --draft           it is not begun before `segue jobs confirm`\n"
    "  --preview         only shows the sets and the next times; nothing is made\n"
    "  --wait            waits for its end and shows the results\n"
    "  --json            the job, or with --preview what it would be, as JSON; with --wait also\n"
    "                    a line of JSON each time that a set has begun or ended\n" CLIENT_HELP;

static const char EDIT_HELP[] =
    "usage: segue jobs edit JOB [--name NAME] [options of the schedule and of the policy]\n"
    "\n"
    "Changes a job. Name and policy can be changed always, the schedule until a job that runs\n"
    "once has begun; what no option is given for stays as it is.\n"
    "\n" JOB_POLICY_HELP JOB_SCHEDULE_HELP "  --json            the job as JSON\n" CLIENT_HELP;

enum create_option { OPTION_PROJECT = 1, OPTION_DRAFT, OPTION_PREVIEW, OPTION_WAIT, OPTION_JSON };

struct options {
    struct client_options client;
    struct job_options job;
    const char *word; /* the pipeline, or the job */
    const char *project;
    bool is_draft, is_preview, is_waiting, is_json;
};

static int take_option(void *user, int option, const char *value)
{
    struct options *options = user;

    if (option == 'p')
        params_add(&options->job.base, value);
    else if (job_options_has(option) || option == 'g')
        job_options_take(&options->job, option == 'g' ? JOB_GRID : option, value);
    else if (option == OPTION_PROJECT)
        options->project = value;
    else if (option == OPTION_DRAFT)
        options->is_draft = true;
    else if (option == OPTION_PREVIEW)
        options->is_preview = true;
    else if (option == OPTION_WAIT)
        options->is_waiting = true;
    else if (option == OPTION_JSON)
        options->is_json = true;
    else
        client_take_option(&options->client, option, value);
    return 0;
}

/* --- what is asked for --- */

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
    if (job_options_put(&options->job, pipeline, NULL, body, e) < 0)
        return -1;
    buf_putc(body, '}');
    return 0;
}

/* --- a preview --- */

#define SETS_SHOWN 20u

static struct table_column *make_columns(const struct json *doc, json_at axes, char **headings)
{
    uint32_t count = json_count(doc, axes), i = 0;
    struct table_column *columns = mem_array(count + 1, sizeof *columns);

    columns[i++] = (struct table_column){"SET", 0};
    json_each (doc, axes, axis) {
        auto_buf struct buf heading = {0};
        job_text_put_name(doc, axis, &heading);
        headings[i - 1] = buf_take(&heading);
        columns[i] = (struct table_column){headings[i - 1], 8};
        i++;
    }
    return columns;
}

static void add_set(struct table *table, const struct json *doc, json_at axes, json_at set)
{
    json_at parameters = json_get(doc, set, "parameters");

    table_add(table, mem_printf("%" PRId64, run_doc_int(doc, set, "number", 0)));
    json_each (doc, axes, axis) {
        auto_free char *step = run_doc_text(doc, axis, "step_uuid");
        auto_free char *name = run_doc_text(doc, axis, "name");
        json_at owner = json_get(doc, parameters, step ? step : "pipeline_parameters");
        table_add(table, job_text_value(doc, json_get(doc, owner, name ? name : "")));
    }
}

static void print_sets(const struct json *doc, json_at axes, json_at sets, int64_t count)
{
    uint32_t axis_count = json_count(doc, axes), shown = 0;
    char **headings = mem_array(axis_count + 1, sizeof *headings);
    auto_free struct table_column *columns = make_columns(doc, axes, headings);
    auto_table struct table *table = table_new(columns, axis_count + 1);

    for (json_at set = json_first(doc, sets); set != JSON_NONE && shown < SETS_SHOWN; shown++) {
        add_set(table, doc, axes, set);
        set = json_next(doc, sets, set);
    }
    if (axis_count > 0)
        table_print(table);
    if (axis_count > 0 && count > shown)
        printf("(and %" PRId64 " more; --json gives 1000)\n", count - shown);
    mem_free_texts(headings);
}

static void print_next(const struct json *doc, json_at schedule)
{
    auto_free char *words = run_doc_text(doc, schedule, "words");
    auto_buf struct buf out = {0};

    buf_puts(&out, "runs ");
    shown_put(&out, words ? words : "?");
    json_each (doc, json_get(doc, schedule, "next"), time) {
        auto_free char *text = job_text_next(doc, time);
        buf_puts(&out, "\n  ");
        shown_put(&out, text ? text : "?");
    }
    puts(buf_text(&out));
}

static void print_count(const struct json *doc)
{
    auto_buf struct buf line = {0}, shown = {0};

    job_text_put_sets(doc, json_get(doc, 0, "axes"), run_doc_int(doc, 0, "set_count", 0), &line);
    shown_put(&shown, buf_text(&line));
    puts(buf_text(&shown));
}

static void print_preview(const struct json *doc)
{
    print_count(doc);
    print_sets(doc, json_get(doc, 0, "axes"), json_get(doc, 0, "sets"),
               run_doc_int(doc, 0, "set_count", 0));
    print_next(doc, json_get(doc, 0, "schedule"));
}

/* --- creating --- */

static int wait_for_end(const struct client *client, const struct options *options,
                        const char *uuid)
{
    struct err e;
    int status = jobs_wait(client, uuid, 1, options->is_json ? JOBS_WAIT_JSON : JOBS_WAIT_TEXT);

    if (status <= EXIT_NOT_SUCCESS && !options->is_json &&
        jobs_print_results(client, uuid, "1", &e) < 0 && status == EXIT_DONE)
        return client_fail("jobs create", NULL, NULL, &e);
    return status;
}

static int after_creation(const struct client *client, const struct options *options,
                          const struct json *doc)
{
    auto_free char *uuid = run_doc_text(doc, 0, "uuid");
    auto_free char *status = run_doc_text(doc, 0, "status");

    if (options->is_json) {
        run_doc_print_line(doc, 0);
    } else {
        print_count(doc);
        printf("job %s, %s\n", uuid ? uuid : "?", status ? status : "?");
    }
    fflush(stdout);
    return options->is_waiting && uuid ? wait_for_end(client, options, uuid) : EXIT_DONE;
}

static int ask(const struct client *client, const struct options *options, const struct buf *body,
               struct json *ret_doc, struct problems *problems, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    struct uuid key = uuid_random();
    struct client_request request = {.path = options->is_preview ? "/api/v1/jobs/preview"
                                                                 : "/api/v1/jobs",
                                     .body = {body->data, body->len},
                                     .key = options->is_preview ? NULL : key.text};

    if (client_ask(client, &request, &answer, problems, e) < 0)
        return -1;
    return client_read(&answer, ret_doc, e);
}

static int create(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    auto_buf struct buf body = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0 ||
        make_body(client, options, &body, &problems, &e) < 0)
        return client_fail("jobs create", options->word, &problems, &e);
    if (ask(client, options, &body, &doc, &problems, &e) < 0)
        return jobs_refused("jobs create", options->word, &body, &problems, &e);
    if (!options->is_preview)
        return after_creation(client, options, &doc);
    if (options->is_json)
        run_doc_print_line(&doc, 0);
    else
        print_preview(&doc);
    return EXIT_DONE;
}

/* 1: go on. */
static int check_options(const struct jobs_args *args, const struct options *options)
{
    if (options->is_draft + options->is_preview + options->is_waiting > 1)
        return jobs_misused(args, "--draft, --preview and --wait exclude each other");
    return 1;
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
    static const struct jobs_args args = {"jobs create", CREATE_HELP, "hp:g:", table,
                                          take_option,   1,           1,       "pipeline"};
    struct options options = {0};
    int parsed = jobs_args_parse(&args, &options, argc, argv);

    if (parsed > 0) {
        options.word = argv[optind];
        parsed = check_options(&args, &options);
    }
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : create(&options);
    job_options_clear(&options.job);
    return status;
}

/* --- editing --- */

static int make_change(const struct client *client, const char *uuid, const struct options *options,
                       struct buf *body, struct err *e)
{
    auto_json struct json job = {0};

    if (job_get(client, uuid, "", &job, e) < 0)
        return -1;
    buf_putc(body, '{');
    if (job_options_put(&options->job, NULL, &job, body, e) < 0)
        return -1;
    buf_putc(body, '}');
    return 0;
}

static int edit(const struct options *options)
{
    auto_client struct client *client = NULL;
    auto_problems struct problems problems = {0};
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_buf struct buf body = {0}, out = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("jobs edit", NULL, NULL, &e);
    auto_free char *uuid = job_pick(client, options->word, &e);
    if (!uuid || make_change(client, uuid, options, &body, &e) < 0)
        return client_fail("jobs edit", NULL, NULL, &e);
    if (job_ask(client, "PUT", uuid, "", (struct str){body.data, body.len}, &answer, &problems,
                &e) < 0 ||
        client_read(&answer, &doc, &e) < 0)
        return jobs_refused("jobs edit", NULL, &body, &problems, &e);
    if (options->is_json) {
        run_doc_print_line(&doc, 0);
        return EXIT_DONE;
    }
    job_text_put(&doc, 0, &out);
    fwrite(out.data, 1, out.len, stdout);
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
    static const struct jobs_args args = {"jobs edit", EDIT_HELP, "h", table,
                                          take_option, 1,         1,   "job"};
    struct options options = {0};
    int parsed = jobs_args_parse(&args, &options, argc, argv);

    if (parsed > 0 && !job_options_any(&options.job))
        parsed = jobs_misused(&args, "nothing is to be changed");
    if (parsed > 0)
        options.word = argv[optind];
    int status = parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : edit(&options);
    job_options_clear(&options.job);
    return status;
}
