#include "api/commands/jobs/cmd_jobs.h"

#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char HELP[] =
    "usage: segue jobs [VERB ...]\n"
    "\n"
    "Jobs are pipelines that the service runs many times: over sets of parameters, at a time, or\n"
    "on a schedule; in the background, on a copy of the project as it was.\n"
    "\n"
    "  list         the jobs; also what `segue jobs` does\n"
    "  create       make one of a pipeline\n"
    "  show         what one runs, when, and how far it is\n"
    "  fires        the times that it was due or triggered\n"
    "  results      what its runs reported beside what they were given, best first\n"
    "  compare      two runs side by side\n"
    "  edit         change it\n"
    "  confirm      begin a draft\n"
    "  pause        begin nothing new\n"
    "  resume       go on after a pause\n"
    "  trigger      run it now, whatever its schedule\n"
    "  refresh      copy the project anew, for what it runs from now on\n"
    "  duplicate    a new draft like it\n"
    "  abort        end it and what it runs\n"
    "  delete       the same, and remove it with its runs\n"
    "  webhooks     who is told when runs and jobs have ended\n"
    "\n"
    "segue jobs VERB --help tells more. A JOB is named by its uuid, the beginning of it (at least\n"
    "4 characters), or its name.\n";

/* Those that only name a job: METHOD /jobs/UUID`rest` with `body`; `done` is said. */
static const struct action {
    const char *name, *method, *rest, *body;
    const char *what; /* it does, for its help */
    const char *done;
} ACTIONS[] = {
    {"confirm", "POST", "/confirm", "{}", "Begins a job that is a draft: now, or when it is due.",
     "is confirmed"},
    {"pause", "POST", "/pause", "{}",
     "Begins no further set of a job, and lets it not be due; what runs goes on.", "is paused"},
    {"resume", "POST", "/resume", "{}", "Lets a job go on after a pause.", "goes on"},
    {"trigger", "POST", "/trigger", "{}", "Runs all sets of a job now, whatever its schedule says.",
     "is triggered"},
    {"refresh", "PUT", "", "{\"refresh\":true}",
     "Reads the pipeline file of a job and copies its project anew, for what it runs from now on.",
     "has a new copy of the project"},
    {"duplicate", "POST", "/duplicate", "{}",
     "Makes a draft with the same settings, of the project as it is now. Prints its uuid.",
     "is duplicated"},
    {"abort", "POST", "/abort", "{}",
     "Ends a job: what it runs is cancelled, and it is not due any more.", "is aborted"},
    {"delete", "DELETE", "", NULL,
     "Removes a job with its runs and their results; what runs of it is cancelled.", "is deleted"},
};

static const struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
} VERBS[] = {
    {"list", verb_list},       {"show", verb_show},         {"fires", verb_fires},
    {"create", verb_create},   {"edit", verb_edit},         {"results", verb_results},
    {"compare", verb_compare}, {"webhooks", verb_webhooks},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void say_done(const struct action *action, const char *uuid, const struct json *doc)
{
    auto_free char *made = run_doc_text(doc, 0, "uuid");

    if (strcmp(action->name, "duplicate") == 0)
        printf("job %s, DRAFT\n", made ? made : "?");
    else if (strcmp(action->name, "trigger") == 0)
        printf("job %.*s %s: fire %" PRId64 "\n", RUN_SHORT, uuid, action->done,
               run_doc_int(doc, 0, "number", 0));
    else
        printf("job %.*s %s\n", RUN_SHORT, uuid, action->done);
}

static int ask(const struct client *client, const struct action *action, const char *word,
               bool is_json, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    auto_free char *uuid = job_pick(client, word, e);

    if (!uuid || job_ask(client, action->method, uuid, action->rest, str_of(action->body), &answer,
                         NULL, e) < 0)
        return -1;
    if (answer.body.len > 0 && client_read(&answer, &doc, e) < 0)
        return -1;
    if (!is_json)
        say_done(action, uuid, &doc);
    else if (doc.count > 0) /* of what is deleted nothing is left to be shown */
        run_doc_print_line(&doc, 0);
    return 0;
}

static int act(const struct action *action, int argc, char **argv)
{
    auto_free char *name = mem_printf("jobs %s", action->name);
    auto_free char *help = mem_printf(
        "usage: segue jobs %s JOB [--json] " CLIENT_USAGE "\n\n%s\n\n"
        "  --json            %s as JSON\n" CLIENT_HELP,
        action->name, action->what, strcmp(action->name, "trigger") == 0 ? "the fire" : "the job");
    struct run_command command = {name, help, RUN_FLAG_JSON, 1, 1, "job"};
    auto_client struct client *client = NULL;
    struct run_options options = {0};
    struct err e;
    int parsed = run_options_parse(&options, &command, argc, argv);

    if (parsed <= 0)
        return parsed < 0 ? EXIT_INPUT : EXIT_DONE;
    if (client_new(&client, &options.client, &e) < 0 ||
        ask(client, action, options.words[0], options.flags & RUN_FLAG_JSON, &e) < 0)
        return client_fail(name, NULL, NULL, &e);
    return EXIT_DONE;
}

static int unknown(const char *word)
{
    const char *names[COUNT(VERBS) + COUNT(ACTIONS) + 1] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < COUNT(VERBS); i++)
        names[count++] = VERBS[i].name;
    for (size_t i = 0; i < COUNT(ACTIONS); i++)
        names[count++] = ACTIONS[i].name;
    const char *nearest = str_nearest(word, names);
    fprintf(stderr, "segue jobs: there is no \"%s\"%s%s%s\n(segue jobs --help tells more)\n", word,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return EXIT_INPUT;
}

int cmd_jobs(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "list";

    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        fputs(HELP, stdout);
        return EXIT_DONE;
    }
    if (argc < 2 || *word == '-') /* `segue jobs --json` */
        return verb_list(argc, argv);
    for (size_t i = 0; i < COUNT(VERBS); i++)
        if (strcmp(word, VERBS[i].name) == 0)
            return VERBS[i].run(argc - 1, argv + 1);
    for (size_t i = 0; i < COUNT(ACTIONS); i++)
        if (strcmp(word, ACTIONS[i].name) == 0)
            return act(&ACTIONS[i], argc - 1, argv + 1);
    return unknown(word);
}
