#include "api/commands/cmd_delete.h"

#include "api/commands/run_doc.h"
#include "api/commands/run_options.h"
#include "api/commands/run_pick.h"
#include "base/mem.h"

#include <limits.h>
#include <stdio.h>

static const char HELP[] =
    "usage: segue delete RUN... " CLIENT_USAGE "\n"
    "\n"
    "Removes runs that have ended, with their logs, executed notebooks and results.\n"
    "\n"
    "  RUN               a run's uuid, or its first characters, 4 at least; or "
    "latest\n" CLIENT_HELP;

static int delete_run(const struct client *client, const char *word)
{
    auto_http_answer struct http_answer answer = {0};
    struct err e;
    auto_free char *uuid = run_pick(client, word, &e);

    if (!uuid || run_ask(client, "DELETE", uuid, "", NULL, &answer, &e) < 0)
        return client_fail("delete", NULL, NULL, &e);
    printf("run %.*s is deleted\n", RUN_SHORT, uuid);
    return EXIT_DONE;
}

static int delete_all(const struct run_options *options)
{
    auto_client struct client *client = NULL;
    struct err e;
    int status = EXIT_DONE;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("delete", NULL, NULL, &e);
    for (int i = 0; i < options->word_count && status != EXIT_UNAVAILABLE; i++) {
        int one = delete_run(client, options->words[i]);
        status = status == EXIT_DONE ? one : status;
    }
    return status;
}

int cmd_delete(int argc, char **argv)
{
    static const struct run_command command = {"delete", HELP, 0, 1, INT_MAX, "run"};
    struct run_options options = {0};
    int parsed = run_options_parse(&options, &command, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : delete_all(&options);
}
