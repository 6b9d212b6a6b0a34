/* A log is read in ranges, each from where the last one ended. Following, the run's events say when
 * there may be more to read, so that nothing is asked for in vain. */
#include "api/commands/cmd_logs.h"

#include "api/commands/follow.h"
#include "api/commands/log_text.h"
#include "api/commands/run_doc.h"
#include "api/commands/run_options.h"
#include "api/commands/run_pick.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>

/* How much is asked for at a time; bounds what is in memory. */
#define PIECE_BYTES (1l << 20)

/* A longer line among those of other steps is shown in parts. */
#define LINE_MOST 65536u

#define LABEL_MOST 24

static const char HELP[] =
    "usage: segue logs RUN [STEP] [-f] " CLIENT_USAGE "\n"
    "\n"
    "Shows what the steps of a run have printed; of a step that was tried again the latest\n"
    "attempt.\n"
    "\n"
    "  RUN               a run's uuid, or its first characters, 4 at least; or latest\n"
    "  STEP              only this one: a uuid, a title or a file path; of several steps each\n"
    "                    line begins with the step's title\n"
    "  -f, --follow      go on until the run, or the step, has ended\n" CLIENT_HELP;

/* The log of a step. */
struct source {
    char *uuid;
    char *label;
    int64_t attempt; /* 0: it has not started */
    int64_t offset;  /* read so far */
    bool has_ended;
    bool has_news; /* there may be more to read */
    struct log_text text;
    struct buf line; /* not whole yet; only where lines are marked */
};

struct logs {
    const struct client *client;
    char *run_uuid;
    struct source *sources;
    uint32_t count;
    int label_width; /* 0: lines are not marked */
    /* Following. */
    struct loop *loop;
    struct loop_source *reading; /* a timer: read what there is news of */
    bool has_failed;
    struct err error;
};

/* --- writing --- */

static void put_label(const struct logs *logs, const struct source *source, struct buf *out)
{
    shown_put_column(out, source->label, logs->label_width);
    buf_puts(out, " | ");
}

/* A colour ends with its line, as the next one may be another step's. */
static void put_marked(const struct logs *logs, const struct source *source, const char *line,
                       size_t len, struct buf *out)
{
    put_label(logs, source, out);
    buf_put(out, line, len);
    if (memchr(line, '\033', len))
        buf_puts(out, "\033[0m");
    buf_putc(out, '\n');
}

static void put_whole_lines(const struct logs *logs, struct source *source, struct buf *out)
{
    size_t start = 0;

    while (start < source->line.len) {
        const char *line = source->line.data + start;
        size_t left = source->line.len - start;
        const char *end = memchr(line, '\n', left);
        if (!end && left <= LINE_MOST)
            break;
        put_marked(logs, source, line, end ? (size_t)(end - line) : left, out);
        start += end ? (size_t)(end - line) + 1 : left;
    }
    buf_consume(&source->line, start);
}

static void write_out(const struct buf *out)
{
    fwrite(buf_text(out), 1, out->len, stdout);
    fflush(stdout);
}

static void show(const struct logs *logs, struct source *source, struct str bytes)
{
    auto_buf struct buf out = {0};

    if (logs->label_width == 0) {
        log_text_put(&source->text, bytes, &out);
    } else {
        log_text_put(&source->text, bytes, &source->line);
        put_whole_lines(logs, source, &out);
    }
    write_out(&out);
}

/* What was held back: no more comes of this attempt. */
static void show_rest(const struct logs *logs, struct source *source)
{
    auto_buf struct buf out = {0};

    if (logs->label_width > 0)
        source->text.is_coloured = false; /* every line has undone its own */
    log_text_end(&source->text, logs->label_width == 0 ? &out : &source->line);
    put_whole_lines(logs, source, &out);
    if (source->line.len > 0)
        put_marked(logs, source, source->line.data, source->line.len, &out);
    buf_reset(&source->line);
    write_out(&out);
}

/* --- reading --- */

/* 1: there is more, 0: that was all for now. */
static int read_piece(const struct logs *logs, struct source *source, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_free char *range =
        mem_printf("%" PRId64 "-%" PRId64, source->offset, source->offset + PIECE_BYTES - 1);
    auto_free char *path = mem_printf("/api/v1/runs/%s/steps/%s/log?attempt=%" PRId64,
                                      logs->run_uuid, source->uuid, source->attempt);
    struct client_request request = {.path = path, .range = range};

    if (client_ask(logs->client, &request, &answer, NULL, e) < 0)
        return -1;
    if (answer.status == 416 || answer.body.len == 0)
        return 0;
    if (answer.status != 206 && source->offset > 0)
        return err_set(e, ERR_PROTOCOL, "the service gives logs only as a whole");
    show(logs, source, (struct str){answer.body.data, answer.body.len});
    source->offset += (int64_t)answer.body.len;
    return answer.status == 206 && answer.body.len == PIECE_BYTES;
}

/* A log that is not there (any more) holds nothing. */
static int read_source(const struct logs *logs, struct source *source, struct err *e)
{
    int more = source->attempt > 0;

    while (more > 0 && !ferror(stdout))
        more = read_piece(logs, source, e);
    source->has_news = false;
    return more < 0 && e->code != ERR_NOT_FOUND ? -1 : 0;
}

/* --- following --- */

static void stop(struct logs *logs, const struct err *e)
{
    if (e) {
        logs->has_failed = true;
        logs->error = *e;
    }
    loop_stop(logs->loop);
}

/* Everything that was asked for has ended. */
static bool is_over(const struct logs *logs)
{
    for (uint32_t i = 0; i < logs->count; i++)
        if (!logs->sources[i].has_ended)
            return false;
    return true;
}

static void on_reading(void *user)
{
    struct logs *logs = user;
    struct err e;

    for (uint32_t i = 0; i < logs->count; i++) {
        struct source *source = &logs->sources[i];
        if (source->has_news && read_source(logs, source, &e) < 0) {
            stop(logs, &e);
            return;
        }
    }
    if (is_over(logs) || ferror(stdout))
        stop(logs, NULL);
}

/* Another attempt has a log of its own. */
static int begin_attempt(struct logs *logs, struct source *source, int64_t attempt, struct err *e)
{
    auto_free char *heading = mem_printf("--- attempt %" PRId64 " ---\n", attempt);

    if (attempt <= source->attempt)
        return 0;
    if (read_source(logs, source, e) < 0)
        return -1;
    show_rest(logs, source);
    source->attempt = attempt;
    source->offset = 0;
    if (attempt > 1)
        show(logs, source, str_of(heading));
    return 0;
}

static struct source *source_of(const struct logs *logs, const struct json *event)
{
    json_at uuid = json_get(event, 0, "step_uuid");

    for (uint32_t i = 0; i < logs->count; i++)
        if (json_is(event, uuid, logs->sources[i].uuid))
            return &logs->sources[i];
    return NULL;
}

/* The reading waits until all events that have come were seen. */
static void on_event(void *user, const char *name, struct str json)
{
    struct logs *logs = user;
    auto_json struct json event = {0};
    struct err e;

    if (json_parse(&event, json, JSON_TOLERANT, NULL, &e) < 0)
        return;
    struct source *source = source_of(logs, &event);
    if (!source)
        return;
    if (strcmp(name, "step_started") == 0 &&
        begin_attempt(logs, source, run_doc_int(&event, 0, "attempt", 1), &e) < 0) {
        stop(logs, &e);
        return;
    }
    source->has_ended |= strcmp(name, "step_finished") == 0;
    source->has_news = true;
    loop_arm_in(logs->reading, 0);
}

static void on_say(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "segue logs: %s\n", text);
}

/* The run has ended, and every step with it. */
static void on_ended(void *user, const struct err *e)
{
    struct logs *logs = user;

    for (uint32_t i = 0; i < logs->count; i++)
        logs->sources[i].has_ended = true;
    if (e)
        stop(logs, e);
    else
        loop_arm_in(logs->reading, 0);
}

static int follow_logs(struct logs *logs, int64_t after, struct err *e)
{
    static const struct follow_events events = {
        .event = on_event, .say = on_say, .ended = on_ended};

    logs->loop = loop_new();
    logs->reading = loop_add_timer(logs->loop, on_reading, logs);
    struct follow *follow =
        follow_new(logs->loop, logs->client, logs->run_uuid, after, &events, logs);
    loop_run(logs->loop);
    follow_free(follow);
    loop_free(logs->loop);
    if (logs->has_failed)
        *e = logs->error;
    return logs->has_failed ? -1 : 0;
}

/* --- from the run to its logs --- */

static void add_source(struct logs *logs, const struct json *doc, json_at step)
{
    struct source *source = &logs->sources[logs->count++];
    char *uuid = run_doc_text(doc, step, "step_uuid");

    *source = (struct source){
        .uuid = uuid ? uuid : mem_strdup(""),
        .label = run_doc_label(doc, step),
        .attempt = run_doc_int(doc, step, "attempt", 0),
        .has_ended = status_is_final(run_doc_status(doc, step)),
    };
}

static void add_all(struct logs *logs, const struct json *doc, json_at steps)
{
    json_each (doc, steps, step)
        add_source(logs, doc, step);
    for (uint32_t i = 0; i < logs->count && logs->count > 1; i++) {
        int width = shown_width(logs->sources[i].label);
        width = width > LABEL_MOST ? LABEL_MOST : width;
        logs->label_width = width > logs->label_width ? width : logs->label_width;
    }
}

static int choose(struct logs *logs, const struct json *doc, const char *word, struct err *e)
{
    json_at steps = json_get(doc, 0, "steps"), step;

    logs->sources = mem_array(json_count(doc, steps) + 1, sizeof *logs->sources);
    if (!word) {
        add_all(logs, doc, steps);
        return 0;
    }
    if (run_doc_find_step(doc, 0, word, &step, e) < 0)
        return -1;
    add_source(logs, doc, step);
    return 0;
}

static int show_logs(struct logs *logs, const struct run_options *options, struct err *e)
{
    auto_http_answer struct http_answer answer = {0};
    auto_json struct json doc = {0};
    const char *word = options->word_count > 1 ? options->words[1] : NULL;

    if (run_ask(logs->client, "GET", logs->run_uuid, "", NULL, &answer, e) < 0 ||
        client_read(&answer, &doc, e) < 0 || choose(logs, &doc, word, e) < 0)
        return -1;
    for (uint32_t i = 0; i < logs->count; i++)
        if (read_source(logs, &logs->sources[i], e) < 0)
            return -1;
    if (word && logs->sources->attempt == 0)
        fprintf(stderr, "segue logs: the step has not started\n");
    if ((options->flags & RUN_FLAG_FOLLOW) && !is_over(logs) &&
        follow_logs(logs, run_doc_int(&doc, 0, "last_event_id", 0), e) < 0)
        return -1;
    for (uint32_t i = 0; i < logs->count; i++)
        show_rest(logs, &logs->sources[i]);
    return 0;
}

static void logs_clear(struct logs *logs)
{
    for (uint32_t i = 0; i < logs->count; i++) {
        free(logs->sources[i].uuid);
        free(logs->sources[i].label);
        log_text_clear(&logs->sources[i].text);
        buf_clear(&logs->sources[i].line);
    }
    free(logs->sources);
    free(logs->run_uuid);
}

static int run(const struct run_options *options)
{
    auto_client struct client *client = NULL;
    __attribute__((cleanup(logs_clear))) struct logs logs = {0};
    struct err e;

    if (client_new(&client, &options->client, &e) < 0)
        return client_fail("logs", NULL, NULL, &e);
    logs.client = client;
    logs.run_uuid = run_pick(client, options->words[0], &e);
    if (!logs.run_uuid || show_logs(&logs, options, &e) < 0)
        return client_fail("logs", NULL, NULL, &e);
    return EXIT_DONE;
}

int cmd_logs(int argc, char **argv)
{
    static const struct run_command command = {"logs", HELP, RUN_FLAG_FOLLOW, 1, 2, "run"};
    struct run_options options = {0};
    int parsed = run_options_parse(&options, &command, argc, argv);

    return parsed < 0 ? EXIT_INPUT : parsed == 0 ? EXIT_DONE : run(&options);
}
