#include "api/commands/cmd_show.h"

#include "api/commands/run_doc.h"
#include "api/commands/run_options.h"
#include "api/commands/run_pick.h"
#include "api/commands/screen.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

static const char HELP[] =
    "usage: segue show RUN [--json] " CLIENT_USAGE "\n"
    "\n"
    "Shows a run and its steps: how far they are, how long they took, why they failed.\n"
    "\n"
    "  RUN               a run's uuid, or its first characters, 4 at least; or latest\n"
    "  --json            the run as JSON\n" CLIENT_HELP;

static int ask(const struct run_options *options, struct json *ret_doc, struct err *e)
{
    auto_client struct client *client = NULL;
    auto_http_answer struct http_answer answer = {0};

    if (client_new(&client, &options->client, e) < 0)
        return -1;
    auto_free char *uuid = run_pick(client, options->words[0], e);
    if (!uuid || run_ask(client, "GET", uuid, "", NULL, &answer, e) < 0)
        return -1;
    return client_read(&answer, ret_doc, e);
}

static int show(const struct run_options *options)
{
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};
    struct err e;

    if (ask(options, &doc, &e) < 0)
        return client_fail("show", NULL, NULL, &e);
    if (options->flags & RUN_FLAG_JSON) {
        json_write(&doc, 0, JSON_COMPACT, 0, &out);
        buf_putc(&out, '\n');
    } else {
        run_doc_put(&doc, 0, clock_wall_us(), screen_width(), &out);
    }
    fwrite(out.data, 1, out.len, stdout);
    return EXIT_DONE;
}

int cmd_show(int argc, char **argv)
{
    static const struct run_command command = {"show", HELP, RUN_FLAG_JSON, 1, 1, "run"};
    struct run_options options = {0};
    int parsed = run_options_parse(&options, &command, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : show(&options);
}
