/* While the store reads rows it can be asked nothing else: so of each run the members that stand in
 * its row are written first and what is needed for the rest is kept; then come the rest. */
#include "api/service/run_json.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/plan/project.h"
#include "runner/run/run_queue.h"

#include <string.h>

/* --- members --- */

void run_json_put_project(struct buf *out, const char *projects, const char *dir)
{
    const char *below = project_path_beneath(projects, dir);

    json_put_member(out, "project", below ? below : dir);
}

void run_json_put_time(struct buf *out, const char *key, msec time)
{
    json_put_key(out, key);
    json_put_text(out, time ? time_text_of_us(time * 1000).text : NULL);
}

static void put_optional(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_text(out, *text ? text : NULL);
}

static void put_options(struct buf *out, const struct store_run *run)
{
    auto_json struct json options = {0};
    int64_t keep_kernels = 0, timeout = 0;
    struct err ignored;

    if (strcmp(run->options, "{}") != 0) /* without any effort for most */
        json_parse(&options, str_of(run->options), JSON_STRICT, NULL, &ignored);
    bool in_place = json_is_true(&options, json_get(&options, 0, "in_place"));
    json_int(&options, json_get(&options, 0, "keep_kernels"), &keep_kernels);
    json_put_member_raw(out, "in_place", in_place ? STR("true") : STR("false"));
    json_put_member_int(out, "keep_kernels", keep_kernels);
    json_int(&options, json_get(&options, 0, "timeout"), &timeout);
    json_put_member_int(out, "timeout", timeout);
}

static const char *class_of(const struct store_run *run)
{
    return run_class_name(*run->job_uuid ? RUN_BACKGROUND : RUN_INTERACTIVE);
}

/* The object up to what is not in the row. */
static void put_row(struct buf *out, const char *projects, const struct store_run *run)
{
    buf_putc(out, '{');
    json_put_member(out, "uuid", run->uuid);
    run_json_put_project(out, projects, run->project);
    put_optional(out, "pipeline_path", run->pipeline_path);
    json_put_member(out, "pipeline_uuid", run->pipeline_uuid);
    json_put_member(out, "pipeline_name", run->pipeline_name);
    json_put_member(out, "run_type", run->run_type);
    json_put_member_raw(out, "uuids", str_of(run->uuids));
    json_put_member(out, "status", status_name(run->status));
    json_put_member(out, "class", class_of(run));
    run_json_put_time(out, "created_time", run->created_time);
    run_json_put_time(out, "started_time", run->started_time);
    run_json_put_time(out, "finished_time", run->finished_time);
    put_optional(out, "job_uuid", run->job_uuid);
    put_optional(out, "rerun_of", run->rerun_of);
    put_options(out, run);
    json_put_member_raw(out, "parameters", str_of(run->parameters));
}

static void put_step(struct buf *out, const struct store_step *step)
{
    if (out->data[out->len - 1] != '[')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "step_uuid", step->uuid);
    json_put_member(out, "title", step->title);
    json_put_member(out, "file_path", step->file_path);
    json_put_member(out, "status", status_name(step->status));
    json_put_member_int(out, "attempt", step->attempt);
    run_json_put_time(out, "started_time", step->started_time);
    run_json_put_time(out, "finished_time", step->finished_time);
    json_put_member_int(out, "cells_total", step->cells_total);
    json_put_member_int(out, "cells_done", step->cells_done);
    json_put_member_raw(out, "failure", *step->failure ? str_of(step->failure) : STR("null"));
    buf_putc(out, '}');
}

void run_json_put_accepted_steps(struct buf *out, const struct submission *submission)
{
    buf_putc(out, '[');
    for (uint32_t i = 0; i < submission->plan->count; i++) {
        const struct pipeline_step *step = submission_step(submission, i);
        put_step(out, &(struct store_step){.uuid = step->uuid,
                                           .title = step->title,
                                           .file_path = step->file_path,
                                           .status = STATUS_PENDING,
                                           .failure = ""});
    }
    buf_putc(out, ']');
}

/* --- what is not in the row --- */

/* What of a row is still needed when it is gone. */
struct kept_run {
    struct store_run run; /* id, status, step_count; while PENDING what store_place asks for */
    size_t end;           /* of its members in the text */
};

static void keep(struct kept_run *kept, const struct store_run *run, size_t end)
{
    *kept = (struct kept_run){
        .run = {.id = run->id, .status = run->status, .step_count = run->step_count},
        .end = end,
    };
    if (run->status != STATUS_PENDING)
        return;
    kept->run.project = mem_strdup(run->project);
    kept->run.pipeline_uuid = mem_strdup(run->pipeline_uuid);
    kept->run.job_uuid = mem_strdup(run->job_uuid);
}

static void kept_run_clear(struct kept_run *kept)
{
    free((char *)kept->run.project);
    free((char *)kept->run.pipeline_uuid);
    free((char *)kept->run.job_uuid);
}

static int put_place(struct buf *out, struct store *store, const struct store_run *run,
                     struct err *e)
{
    struct store_place place = {0};

    if (run->status == STATUS_PENDING && store_place(store, run, &place, e) < 0)
        return -1;
    json_put_key(out, "queue_position");
    if (place.position > 0)
        buf_printf(out, "%u", place.position);
    else
        buf_puts(out, "null");
    put_optional(out, "waiting_for", place.waiting_for.text);
    return 0;
}

struct step_reading {
    struct buf *out;
    uint32_t count;
};

static int on_step(void *data, const struct store_step *step, struct err *e)
{
    struct step_reading *reading = data;

    (void)e;
    put_step(reading->out, step);
    reading->count++;
    return 0;
}

/* Fewer steps than the run has had: it is being deleted. */
static int put_steps(struct buf *out, struct store *store, const struct store_run *run,
                     struct err *e)
{
    struct step_reading reading = {.out = out};

    json_put_key(out, "steps");
    buf_putc(out, '[');
    if (store_steps(store, run->id, on_step, &reading, e) < 0)
        return -1;
    buf_putc(out, ']');
    if (reading.count < run->step_count)
        return err_set(e, ERR_NOT_FOUND, "the run is being deleted");
    return 0;
}

static int put_rest(struct buf *out, struct store *store, const struct store_run *run,
                    enum run_json_steps steps, struct err *e)
{
    if (put_place(out, store, run, e) < 0)
        return -1;
    if (steps == RUN_JSON_WITH_STEPS && put_steps(out, store, run, e) < 0)
        return -1;
    buf_putc(out, '}');
    return 0;
}

static void cut(struct buf *out, size_t len)
{
    out->len = len;
    if (out->data)
        out->data[len] = 0;
}

/* --- one run --- */

struct run_reading {
    struct buf *out;
    const char *projects;
    struct kept_run kept;
};

static int on_run(void *data, const struct store_run *run, struct err *e)
{
    struct run_reading *reading = data;

    (void)e;
    put_row(reading->out, reading->projects, run);
    keep(&reading->kept, run, reading->out->len);
    return 0;
}

int run_json_put(struct buf *out, struct store *store, const char *projects, const char *run_uuid,
                 struct err *e)
{
    struct run_reading reading = {.out = out, .projects = projects};
    size_t before = out->len;

    if (store_run(store, run_uuid, on_run, &reading, e) < 0)
        return -1;
    int result = put_rest(out, store, &reading.kept.run, RUN_JSON_WITH_STEPS, e);
    if (result < 0)
        cut(out, before);
    kept_run_clear(&reading.kept);
    return result;
}

int run_json_put_accepted(struct buf *out, struct store *store, const char *projects,
                          const char *run_uuid, struct str steps, struct err *e)
{
    struct run_reading reading = {.out = out, .projects = projects};
    size_t before = out->len;

    if (store_run(store, run_uuid, on_run, &reading, e) < 0)
        return -1;
    int result = put_place(out, store, &reading.kept.run, e);
    if (result < 0) {
        cut(out, before);
    } else {
        json_put_member_raw(out, "steps", steps);
        buf_putc(out, '}');
    }
    kept_run_clear(&reading.kept);
    return result;
}

/* --- many --- */

struct list_reading {
    const char *projects;
    uint32_t limit;
    bool has_more;
    struct buf text; /* of each run the members of its row, one behind the other */
    struct kept_run *kept;
    uint32_t count, capacity;
};

/* One more than wanted is looked at, to know whether there is one. */
static int on_listed(void *data, const struct store_run *run, struct err *e)
{
    struct list_reading *reading = data;

    (void)e;
    if (reading->count == reading->limit || reading->text.len > LIMIT_LIST_BYTES) {
        reading->has_more = true;
        return 1;
    }
    put_row(&reading->text, reading->projects, run);
    mem_grow(reading->kept, reading->count, reading->capacity);
    keep(&reading->kept[reading->count++], run, reading->text.len);
    return 0;
}

/* Runs that are deleted meanwhile are left out. Gives how many runs the list goes over. */
static int put_listed(struct buf *out, struct store *store, const struct list_reading *reading,
                      enum run_json_steps steps, uint32_t *ret_shown, struct err *e)
{
    size_t start = 0, first = out->len;
    uint32_t i = 0;

    for (; i < reading->count && out->len - first <= LIMIT_LIST_BYTES; i++) {
        const struct kept_run *kept = &reading->kept[i];
        size_t before = out->len;
        if (out->data[out->len - 1] != '[')
            buf_putc(out, ',');
        buf_put(out, reading->text.data + start, kept->end - start);
        start = kept->end;
        if (put_rest(out, store, &kept->run, steps, e) == 0)
            continue;
        cut(out, before);
        if (e->code != ERR_NOT_FOUND)
            return -1;
    }
    *ret_shown = i;
    return 0;
}

static void list_reading_clear(struct list_reading *reading)
{
    for (uint32_t i = 0; i < reading->count; i++)
        kept_run_clear(&reading->kept[i]);
    free(reading->kept);
    buf_clear(&reading->text);
}

int run_json_put_list(struct buf *out, struct store *store, const char *projects,
                      const struct store_filter *filter, enum run_json_steps steps,
                      int64_t *ret_cursor, struct err *e)
{
    struct list_reading reading = {.projects = projects, .limit = filter->limit};
    struct store_filter one_more = *filter;
    uint32_t shown = 0;

    one_more.limit++;
    int result = store_runs(store, &one_more, on_listed, &reading, e);
    buf_putc(out, '[');
    if (result >= 0)
        result = put_listed(out, store, &reading, steps, &shown, e);
    buf_putc(out, ']');
    bool has_more = reading.has_more || shown < reading.count;
    *ret_cursor = shown > 0 && has_more ? reading.kept[shown - 1].run.id : 0;
    list_reading_clear(&reading);
    return result;
}
