#include "api/commands/cmd_cancel.h"

#include "api/commands/run_doc.h"
#include "api/commands/run_options.h"
#include "api/commands/run_pick.h"
#include "base/mem.h"

#include <stdio.h>

static const char HELP[] = "usage: segue cancel RUN " CLIENT_USAGE "\n"
                           "\n"
                           "Stops a run: what runs of it is stopped, what waits does not start.\n"
                           "\n"
                           "  RUN               a run's uuid, or its first characters, 4 at least; "
                           "or latest\n" CLIENT_HELP;

static int cancel(const struct run_options *options)
{
    auto_client struct client *client = NULL;
    auto_http_answer struct http_answer answer = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("cancel", NULL, NULL, &e);
    auto_free char *uuid = run_pick(client, options->words[0], &e);
    if (!uuid || run_ask(client, "POST", uuid, "/cancel", "{}", &answer, &e) < 0)
        return client_fail("cancel", NULL, NULL, &e);
    printf("run %.*s is being cancelled\n", RUN_SHORT, uuid);
    return EXIT_DONE;
}

int cmd_cancel(int argc, char **argv)
{
    static const struct run_command command = {"cancel", HELP, 0, 1, 1, "run"};
    struct run_options options = {0};
    int parsed = run_options_parse(&options, &command, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : cancel(&options);
}
