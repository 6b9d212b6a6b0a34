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
    "  pause, resume\n"
    "  trigger      run it now, whatever its schedule\n"
    "  refresh      copy the project anew, for what it runs from now on\n"
    "  duplicate    a new draft like it\n"
    "  abort        end it and what it runs\n"
    "  delete       the same, and remove it with its runs\n"
    "  webhooks     who is told when runs and jobs have ended\n"
    "\n"
    "segue jobs VERB --help tells more. A JOB is named by its uuid, the beginning of it, or its\n"
    "name.\n";

/* Those that only name a job: METHOD /jobs/UUID`rest` with `body`; `done` is said. */
static const struct action {
    const char *name, *method, *rest, *body, *done;
} ACTIONS[] = {
    {"confirm", "POST", "/confirm", "{}", "is confirmed"},
    {"pause", "POST", "/pause", "{}", "is paused"},
    {"resume", "POST", "/resume", "{}", "goes on"},
    {"trigger", "POST", "/trigger", "{}", "is triggered"},
    {"refresh", "PUT", "", "{\"refresh\":true}", "has a new copy of the project"},
    {"duplicate", "POST", "/duplicate", "{}", "has a twin"},
    {"abort", "POST", "/abort", "{}", "is aborted"},
    {"delete", "DELETE", "", NULL, "is deleted"},
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
        printf("job %s, a draft\n", made ? made : "?");
    else if (strcmp(action->name, "trigger") == 0)
        printf("job %.*s %s: number %" PRId64 "\n", RUN_SHORT, uuid, action->done,
               run_doc_int(doc, 0, "number", 0));
    else
        printf("job %.*s %s\n", RUN_SHORT, uuid, action->done);
}

static int ask(const struct client *client, const struct action *action, const char *word,
               bool is_json, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_problems struct problems problems = {0};
    auto_json struct json doc = {0};
    auto_free char *uuid = job_pick(client, word, e);

    if (!uuid || job_ask(client, action->method, uuid, action->rest, str_of(action->body), &answer,
                         &problems, e) < 0)
        return -1;
    if (is_json) {
        puts(buf_text(&answer.body));
        return 0;
    }
    if (answer.body.len > 0 && client_read(&answer, &doc, e) < 0)
        return -1;
    say_done(action, uuid, &doc);
    return 0;
}

static int act(const struct action *action, int argc, char **argv)
{
    auto_free char *name = mem_printf("jobs %s", action->name);
    auto_free char *help = mem_printf("usage: segue jobs %s JOB [--json] " CLIENT_USAGE
                                      "\n\nThe job %s.\n\n" CLIENT_HELP,
                                      action->name, action->done);
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
    static const char *const names[] = {"list",    "show",    "fires",    "create",    "edit",
                                        "results", "compare", "webhooks", "pause",     "confirm",
                                        "resume",  "trigger", "refresh",  "duplicate", "abort",
                                        "delete",  NULL};
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
    if (*word == '-') /* `segue jobs --json` */
        return verb_list(argc, argv);
    for (size_t i = 0; i < COUNT(VERBS); i++)
        if (strcmp(word, VERBS[i].name) == 0)
            return argc > 1 ? VERBS[i].run(argc - 1, argv + 1) : VERBS[i].run(argc, argv);
    for (size_t i = 0; i < COUNT(ACTIONS); i++)
        if (strcmp(word, ACTIONS[i].name) == 0)
            return act(&ACTIONS[i], argc - 1, argv + 1);
    return unknown(word);
}
