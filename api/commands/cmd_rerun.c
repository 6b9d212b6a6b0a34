#include "api/commands/cmd_rerun.h"

#include "api/commands/made_run.h"
#include "api/commands/run_options.h"
#include "api/commands/run_pick.h"
#include "base/mem.h"

static const char HELP[] =
    "usage: segue rerun RUN [--failed] [--wait] [--json] " CLIENT_USAGE "\n"
    "\n"
    "Runs again what a run was: the same definition, parameters and images, as a new run.\n"
    "\n"
    "  RUN               a run's uuid, or its first characters, 4 at least; or latest\n"
    "  --failed          only the steps that did not succeed\n"
    "  --wait            show the new run and wait for its end\n"
    "  --json            the new run as JSON; with --wait one event a line\n" CLIENT_HELP;

static int rerun(const struct run_options *options)
{
    auto_client struct client *client = NULL;
    auto_http_answer struct http_answer answer = {0};
    const char *body =
        options->flags & RUN_FLAG_FAILED ? "{\"from\":\"failed\"}" : "{\"from\":\"start\"}";
    struct made_run_options made = {.is_waiting = options->flags & RUN_FLAG_WAIT,
                                    .is_json = options->flags & RUN_FLAG_JSON};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("rerun", NULL, NULL, &e);
    auto_free char *uuid = run_pick(client, options->words[0], &e);
    if (!uuid || run_ask(client, "POST", uuid, "/rerun", body, &answer, &e) < 0)
        return client_fail("rerun", NULL, NULL, &e);
    return made_run(client, "rerun", &answer, &made);
}

int cmd_rerun(int argc, char **argv)
{
    static const struct run_command command = {
        "rerun", HELP, RUN_FLAG_JSON | RUN_FLAG_WAIT | RUN_FLAG_FAILED, 1, 1, "run"};
    struct run_options options = {0};
    int parsed = run_options_parse(&options, &command, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : rerun(&options);
}
