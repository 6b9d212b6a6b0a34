#include "api/commands/made_run.h"

#include "api/commands/run_doc.h"
#include "api/commands/shown.h"
#include "api/commands/watch.h"
#include "base/mem.h"

#include <stdio.h>

static void show_json(const struct json *doc)
{
    auto_buf struct buf out = {0};

    json_write(doc, 0, JSON_COMPACT, 0, &out);
    puts(buf_text(&out));
}

static void show_text(const struct json *doc, const char *uuid)
{
    auto_free char *name = run_doc_name(doc, 0);
    uint32_t count = json_count(doc, json_get(doc, 0, "steps"));
    auto_buf struct buf out = {0}, waiting = {0};

    shown_put(&out, name);
    buf_printf(&out, ": %u %s, run ", count, count == 1 ? "step" : "steps");
    shown_put(&out, uuid);
    run_doc_put_waiting(doc, 0, &waiting);
    if (waiting.len > 0)
        buf_puts(&out, "\n  ");
    shown_put(&out, buf_text(&waiting));
    puts(out.data);
}

int made_run(const struct client *client, const char *command, struct http_answer *answer,
             const struct made_run_options *options)
{
    auto_json struct json doc = {0};
    struct err e;

    if (client_read(answer, &doc, &e) < 0)
        return client_fail(command, NULL, NULL, &e);
    auto_free char *uuid = run_doc_text(&doc, 0, "uuid");
    if (!uuid) {
        err_set(&e, ERR_PROTOCOL, "the service's answer is no run");
        return client_fail(command, NULL, NULL, &e);
    }
    if (options->is_waiting)
        return watch_run(client, command, &doc, options->is_json ? PROGRESS_JSON : PROGRESS_TEXT);
    if (options->is_json)
        show_json(&doc);
    else
        show_text(&doc, uuid);
    return EXIT_DONE;
}
