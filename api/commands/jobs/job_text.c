#include "api/commands/jobs/jobs_cli.h"
#include "api/commands/run_doc.h"
#include "api/commands/shown.h"
#include "base/mem.h"

#include <inttypes.h>
#include <string.h>

/* --- parts --- */

void job_text_put_name(const struct json *doc, json_at column, struct buf *out)
{
    auto_free char *title = run_doc_text(doc, column, "title");
    auto_free char *name = run_doc_text(doc, column, "name");

    if (title && *title)
        buf_printf(out, "%s:", title);
    buf_puts(out, name ? name : "?");
}

void job_text_put_sets(const struct json *doc, json_at axes, int64_t count, struct buf *out)
{
    const char *between = ": ";

    buf_printf(out, "%" PRId64 " set%s", count, count == 1 ? "" : "s");
    json_each (doc, axes, axis) {
        buf_puts(out, between);
        job_text_put_name(doc, axis, out);
        between = ", ";
    }
}

void job_text_put_counts(const struct json *doc, json_at fire, const char *what, struct buf *out)
{
    json_at counts = json_get(doc, fire, "counts");
    int64_t bad = run_doc_int(doc, counts, "FAILURE", 0);
    int64_t aborted = run_doc_int(doc, counts, "ABORTED", 0);
    int64_t done = run_doc_int(doc, counts, "SUCCESS", 0) + bad + aborted;

    buf_printf(out, "%" PRId64 " of %" PRId64 "%s", done, run_doc_int(doc, fire, "set_count", 0),
               what);
    if (bad > 0)
        buf_printf(out, ", %" PRId64 " failed", bad);
    if (aborted > 0)
        buf_printf(out, ", %" PRId64 " aborted", aborted);
}

char *job_text_value(const struct json *doc, json_at value)
{
    auto_buf struct buf out = {0};
    double number;

    if (json_kind(doc, value) == JSON_ABSENT || json_kind(doc, value) == JSON_NULL)
        return NULL;
    if (json_kind(doc, value) == JSON_STRING) {
        json_string(doc, value, &out);
        return buf_take(&out);
    }
    if (json_kind(doc, value) == JSON_NUMBER && json_raw(doc, value).len > 8 &&
        json_double(doc, value, &number))
        buf_printf(&out, "%.6g", number);
    else
        json_write(doc, value, JSON_COMPACT, 0, &out);
    return buf_take(&out);
}

static char *time_text(msec duration)
{
    auto_buf struct buf out = {0};

    shown_put_duration(&out, duration);
    return mem_strdup(buf_text(&out) + strspn(buf_text(&out), " "));
}

char *job_text_duration(const struct json *doc, json_at run)
{
    double seconds;

    return json_double(doc, json_get(doc, run, "duration"), &seconds)
               ? time_text((msec)(seconds * 1000))
               : NULL;
}

char *job_text_status(const struct json *doc, json_at run)
{
    auto_free char *status = run_doc_text(doc, run, "status");
    auto_free char *cause = run_doc_text(doc, run, "cause");

    return status && cause && *cause ? mem_printf("%s (%s)", status, cause) : take_ptr(&status);
}

/* The seconds and the offset are for programs: the zone is told with the schedule. */
char *job_text_next(const struct json *doc, json_at time)
{
    char *text = run_doc_text(doc, time, "local");

    if (text && strlen(text) > 16) {
        text[10] = ' ';
        text[16] = 0;
    }
    return text;
}

/* --- the whole --- */

static void put_line(struct buf *out, const char *label, const char *text)
{
    if (!text || !*text)
        return;
    buf_printf(out, "%-12s", label);
    shown_put(out, text);
    buf_putc(out, '\n');
}

/* The same, and takes the text. */
static void put_made(struct buf *out, const char *label, char *take_text)
{
    auto_free char *text = take_text;

    put_line(out, label, text);
}

static void put_retries(struct buf *out, const struct json *doc, json_at retries)
{
    int64_t limit = run_doc_int(doc, retries, "limit", 0);
    auto_free char *delay = time_text(1000 * run_doc_int(doc, retries, "delay", 0));

    if (limit > 0)
        put_made(out, "retries", mem_printf("%" PRId64 ", the first after %s", limit, delay));
}

static void put_retention(struct buf *out, const struct json *doc, json_at retention)
{
    int64_t runs = run_doc_int(doc, retention, "runs", 0);
    int64_t days = run_doc_int(doc, retention, "days", 0);

    if (runs > 0)
        put_made(out, "keeps", mem_printf("the newest %" PRId64 " runs", runs));
    if (days > 0)
        put_made(out, "keeps", mem_printf("runs for %" PRId64 " days", days));
}

static void put_objective(struct buf *out, const struct json *doc, json_at objective)
{
    auto_free char *metric = run_doc_text(doc, objective, "metric");
    bool is_least = json_is(doc, json_get(doc, objective, "goal"), "min");

    if (metric)
        put_made(out, "best", mem_printf("the %s %s", is_least ? "lowest" : "highest", metric));
}

static void put_policy(struct buf *out, const struct json *doc, json_at policy)
{
    int64_t parallel = run_doc_int(doc, policy, "parallel", 0);
    int64_t timeout = run_doc_int(doc, policy, "timeout", 0);
    auto_free char *failures = job_text_value(doc, json_get(doc, policy, "stop_after_failures"));

    if (parallel > 0)
        put_made(out, "parallel", mem_printf("%" PRId64 " at a time", parallel));
    if (timeout > 0)
        put_made(out, "timeout", time_text(1000 * timeout));
    put_retries(out, doc, json_get(doc, policy, "retries"));
    if (failures)
        put_made(out, "stops", mem_printf("when %s failed", failures));
    put_retention(out, doc, json_get(doc, policy, "retention"));
    put_objective(out, doc, json_get(doc, policy, "objective"));
}

static void put_next(struct buf *out, const struct json *doc, json_at next)
{
    const char *label = "next";

    json_each (doc, next, time) {
        auto_free char *text = job_text_next(doc, time);
        put_line(out, label, text);
        label = "";
    }
}

static void put_fire(struct buf *out, const struct json *doc, json_at fire)
{
    auto_free char *status = run_doc_text(doc, fire, "status");
    auto_buf struct buf counts = {0};

    if (!status)
        return;
    job_text_put_counts(doc, fire, " sets", &counts);
    put_made(out, "latest fire",
             mem_printf("%" PRId64 ", %s, %s", run_doc_int(doc, fire, "number", 0), status,
                        buf_text(&counts)));
}

static void put_texts(struct buf *out, const struct json *doc, json_at job)
{
    static const struct {
        const char *label, *key;
    } texts[] = {
        {"job", "uuid"},
        {"name", "name"},
        {"status", "status"},
        {"project", "project"},
        {"made of", "duplicate_of"},
        {"pipeline", "pipeline_path"},
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        put_made(out, texts[i].label, run_doc_text(doc, job, texts[i].key));
}

void job_text_put(const struct json *doc, json_at job, struct buf *out)
{
    json_at schedule = json_get(doc, job, "schedule");
    int64_t dropped = run_doc_int(doc, job, "dropped", 0);
    int64_t retained = run_doc_int(doc, json_get(doc, job, "retention"), "runs", 0);
    auto_buf struct buf sets = {0};

    put_texts(out, doc, job);
    job_text_put_sets(doc, json_get(doc, job, "axes"), run_doc_int(doc, job, "set_count", 0),
                      &sets);
    put_line(out, "sets", buf_text(&sets));
    put_made(out, "created", run_doc_time(doc, job, "created_time"));
    put_made(out, "runs", run_doc_text(doc, schedule, "words"));
    put_next(out, doc, json_get(doc, schedule, "next"));
    put_policy(out, doc, json_get(doc, job, "policy"));
    put_fire(out, doc, json_get(doc, job, "latest_fire"));
    put_made(out, "finished", run_doc_time(doc, job, "finished_time"));
    if (dropped > 0)
        put_made(out, "missed", mem_printf("%" PRId64 " times, not made up for", dropped));
    if (retained > 0)
        put_made(out, "to delete",
                 mem_printf("%" PRId64 " older runs, after the next fire", retained));
}
