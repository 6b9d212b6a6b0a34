#include "api/commands/watch.h"

#include "api/commands/follow.h"
#include "api/commands/run_doc.h"
#include "base/fs.h"
#include "base/mem.h"

#include <signal.h>
#include <stdio.h>

/* A run with the texts that progress borrows. */
struct described {
    struct progress_run run;
    struct progress_step *steps;
    char *name, *uuid;
};

struct watch {
    struct loop *loop;
    struct progress *progress;
    const char *uuid;
    bool is_finished; /* run_finished came */
    bool is_deleted;
    bool has_failed; /* `error` says why */
    struct err error;
    int signal_number;
};

/* --- the description --- */

static void describe_step(const struct json *doc, json_at step, bool in_place,
                          struct progress_step *ret_step)
{
    auto_free char *path = run_doc_text(doc, step, "file_path");
    char *uuid = run_doc_text(doc, step, "step_uuid");
    bool is_notebook = path && strcmp(fs_extension(path), ".ipynb") == 0;

    *ret_step = (struct progress_step){
        .uuid = uuid ? uuid : mem_strdup(""),
        .label = run_doc_label(doc, step),
        .executed = in_place && is_notebook ? take_ptr(&path) : NULL,
    };
}

static void describe(const struct json *doc, struct described *described)
{
    json_at steps = json_get(doc, 0, "steps");
    bool in_place = json_is_true(doc, json_get(doc, 0, "in_place"));
    uint32_t count = 0;

    described->steps = mem_array(json_count(doc, steps) + 1, sizeof *described->steps);
    json_each (doc, steps, step)
        describe_step(doc, step, in_place, &described->steps[count++]);
    described->name = run_doc_name(doc, 0);
    described->uuid = run_doc_text(doc, 0, "uuid");
    described->run = (struct progress_run){.name = described->name,
                                           .uuid = described->uuid,
                                           .steps = described->steps,
                                           .count = count};
}

static void described_clear(struct described *described)
{
    for (uint32_t i = 0; i < described->run.count; i++) {
        free((char *)described->steps[i].uuid);
        free((char *)described->steps[i].label);
        free((char *)described->steps[i].executed);
    }
    free(described->steps);
    free(described->name);
    free(described->uuid);
}

/* --- what happens --- */

static void on_event(void *user, const char *name, struct str json)
{
    struct watch *watch = user;

    watch->is_finished |= strcmp(name, "run_finished") == 0;
    watch->is_deleted |= strcmp(name, "run_deleted") == 0;
    progress_event(watch->progress, name, json);
}

static void on_say(void *user, const char *text)
{
    struct watch *watch = user;

    progress_say(watch->progress, text);
}

static void on_ended(void *user, const struct err *e)
{
    struct watch *watch = user;

    if (e && e->code == ERR_NOT_FOUND)
        watch->is_deleted = true;
    else if (e)
        watch->error = *e;
    watch->has_failed = e && !watch->is_deleted;
    loop_stop(watch->loop);
}

static void on_signal(void *user, int signal_number)
{
    struct watch *watch = user;

    watch->signal_number = signal_number;
    loop_stop(watch->loop);
}

/* --- how it ends --- */

static int leave(const struct watch *watch)
{
    auto_free char *text =
        mem_printf("the run goes on; segue cancel %.*s stops it", RUN_SHORT, watch->uuid);

    progress_say(watch->progress, text);
    return 128 + watch->signal_number;
}

/* The end of the run did not come as an event: it was missed, and is not given again. */
static int ask_for_end(const struct client *client, const char *command, const struct watch *watch)
{
    auto_free char *path = mem_printf("/api/v1/runs/%s", watch->uuid);
    auto_json struct json doc = {0};
    struct err e;

    if (client_get(client, path, &doc, &e) < 0)
        return client_fail(command, NULL, NULL, &e);
    return run_doc_exit_status(&doc, 0);
}

static int end(const struct client *client, const char *command, const struct watch *watch)
{
    auto_free char *footer = mem_printf("logs: segue logs %.*s", RUN_SHORT, watch->uuid);

    if (watch->signal_number)
        return leave(watch);
    if (watch->has_failed)
        return client_fail(command, NULL, NULL, &watch->error);
    if (watch->is_deleted && !watch->is_finished) {
        progress_say(watch->progress, "somebody has deleted the run");
        return EXIT_NOT_SUCCESS;
    }
    if (!watch->is_finished)
        return ask_for_end(client, command, watch);
    progress_end(watch->progress, footer);
    return progress_exit_status(watch->progress);
}

static void say_waiting(struct progress *progress, const struct json *run)
{
    auto_buf struct buf waiting = {0};

    run_doc_put_waiting(run, 0, &waiting);
    if (waiting.len > 0)
        progress_say(progress, waiting.data);
}

int watch_run(const struct client *client, const char *command, const struct json *run,
              enum progress_style style)
{
    static const struct follow_events events = {
        .event = on_event, .say = on_say, .ended = on_ended};
    struct described described = {0};
    struct watch watch = {.loop = loop_new()};

    describe(run, &described);
    watch.uuid = described.uuid;
    watch.progress = progress_new(watch.loop, style);
    loop_add_signal(watch.loop, SIGINT, on_signal, &watch);
    loop_add_signal(watch.loop, SIGTERM, on_signal, &watch);
    progress_begin(watch.progress, &described.run);
    if (style == PROGRESS_TEXT)
        say_waiting(watch.progress, run);
    struct follow *follow = follow_new(watch.loop, client, described.uuid, 0, &events, &watch);
    loop_run(watch.loop);
    follow_free(follow);
    int status = end(client, command, &watch);
    progress_free(watch.progress);
    loop_free(watch.loop);
    described_clear(&described);
    return status;
}
