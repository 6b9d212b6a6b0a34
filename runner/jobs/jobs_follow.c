/* The engine's log is read from a cursor that is kept with what was taken in, so that every end of
 * a run is taken in once, whoever dies in between. What the steps of a job's run have reported is
 * read from their files before the store is locked for it. */
#include "base/json.h"
#include "base/mem.h"
#include "runner/engine/report.h"
#include "runner/jobs/jobs_private.h"

#include <string.h>

#define BATCH_MAX 64

/* Ends of runs that are nobody's affair here, after which the cursor is written all the same. */
#define PASSED_MAX 1000

struct batch {
    struct ended_run items[BATCH_MAX];
    uint32_t count;
    bool has_webhooks;
    bool is_idle; /* there is nothing to take in but the cursor */
};

static void batch_clear(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct ended_run *run = &batch->items[i];
        free(run->project);
        free(run->pipeline_name);
        free(run->failure);
        buf_clear(&run->metrics);
    }
    free(batch);
}

static void batch_clear_at(struct batch **batch)
{
    batch_clear(*batch);
}

/* --- reading, without the lock --- */

static bool is_of_job(const struct ended_run *run)
{
    return *run->job_uuid.text != 0;
}

static int take_finished(void *user, const struct store_finished *finished, struct err *e)
{
    struct batch *batch = user;

    (void)e;
    batch->items[batch->count++] = (struct ended_run){.event = finished->id,
                                                      .uuid = uuid_of(finished->run_uuid),
                                                      .job_uuid = uuid_of(finished->job_uuid)};
    return 0;
}

static int take_run(void *user, const struct store_run *row, struct err *e)
{
    struct ended_run *run = user;

    (void)e;
    run->id = row->id;
    run->job_uuid = uuid_of(row->job_uuid);
    run->status = row->status;
    run->cause = row->cause;
    run->created_time = row->created_time;
    run->started_time = row->started_time;
    run->finished_time = row->finished_time;
    run->project = mem_strdup(row->project);
    run->pipeline_name = mem_strdup(row->pipeline_name);
    return 0;
}

struct step_reading {
    struct jobs *jobs;
    struct ended_run *run;
    char *run_dir;
    msec failed; /* when the step whose failure is kept failed */
};

static void keep_failure(struct step_reading *reading, const struct store_step *step)
{
    auto_json struct json doc = {0};
    auto_buf struct buf out = {0};
    struct err ignored;

    if (step->status != STATUS_FAILURE ||
        (reading->run->failure && reading->failed <= step->finished_time))
        return;
    reading->failed = step->finished_time;
    buf_putc(&out, '{');
    json_put_member(&out, "step_uuid", step->uuid);
    json_put_member(&out, "title", step->title);
    json_put_member(&out, "cause", cause_name(step->cause));
    if (json_parse(&doc, str_of(step->failure), JSON_TOLERANT, NULL, &ignored) == 0) {
        auto_free char *message = json_strdup(&doc, json_get(&doc, 0, "message"));
        json_put_member(&out, "message", message);
    }
    buf_putc(&out, '}');
    free(reading->run->failure);
    reading->run->failure = mem_strdup(out.data);
}

/* [[step_uuid, name, value, is_param], ...] */
static void put_item(struct buf *out, const char *step_uuid, const struct report_item *item)
{
    buf_puts(out, out->len > 0 ? ",[" : "[[");
    json_put_text(out, step_uuid);
    buf_putc(out, ',');
    json_put_text(out, item->name);
    buf_printf(out, ",%s,%s]", item->value, item->kind == REPORT_PARAM ? "true" : "false");
}

/* What cannot be read of a report is no reason not to take in the end of the run. */
static void keep_report(struct step_reading *reading, const struct store_step *step)
{
    auto_report struct report report = {0};
    struct err e;

    if (report_read(reading->run_dir, step->uuid, step->attempt, &report, &e) < 0) {
        jobs_tell(reading->jobs, "report_unreadable", reading->run->job_uuid.text,
                  reading->run->uuid.text, e.text);
        return;
    }
    for (uint32_t i = 0; i < report.count; i++)
        if (report.items[i].kind != REPORT_FIGURE)
            put_item(&reading->run->metrics, step->uuid, &report.items[i]);
}

static int take_step(void *user, const struct store_step *step, struct err *e)
{
    struct step_reading *reading = user;

    (void)e;
    keep_failure(reading, step);
    if (is_of_job(reading->run))
        keep_report(reading, step);
    return 0;
}

/* One that was deleted meanwhile has no id and is passed over. */
static int read_run(struct jobs *jobs, struct store *reader, struct ended_run *run, struct err *e)
{
    if (store_run(reader, run->uuid.text, take_run, run, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1;
    auto_free char *run_dir = state_run_dir(jobs->options.state, run->uuid.text);
    struct step_reading reading = {.jobs = jobs, .run = run, .run_dir = run_dir};
    if (store_steps(reader, run->id, take_step, &reading, e) < 0)
        return -1;
    if (run->metrics.len > 0)
        buf_putc(&run->metrics, ']');
    return 0;
}

/* Of runs that are no job's only what webhooks are told is read. */
static int read_batch(struct jobs *jobs, struct store *reader, struct batch *batch, struct err *e)
{
    if (store_finished_after(reader, jobs->cursor, BATCH_MAX, take_finished, batch, e) < 0)
        return -1;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct ended_run *run = &batch->items[i];
        batch->is_idle &= !is_of_job(run);
        if ((batch->has_webhooks || is_of_job(run)) && read_run(jobs, reader, run, e) < 0)
            return -1;
    }
    return 0;
}

/* --- taking in, in a transaction --- */

static int keep_metrics(struct jobs *jobs, int64_t set, const struct buf *metrics, struct err *e)
{
    auto_json struct json doc = {0};

    if (job_store_clear_metrics(jobs->store, set, e) < 0)
        return -1;
    if (metrics->len == 0)
        return 0;
    if (json_parse(&doc, (struct str){metrics->data, metrics->len}, JSON_TOLERANT, NULL, e) < 0)
        return -1;
    json_each (&doc, 0, item) {
        auto_free char *step = json_strdup(&doc, json_item(&doc, item, 0));
        auto_free char *name = json_strdup(&doc, json_item(&doc, item, 1));
        struct str raw = json_raw(&doc, json_item(&doc, item, 2));
        auto_free char *value = mem_strndup(raw.text, raw.len);
        struct metric_row row = {.step_uuid = step,
                                 .name = name,
                                 .value = value,
                                 .is_param = json_is_true(&doc, json_item(&doc, item, 3))};
        if (job_store_add_metric(jobs->store, set, &row, e) < 0)
            return -1;
    }
    return 0;
}

static bool is_ended(struct jobs *jobs, int64_t fire)
{
    struct fire_row row;
    struct err ignored;

    return job_store_fire(jobs->store, fire, held_fire_take, &row, &ignored) < 0 ||
           fire_state_is_final(row.state) || row.is_stopped;
}

/* In how many milliseconds the set is tried again; -1: it is not. */
static int64_t retry_in(struct jobs *jobs, const struct job_row *job, struct set_row *set,
                        enum cause cause)
{
    struct job_tries tries = {.used = set->tries_used, .lost = set->tries_lost};
    struct job_policy policy;
    struct err ignored;

    if (job_policy_parse(&policy, job->policy, &ignored) < 0)
        return -1;
    int64_t delay = job_retry_in(&policy, cause, &tries);
    job_policy_clear(&policy);
    set->tries_used = tries.used;
    set->tries_lost = tries.lost;
    return is_ended(jobs, set->fire) ? -1 : delay;
}

int jobs_end_try(struct jobs *jobs, const struct job_row *job, struct set_row *set,
                 enum status status, enum cause cause, struct err *e)
{
    msec now = clock_wall();
    int64_t delay = status == STATUS_FAILURE ? retry_in(jobs, job, set, cause) : -1;

    set->cause = cause;
    set->status = delay >= 0 ? STATUS_PENDING : status;
    set->not_before = now + (delay > 0 ? delay : 0);
    set->is_posted = false;
    if (delay >= 0) {
        jobs->retried++;
        jobs_tell(jobs, "job_set_tried_again", job->uuid, set->run_uuid, cause_name(cause));
    } else if (set->finished_time == 0) {
        set->finished_time = now;
    }
    if (job_store_set_set(jobs->store, set, e) < 0)
        return -1;
    return delay >= 0 ? 0 : jobs_settle_fire(jobs, set->fire, e);
}

static int take_in_set(struct jobs *jobs, const struct ended_run *run, struct err *e)
{
    auto_held_set struct held_set set = {0};
    auto_held_job struct held_job job = {0};

    if (job_store_set_of_run(jobs->store, run->uuid.text, held_set_take, &set, e) < 0)
        return e->code == ERR_NOT_FOUND ? 0 : -1; /* an earlier try of a set, or of a job of old */
    if (set.row.status != STATUS_STARTED)
        return 0;
    if (job_store_job_by_id(jobs->store, set.row.job, held_job_take, &job, e) < 0 ||
        keep_metrics(jobs, set.row.id, &run->metrics, e) < 0)
        return -1;
    set.row.started_time = run->started_time > 0 ? run->started_time : run->created_time;
    set.row.finished_time = run->finished_time;
    return jobs_end_try(jobs, &job.row, &set.row, run->status, run->cause, e);
}

static int take_in(struct jobs *jobs, const struct batch *batch, struct err *e)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct ended_run *run = &batch->items[i];
        if (run->id == 0)
            continue;
        if (is_of_job(run) && take_in_set(jobs, run, e) < 0)
            return -1;
        if (jobs_notify_run(jobs, run, e) < 0)
            return -1;
    }
    return job_store_set_cursor(jobs->store, batch->items[batch->count - 1].event, e);
}

static int read_standing(struct jobs *jobs, struct batch *batch, struct err *e)
{
    size_t webhooks;
    JOBS_LOCKED(jobs);

    if (jobs->cursor == 0 && job_store_cursor(jobs->store, &jobs->cursor, e) < 0)
        return -1;
    if (jobs_count_webhooks(jobs, &webhooks, e) < 0)
        return -1;
    batch->has_webhooks = webhooks > 0;
    batch->is_idle = webhooks == 0;
    return 0;
}

static int write_batch(struct jobs *jobs, const struct batch *batch, struct err *e)
{
    JOBS_LOCKED(jobs);

    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, take_in(jobs, batch, e), e);
}

/* A cursor that is not written costs the next process a look at so many events. */
static bool is_worth_writing(struct jobs *jobs, const struct batch *batch)
{
    jobs->passed += batch->count;
    if (batch->is_idle && jobs->passed < PASSED_MAX)
        return false;
    jobs->passed = 0;
    return true;
}

int jobs_follow(struct jobs *jobs, bool *ret_more, struct err *e)
{
    auto_with(batch_clear_at) struct batch *batch = mem_zalloc(sizeof *batch);
    struct store *reader = NULL;

    *ret_more = false;
    if (read_standing(jobs, batch, e) < 0)
        return -1;
    reader = readers_lend(jobs->options.readers, e);
    if (!reader)
        return -1;
    int result = read_batch(jobs, reader, batch, e);
    readers_give_back(jobs->options.readers, reader);
    if (result < 0 || batch->count == 0)
        return result;
    if (is_worth_writing(jobs, batch) && write_batch(jobs, batch, e) < 0)
        return -1;
    jobs->cursor = batch->items[batch->count - 1].event;
    *ret_more = batch->count == BATCH_MAX;
    return 0;
}
