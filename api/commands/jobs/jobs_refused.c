/* The service names what it refuses by its place in the body of the request, which a person who
 * wrote a command line has never seen: so it is told by the option that it was made of. What is
 * wrong with the pipeline file has its place in that file, as ever.
 */
#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/report.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The longer ones first. */
static const struct origin {
    const char *pointer, *option;
} ORIGINS[] = {
    {"/name", "--name"},
    {"/project", "--project"},
    {"/parameters/base", "-p"},
    {"/parameters/grid", "--grid"},
    {"/parameters/sets", "--sets"},
    {"/parameters/exclude", "--exclude"},
    {"/parameters/count", "--random"},
    {"/parameters/seed", "--seed"},
    {"/schedule/at", "--at"},
    {"/schedule/cron", "--cron"},
    {"/schedule/timezone", "--timezone"},
    {"/schedule/catch_up_limit", "--catch-up"},
    {"/schedule/catch_up", "--catch-up"},
    {"/schedule/overlap", "--overlap"},
    {"/schedule/jitter", "--jitter"},
    {"/policy/parallel", "--parallel"},
    {"/policy/timeout", "--timeout"},
    {"/policy/retries", "--retries"},
    {"/policy/stop_after_failures", "--stop-after-failures"},
    {"/policy/retention/runs", "--keep-runs"},
    {"/policy/retention/days", "--keep-days"},
    {"/policy/objective", "--objective"},
    {"/url", "URL"},
    {"/secret", "--secret-file"},
    {"/events", "--event"},
    {"/job_uuid", "--job"},
};

/* What is left of `pointer` behind `begin`; NULL: it does not lie there. */
static const char *behind(const char *pointer, const char *begin)
{
    size_t len = strlen(begin);

    if (strncmp(pointer, begin, len) != 0 || (pointer[len] && pointer[len] != '/'))
        return NULL;
    return pointer + len + (pointer[len] == '/');
}

/* --- is it of the body? --- */

/* A part of a pointer (RFC 6901), up to the next "/". */
static char *token_of(const char *text, size_t len)
{
    auto_buf struct buf out = {0};

    for (size_t i = 0; i < len; i++) {
        bool is_escape = text[i] == '~' && i + 1 < len;
        buf_putc(&out, !is_escape ? text[i] : text[i + 1] == '1' ? '/' : '~');
        i += is_escape;
    }
    return buf_take(&out);
}

static json_at find_key(const struct json *doc, json_at object, const char *name)
{
    json_each (doc, object, key) {
        auto_free char *text = json_strdup(doc, key);
        if (text && strcmp(text, name) == 0)
            return key;
    }
    return JSON_NONE;
}

static bool is_at(const struct json *doc, json_at at, const struct problem *problem)
{
    struct json_place place = json_place(doc, at);

    return place.line == problem->line && place.column == problem->column;
}

/* The file may have such a pointer too: the body has it, as a key or a value, at the very place
 * that the problem tells. */
static bool is_of_body(const struct json *body, const struct problem *problem)
{
    const char *rest = problem->pointer;
    json_at at = 0, key = JSON_NONE;

    while (*rest == '/' && at != JSON_NONE) {
        size_t len = strcspn(++rest, "/");
        auto_free char *token = token_of(rest, len);
        bool is_list = json_kind(body, at) == JSON_ARRAY;
        key = is_list ? JSON_NONE : find_key(body, at, token);
        if (is_list)
            at = json_item(body, at, (uint32_t)strtoul(token, NULL, 10));
        else
            at = key == JSON_NONE ? JSON_NONE : json_value(key);
        rest += len;
    }
    return at != JSON_NONE &&
           (is_at(body, at, problem) || (key != JSON_NONE && is_at(body, key, problem)));
}

/* --- telling --- */

/* "pipeline_parameters/depth" as "depth", "UUID/depth" as "UUID:depth"; numbers tell nothing. */
static void put_rest(struct buf *out, const char *rest)
{
    const char *name = behind(rest, "pipeline_parameters");
    char between = ' ';

    rest = name ? name : rest;
    if (rest[strspn(rest, "0123456789")] == 0)
        return;
    while (*rest) {
        size_t len = strcspn(rest, "/");
        auto_free char *token = token_of(rest, len);
        buf_printf(out, "%c%s", between, token);
        between = ':';
        rest += len + (rest[len] == '/');
    }
}

static void put_problem(struct buf *out, const struct problem *problem)
{
    auto_buf struct buf text = {0};
    const char *rest = NULL;

    for (size_t i = 0; !rest && i < sizeof ORIGINS / sizeof *ORIGINS; i++) {
        rest = behind(problem->pointer, ORIGINS[i].pointer);
        if (rest) {
            buf_puts(&text, ORIGINS[i].option);
            put_rest(&text, rest);
            buf_puts(&text, ": ");
        }
    }
    buf_puts(&text, problem->detail);
    shown_put(out, buf_text(&text));
}

static void add_again(struct problems *to, const struct problem *problem)
{
    problems_add_place(to, problem->pointer, (struct json_place){problem->line, problem->column},
                       "%s", problem->detail);
}

int jobs_refused(const char *command, const char *file, const struct buf *body,
                 const struct problems *problems, const struct err *e)
{
    auto_json struct json doc = {0};
    auto_problems struct problems of_file = {0};
    struct err ignored;

    if (problems->total == 0 ||
        json_parse(&doc, (struct str){body->data, body->len}, JSON_STRICT, NULL, &ignored) < 0)
        return client_fail(command, file, problems, e);
    for (uint32_t i = 0; i < problems->count; i++) {
        auto_buf struct buf line = {0};
        if (file && !is_of_body(&doc, &problems->items[i])) {
            add_again(&of_file, &problems->items[i]);
            continue;
        }
        put_problem(&line, &problems->items[i]);
        fprintf(stderr, "segue %s: %s\n", command, buf_text(&line));
    }
    if (of_file.total > 0)
        report_problems(stderr, file, &of_file, REPORT_ERRORS);
    if (problems->total > problems->count)
        fprintf(stderr, "segue %s: ... and %" PRIu32 " more\n", command,
                problems->total - problems->count);
    return exit_status_of_err(e);
}
