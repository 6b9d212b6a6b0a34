/* A job has no stream of events of its own: it is asked for, twice a second. */
#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "base/loop.h"
#include "base/mem.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ASK_MS 500

/* The service may be started again meanwhile: so often it is asked in vain before we give up. */
#define FAILURES_MAX 60

struct waiting {
    const struct client *client;
    const char *job_uuid;
    uint32_t number;
    struct loop *loop;
    struct loop_source *timer;
    bool is_screen;
    uint32_t failures;
    char *shown; /* the line that was shown last */
    int status;
};

static void show(struct waiting *waiting, const struct json *doc, json_at fire)
{
    json_at counts = json_get(doc, fire, "counts");
    char *line =
        mem_printf("%" PRId64 " of %" PRId64 " sets done, %" PRId64 " failed, %" PRId64 " running",
                   run_doc_int(doc, counts, "SUCCESS", 0), run_doc_int(doc, fire, "set_count", 0),
                   run_doc_int(doc, counts, "FAILURE", 0), run_doc_int(doc, counts, "STARTED", 0));

    if (!waiting->shown || strcmp(line, waiting->shown) != 0) {
        if (waiting->is_screen)
            printf("\r\033[K%s", line);
        else
            puts(line);
        fflush(stdout);
    }
    free(waiting->shown);
    waiting->shown = line;
}

static void end(struct waiting *waiting, int status)
{
    waiting->status = status;
    loop_stop(waiting->loop);
}

static json_at fire_of(const struct json *doc, uint32_t number)
{
    json_each (doc, json_get(doc, 0, "fires"), fire)
        if (run_doc_int(doc, fire, "number", 0) == number)
            return fire;
    return JSON_NONE;
}

static void look(struct waiting *waiting, const struct json *doc)
{
    json_at fire = fire_of(doc, waiting->number);
    auto_free char *status = run_doc_text(doc, fire, "status");

    show(waiting, doc, fire);
    if (!status || strcmp(status, "STARTED") == 0 || strcmp(status, "WAITING") == 0)
        loop_arm_in(waiting->timer, ASK_MS);
    else
        end(waiting, strcmp(status, "SUCCESS") == 0 ? EXIT_DONE : EXIT_NOT_SUCCESS);
}

static int ask(struct waiting *waiting, struct json *doc, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};

    if (job_ask(waiting->client, "GET", waiting->job_uuid, "/fires", (struct str){0}, &answer, NULL,
                e) < 0)
        return -1;
    return client_read(&answer, doc, e);
}

static void on_timer(void *user)
{
    struct waiting *waiting = user;
    auto_json struct json doc = {0};
    struct err e;

    if (ask(waiting, &doc, &e) == 0) {
        waiting->failures = 0;
        look(waiting, &doc);
    } else if (e.code == ERR_UNAVAILABLE && ++waiting->failures < FAILURES_MAX) {
        loop_arm_in(waiting->timer, 2 * ASK_MS);
    } else {
        end(waiting, client_fail("jobs", NULL, NULL, &e));
    }
}

static void on_signal(void *user, int signal_number)
{
    end(user, 128 + signal_number);
}

int jobs_wait(const struct client *client, const char *job_uuid, uint32_t number)
{
    struct waiting waiting = {.client = client,
                              .job_uuid = job_uuid,
                              .number = number,
                              .loop = loop_new(),
                              .is_screen = isatty(STDOUT_FILENO)};

    loop_add_signal(waiting.loop, SIGINT, on_signal, &waiting);
    loop_add_signal(waiting.loop, SIGTERM, on_signal, &waiting);
    waiting.timer = loop_add_timer(waiting.loop, on_timer, &waiting);
    loop_arm_in(waiting.timer, 0);
    loop_run(waiting.loop);
    loop_free(waiting.loop);
    if (waiting.is_screen && waiting.shown)
        putchar('\n');
    free(waiting.shown);
    return waiting.status;
}
