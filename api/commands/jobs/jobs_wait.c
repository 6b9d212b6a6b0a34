/* A job has no stream of events of its own: it is asked for, twice a second. */
#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/screen.h"
#include "api/commands/shown.h"
#include "base/loop.h"
#include "base/mem.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define ASK_MS 500

/* Signals are heard between requests. */
#define ANSWER_MS 5000

/* The service may be started again meanwhile: after ten minutes we give up. */
#define PAUSE_MS     1000
#define FAILURES_MAX 600

/* Where no line can be written over, there is one for each tenth of the sets. */
#define TENTHS 10

struct waiting {
    const struct client *client;
    const char *job_uuid;
    uint32_t number;
    enum jobs_wait_style style;
    bool is_screen; /* its lines can be written over */
    struct loop *loop;
    struct loop_source *timer;
    uint32_t failures; /* times in a row that the service did not answer */
    char *shown;       /* what was shown last */
    int64_t tenths;    /* that were done then */
    bool is_live;      /* the last line is to be written over */
    int status;
};

/* --- showing --- */

static void end_line(struct waiting *waiting)
{
    if (waiting->is_live)
        putchar('\n');
    waiting->is_live = false;
}

/* What a person who waits wants to know. */
static void say(struct waiting *waiting, const char *text)
{
    auto_buf struct buf line = {0};

    shown_put_lines(&line, text, 2);
    if (waiting->style == JOBS_WAIT_JSON) {
        fprintf(stderr, "segue jobs: %s\n", buf_text(&line));
        return;
    }
    end_line(waiting);
    printf("%s\n", buf_text(&line));
    fflush(stdout);
}

static bool is_news(struct waiting *waiting, char *take_text)
{
    bool is_new = !waiting->shown || strcmp(take_text, waiting->shown) != 0;

    free(waiting->shown);
    waiting->shown = take_text;
    return is_new;
}

static void show_line(struct waiting *waiting, const char *line)
{
    auto_buf struct buf text = {0};

    shown_put(&text, line);
    if (waiting->is_screen)
        printf("\r\033[K%s", buf_text(&text));
    else
        puts(buf_text(&text));
    waiting->is_live = waiting->is_screen;
    fflush(stdout);
}

static int64_t tenths_of(const struct json *doc, json_at fire)
{
    int64_t total = run_doc_int(doc, fire, "set_count", 0);
    json_at counts = json_get(doc, fire, "counts");
    int64_t left = run_doc_int(doc, counts, "PENDING", 0) + run_doc_int(doc, counts, "STARTED", 0);

    return total > 0 ? (total - left) * TENTHS / total : TENTHS;
}

static void show_fire_text(struct waiting *waiting, const struct json *doc, json_at fire)
{
    int64_t tenths = tenths_of(doc, fire);
    int64_t running = run_doc_int(doc, json_get(doc, fire, "counts"), "STARTED", 0);
    bool is_first = !waiting->shown;
    auto_buf struct buf line = {0};

    job_text_put_counts(doc, fire, " sets done", &line);
    if (running > 0)
        buf_printf(&line, ", %" PRId64 " running", running);
    if (json_is(doc, json_get(doc, fire, "status"), "WAITING"))
        buf_puts(&line, ", waits for an earlier fire to end");
    if (!is_news(waiting, buf_take(&line)))
        return;
    if (is_first || waiting->is_screen || tenths > waiting->tenths)
        show_line(waiting, waiting->shown);
    waiting->tenths = tenths;
}

static void show_fire(struct waiting *waiting, const struct json *doc, json_at fire)
{
    auto_buf struct buf line = {0};

    if (waiting->style == JOBS_WAIT_TEXT) {
        show_fire_text(waiting, doc, fire);
        return;
    }
    json_write(doc, fire, JSON_COMPACT, 0, &line);
    if (is_news(waiting, buf_take(&line))) {
        puts(waiting->shown);
        fflush(stdout);
    }
}

/* --- looking --- */

static void end(struct waiting *waiting, int status)
{
    waiting->status = status;
    loop_stop(waiting->loop);
}

static bool is_ended(const char *status)
{
    return strcmp(status, "SUCCESS") == 0 || strcmp(status, "FAILURE") == 0 ||
           strcmp(status, "ABORTED") == 0 || strcmp(status, "SKIPPED") == 0;
}

static void look_at_fire(struct waiting *waiting, const struct json *doc, json_at fire)
{
    auto_free char *status = run_doc_text(doc, fire, "status");

    show_fire(waiting, doc, fire);
    if (!status || !is_ended(status))
        loop_arm_in(waiting->timer, ASK_MS);
    else
        end(waiting, strcmp(status, "SUCCESS") == 0 ? EXIT_DONE : EXIT_NOT_SUCCESS);
}

/* It was not due yet, or never will be. */
static void look_at_job(struct waiting *waiting, const struct json *doc)
{
    json_at next = json_item(doc, json_get(doc, json_get(doc, 0, "schedule"), "next"), 0);
    auto_free char *status = run_doc_text(doc, 0, "status");
    auto_free char *time = job_text_next(doc, next);
    char *line = mem_printf("the job is %s%s%s", status ? status : "?", time ? ", and due at " : "",
                            time ? time : "");

    if (is_news(waiting, line))
        say(waiting, line);
    if (status && is_ended(status) && run_doc_int(doc, 0, "fires_total", 0) < waiting->number)
        end(waiting, EXIT_NOT_SUCCESS);
    else
        loop_arm_in(waiting->timer, ASK_MS);
}

static int ask(const struct waiting *waiting, const char *rest, struct json *ret_doc, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_free char *path = mem_printf("/api/v1/jobs/%s%s", waiting->job_uuid, rest);
    struct client_request request = {.path = path, .timeout_ms = ANSWER_MS};

    if (client_ask(waiting->client, &request, &answer, NULL, e) < 0)
        return -1;
    return client_read(&answer, ret_doc, e);
}

static int look(struct waiting *waiting, struct err *e)
{
    auto_json struct json doc = {0}, job = {0};
    auto_free char *rest = mem_printf("/fires?number=%" PRIu32, waiting->number);

    if (ask(waiting, rest, &doc, e) < 0)
        return -1;
    json_at fire = json_item(&doc, json_get(&doc, 0, "fires"), 0);
    if (fire == JSON_NONE && ask(waiting, "", &job, e) < 0)
        return -1;
    if (fire != JSON_NONE)
        look_at_fire(waiting, &doc, fire);
    else
        look_at_job(waiting, &job);
    return 0;
}

static void lose(struct waiting *waiting, const struct err *e)
{
    auto_free char *text = mem_printf("%s; waiting for it ...", e->text);

    if (waiting->failures++ == 0)
        say(waiting, text);
    loop_arm_in(waiting->timer, PAUSE_MS);
}

static bool is_lost(const struct err *e)
{
    return e->code == ERR_UNAVAILABLE || e->code == ERR_TIMEOUT;
}

static void on_timer(void *user)
{
    struct waiting *waiting = user;
    struct err e;

    if (look(waiting, &e) == 0) {
        waiting->failures = 0;
    } else if (is_lost(&e) && waiting->failures < FAILURES_MAX) {
        lose(waiting, &e);
    } else if (e.code == ERR_NOT_FOUND) {
        say(waiting, "somebody has deleted the job");
        end(waiting, EXIT_NOT_SUCCESS);
    } else {
        end_line(waiting);
        end(waiting, client_fail("jobs", NULL, NULL, &e));
    }
}

static void on_signal(void *user, int signal_number)
{
    struct waiting *waiting = user;
    auto_free char *text = mem_printf("the job goes on; segue jobs show %.*s looks at it, segue "
                                      "jobs abort %.*s ends it",
                                      RUN_SHORT, waiting->job_uuid, RUN_SHORT, waiting->job_uuid);

    say(waiting, text);
    end(waiting, 128 + signal_number);
}

int jobs_wait(const struct client *client, const char *job_uuid, uint32_t number,
              enum jobs_wait_style style)
{
    struct waiting waiting = {.client = client,
                              .job_uuid = job_uuid,
                              .number = number,
                              .style = style,
                              .loop = loop_new(),
                              .is_screen = screen_is_live()};

    loop_add_signal(waiting.loop, SIGINT, on_signal, &waiting);
    loop_add_signal(waiting.loop, SIGTERM, on_signal, &waiting);
    waiting.timer = loop_add_timer(waiting.loop, on_timer, &waiting);
    loop_arm_in(waiting.timer, 0);
    loop_run(waiting.loop);
    loop_free(waiting.loop);
    end_line(&waiting);
    free(waiting.shown);
    return waiting.status;
}
