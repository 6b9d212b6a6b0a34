#include "api/commands/run_doc.h"

#include "api/commands/shown.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kernel-gateway/cause.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* --- reading --- */

char *run_doc_text(const struct json *doc, json_at object, const char *key)
{
    return json_strdup(doc, json_get(doc, object, key));
}

int64_t run_doc_int(const struct json *doc, json_at object, const char *key, int64_t otherwise)
{
    int64_t value;

    return json_int(doc, json_get(doc, object, key), &value) ? value : otherwise;
}

enum status run_doc_status(const struct json *doc, json_at object)
{
    auto_free char *name = run_doc_text(doc, object, "status");
    enum status status = STATUS_PENDING;
    struct err ignored;

    status_parse(name ? name : "", &status, &ignored);
    return status;
}

/* The first of the members that is a text and not empty. */
static char *first_text(const struct json *doc, json_at object, const char *const *keys)
{
    for (size_t i = 0; keys[i]; i++) {
        auto_free char *text = run_doc_text(doc, object, keys[i]);
        if (text && *text)
            return take_ptr(&text);
    }
    return mem_strdup("?");
}

char *run_doc_name(const struct json *doc, json_at run)
{
    static const char *const keys[] = {"pipeline_name", "pipeline_path", "uuid", NULL};

    return first_text(doc, run, keys);
}

char *run_doc_label(const struct json *doc, json_at step)
{
    static const char *const keys[] = {"title", "file_path", "step_uuid", NULL};

    return first_text(doc, step, keys);
}

enum exit_status run_doc_exit_status(const struct json *doc, json_at run)
{
    if (run_doc_status(doc, run) == STATUS_SUCCESS)
        return EXIT_DONE;
    json_each (doc, json_get(doc, run, "steps"), step) {
        json_at cause = json_get(doc, json_get(doc, step, "failure"), "cause");
        if (json_is(doc, cause, cause_name(CAUSE_LAUNCHER_UNAVAILABLE)))
            return EXIT_UNAVAILABLE;
    }
    return EXIT_NOT_SUCCESS;
}

/* Microseconds since 1970; -1: not yet. */
static int64_t time_of(const struct json *doc, json_at object, const char *key)
{
    auto_free char *text = run_doc_text(doc, object, key);

    return text ? time_text_parse(text) : -1;
}

/* --- the step that is meant --- */

static const char *const STEP_NAMES[] = {"step_uuid", "title", "file_path"};

#define STEP_NAME_COUNT 3

static bool is_called(const struct json *doc, json_at step, const char *word)
{
    for (size_t i = 0; i < STEP_NAME_COUNT; i++)
        if (json_is(doc, json_get(doc, step, STEP_NAMES[i]), word))
            return true;
    return false;
}

static int fail_unknown_step(const struct json *doc, json_at steps, const char *word, struct err *e)
{
    uint32_t count = json_count(doc, steps), at = 0;
    auto_free char **names = mem_array(STEP_NAME_COUNT * (size_t)count + 1, sizeof *names);

    json_each (doc, steps, step)
        for (size_t i = 0; i < STEP_NAME_COUNT; i++)
            if ((names[at] = run_doc_text(doc, step, STEP_NAMES[i])))
                at++;
    const char *nearest = str_nearest(word, (const char *const *)names);
    err_set(e, ERR_NOT_FOUND, "the run has no step \"%s\"%s%s%s", word,
            nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    while (at > 0)
        free(names[--at]);
    return -1;
}

int run_doc_find_step(const struct json *doc, json_at run, const char *word, json_at *ret_step,
                      struct err *e)
{
    json_at steps = json_get(doc, run, "steps"), found = JSON_NONE;
    uint32_t count = 0;

    json_each (doc, steps, step) {
        if (!is_called(doc, step, word))
            continue;
        found = step;
        count++;
        if (json_is(doc, json_get(doc, step, "step_uuid"), word)) {
            count = 1;
            break;
        }
    }
    if (count == 0)
        return fail_unknown_step(doc, steps, word, e);
    if (count > 1)
        return err_set(e, ERR_INVALID,
                       "\"%s\" may be any of %" PRIu32 " steps of the run: name it by its uuid",
                       word, count);
    *ret_step = found;
    return 0;
}

/* --- pieces of text --- */

/* As the clock on the wall of whoever looks shows it. NULL: not yet. */
char *run_doc_time(const struct json *doc, json_at object, const char *key)
{
    int64_t us = time_of(doc, object, key);
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    char text[40];

    if (us < 0 || !localtime_r(&seconds, &tm) ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        return NULL;
    return mem_strdup(text);
}

/* How long it took, or has taken so far. NULL: it has not started. */
static char *duration(const struct json *doc, json_at object, int64_t now_us)
{
    int64_t started = time_of(doc, object, "started_time");
    int64_t finished = time_of(doc, object, "finished_time");
    struct buf out = {0};

    if (started < 0)
        return NULL;
    shown_put_duration(&out, ((finished < 0 ? now_us : finished) - started) / 1000);
    return buf_take(&out);
}

char *run_doc_short_id(const struct json *doc, json_at object, const char *key)
{
    char *uuid = run_doc_text(doc, object, key);

    if (uuid && strlen(uuid) > RUN_SHORT)
        uuid[RUN_SHORT] = 0;
    return uuid;
}

void run_doc_put_waiting(const struct json *doc, json_at run, struct buf *out)
{
    auto_free char *older = run_doc_short_id(doc, run, "waiting_for");
    int64_t position = run_doc_int(doc, run, "queue_position", 0);

    if (position > 0)
        buf_printf(out, "number %" PRId64 " in the queue", position);
    if (older) {
        buf_puts(out, position > 0 ? ", " : "");
        buf_printf(out, "waits for run %s of the same pipeline", older);
    }
}

/* --- the list --- */

static const struct table_column LIST_COLUMNS[] = {
    {"RUN", 0}, {"STATUS", 0}, {"CREATED", 0}, {"TIME", 0}, {"PIPELINE", 10}, {"PROJECT", 8},
};

struct table *run_doc_list_new(void)
{
    return table_new(LIST_COLUMNS, sizeof LIST_COLUMNS / sizeof *LIST_COLUMNS);
}

void run_doc_add(struct table *list, const struct json *doc, json_at run, int64_t now_us)
{
    table_add(list, run_doc_short_id(doc, run, "uuid"));
    table_add(list, run_doc_text(doc, run, "status"));
    table_add(list, run_doc_time(doc, run, "created_time"));
    table_add(list, duration(doc, run, now_us));
    table_add(list, run_doc_name(doc, run));
    table_add(list, run_doc_text(doc, run, "project"));
}

/* --- one run --- */

static const struct table_column STEP_COLUMNS[] = {
    {"STEP", 10}, {"STATUS", 0}, {"TIME", 0}, {"CELLS", 0}, {"FILE", 8},
};

static void put_line(struct buf *out, const char *heading, const char *text)
{
    if (!text || !*text)
        return;
    buf_printf(out, "%-10s ", heading);
    shown_put(out, text);
    buf_putc(out, '\n');
}

static void put_member(struct buf *out, const char *heading, const struct json *doc, json_at run,
                       const char *key)
{
    auto_free char *text = run_doc_text(doc, run, key);

    put_line(out, heading, text);
}

static void put_status(struct buf *out, const struct json *doc, json_at run, int64_t now_us)
{
    auto_free char *status = run_doc_text(doc, run, "status");
    auto_free char *time = duration(doc, run, now_us);
    auto_buf struct buf line = {0};

    buf_puts(&line, status ? status : "?");
    if (time && run_doc_status(doc, run) != STATUS_STARTED)
        buf_printf(&line, " in %s", time + strspn(time, " "));
    auto_buf struct buf waiting = {0};
    run_doc_put_waiting(doc, run, &waiting);
    if (waiting.len > 0)
        buf_printf(&line, ", %s", waiting.data);
    put_line(out, "status", buf_text(&line));
}

static void put_time(struct buf *out, const char *heading, const struct json *doc, json_at run,
                     const char *key)
{
    auto_free char *text = run_doc_time(doc, run, key);

    put_line(out, heading, text);
}

static void put_parameters(struct buf *out, const struct json *doc, json_at run)
{
    json_at parameters = json_get(doc, run, "parameters");
    auto_buf struct buf text = {0};

    if (json_count(doc, parameters) == 0)
        return;
    json_write(doc, parameters, JSON_COMPACT, 0, &text);
    put_line(out, "parameters", text.data);
}

static void put_head(struct buf *out, const struct json *doc, json_at run, int64_t now_us)
{
    auto_free char *name = run_doc_name(doc, run);
    auto_free char *run_type = run_doc_text(doc, run, "run_type");

    put_member(out, "run", doc, run, "uuid");
    put_line(out, "pipeline", name);
    put_member(out, "file", doc, run, "pipeline_path");
    put_member(out, "project", doc, run, "project");
    if (run_type && strcmp(run_type, "full") != 0)
        put_line(out, "part", run_type);
    put_status(out, doc, run, now_us);
    put_time(out, "created", doc, run, "created_time");
    put_time(out, "started", doc, run, "started_time");
    put_time(out, "finished", doc, run, "finished_time");
    put_member(out, "rerun of", doc, run, "rerun_of");
    put_member(out, "job", doc, run, "job_uuid");
    put_parameters(out, doc, run);
}

static char *cells(const struct json *doc, json_at step)
{
    int64_t total = run_doc_int(doc, step, "cells_total", 0);

    if (total <= 0)
        return NULL;
    return mem_printf("%" PRId64 "/%" PRId64, run_doc_int(doc, step, "cells_done", 0), total);
}

static char *step_status(const struct json *doc, json_at step)
{
    auto_free char *status = run_doc_text(doc, step, "status");
    int64_t attempt = run_doc_int(doc, step, "attempt", 0);

    if (attempt <= 1 || !status)
        return take_ptr(&status);
    return mem_printf("%s (attempt %" PRId64 ")", status, attempt);
}

static void put_steps(struct buf *out, const struct json *doc, json_at run, int64_t now_us,
                      int width)
{
    auto_table struct table *table =
        table_new(STEP_COLUMNS, sizeof STEP_COLUMNS / sizeof *STEP_COLUMNS);

    json_each (doc, json_get(doc, run, "steps"), step) {
        table_add(table, run_doc_label(doc, step));
        table_add(table, step_status(doc, step));
        table_add(table, duration(doc, step, now_us));
        table_add(table, cells(doc, step));
        table_add(table, run_doc_text(doc, step, "file_path"));
    }
    table_put(table, width, out);
}

/* A step that was aborted says only that another one has failed. */
static void put_failures(struct buf *out, const struct json *doc, json_at run)
{
    json_each (doc, json_get(doc, run, "steps"), step) {
        json_at failure = json_get(doc, step, "failure");
        auto_free char *label = run_doc_label(doc, step);
        auto_free char *cause = run_doc_text(doc, failure, "cause");
        auto_free char *message = run_doc_text(doc, failure, "message");
        int64_t cell = run_doc_int(doc, failure, "cell_index", -1);
        if (run_doc_status(doc, step) != STATUS_FAILURE)
            continue;
        buf_puts(out, "\n✗ ");
        shown_put(out, label);
        buf_puts(out, ": ");
        shown_put(out, cause ? cause : "?");
        if (cell >= 0)
            buf_printf(out, " in cell %" PRId64, cell);
        buf_puts(out, ": ");
        shown_put_lines(out, message ? message : "", 4);
        buf_putc(out, '\n');
    }
}

void run_doc_put(const struct json *doc, json_at run, int64_t now_us, int width, struct buf *out)
{
    put_head(out, doc, run, now_us);
    buf_putc(out, '\n');
    put_steps(out, doc, run, now_us, width);
    put_failures(out, doc, run);
}

/* --- for programs --- */

void run_doc_print_line(const struct json *doc, json_at item)
{
    auto_buf struct buf line = {0};

    json_write(doc, item, JSON_COMPACT, 0, &line);
    puts(buf_text(&line));
}

void run_doc_print_lines(const struct json *doc, json_at items)
{
    json_each (doc, items, item)
        run_doc_print_line(doc, item);
}
