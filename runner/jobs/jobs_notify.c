/* A notice is written down for each webhook in the transaction that takes in what it is about, so
 * that it is delivered at least once. */
#include "base/fs.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/jobs/best.h"
#include "runner/jobs/jobs_private.h"
#include "runner/notices/webhook.h"

#include <string.h>

struct telling {
    struct jobs *jobs;
    const char *event;
    const char *job_uuid; /* "": none */
    const char *project;
    bool is_failure;
    msec ended; /* what it is about */
    struct str body;
    struct held_ids webhooks; /* who wants it */
};

static int take_webhook(void *user, const struct webhook_row *webhook, struct err *e)
{
    struct telling *telling = user;
    struct held_ids *wanted = &telling->webhooks;

    (void)e;
    if (!webhook_wants(webhook->events, telling->event) ||
        (*webhook->job_uuid && strcmp(webhook->job_uuid, telling->job_uuid) != 0) ||
        (*webhook->project && strcmp(webhook->project, telling->project) != 0) ||
        (webhook->failures_only && !telling->is_failure) || telling->ended < webhook->created_time)
        return 0;
    mem_grow(wanted->items, wanted->count, wanted->capacity);
    wanted->items[wanted->count++] = webhook->id;
    return 0;
}

static int add(struct jobs *jobs, const char *event, int64_t webhook, struct str body,
               struct err *e)
{
    struct uuid uuid = uuid_random();
    auto_free char *text = mem_strndup(body.text, body.len);
    msec now = clock_wall();
    struct delivery_row delivery = {.uuid = uuid.text,
                                    .webhook = webhook,
                                    .event = event,
                                    .body = text,
                                    .state = DELIVERY_PENDING,
                                    .created_time = now,
                                    .next_time = now,
                                    .last_error = ""};

    return job_store_add_delivery(jobs->store, &delivery, e);
}

static int tell_all(struct telling *telling, struct err *e)
{
    struct jobs *jobs = telling->jobs;
    int result = job_store_webhooks(jobs->store, NULL, take_webhook, telling, e);

    for (size_t i = 0; result == 0 && i < telling->webhooks.count; i++)
        result = add(jobs, telling->event, telling->webhooks.items[i], telling->body, e);
    held_ids_clear(&telling->webhooks);
    return result;
}

static void put_time(struct buf *out, const char *key, msec time)
{
    struct time_text text = time_text_of_us(time * 1000);

    json_put_key(out, key);
    json_put_text(out, time > 0 ? text.text : NULL);
}

/* As the API shows it: others need not know where it lies on this machine. */
static void put_project(struct buf *out, const struct jobs *jobs, const char *dir)
{
    const char *below = project_path_beneath(jobs->options.projects, dir);

    json_put_member(out, "project", below ? below : fs_basename(dir));
}

static void put_head(struct buf *out, const char *event)
{
    buf_putc(out, '{');
    json_put_member(out, "event", event);
    put_time(out, "time", clock_wall());
}

/* --- runs --- */

static void put_run(struct buf *out, const struct jobs *jobs, const struct ended_run *run)
{
    put_head(out, "run_finished");
    json_put_key(out, "run");
    buf_putc(out, '{');
    json_put_member(out, "uuid", run->uuid.text);
    json_put_key(out, "job_uuid");
    json_put_text(out, *run->job_uuid.text ? run->job_uuid.text : NULL);
    put_project(out, jobs, run->project);
    json_put_member(out, "pipeline_name", run->pipeline_name);
    json_put_member(out, "status", status_name(run->status));
    json_put_key(out, "cause");
    json_put_text(out, run->cause == CAUSE_NONE ? NULL : cause_name(run->cause));
    put_time(out, "created_time", run->created_time);
    put_time(out, "started_time", run->started_time);
    put_time(out, "finished_time", run->finished_time);
    json_put_member_raw(out, "failure", str_of(run->failure ? run->failure : "null"));
    buf_puts(out, "}}");
}

int jobs_notify_run(struct jobs *jobs, const struct ended_run *run, struct err *e)
{
    auto_buf struct buf body = {0};

    put_run(&body, jobs, run);
    struct telling telling = {.jobs = jobs,
                              .event = "run_finished",
                              .job_uuid = run->job_uuid.text,
                              .project = run->project,
                              .is_failure = run->status != STATUS_SUCCESS,
                              .ended = run->finished_time,
                              .body = {body.data, body.len}};
    return tell_all(&telling, e);
}

/* --- fires of jobs --- */

static void put_fire(struct buf *out, const struct fire_row *fire)
{
    buf_putc(out, '{');
    json_put_member_int(out, "number", fire->number);
    json_put_member(out, "kind", fire_kind_name(fire->kind));
    json_put_member(out, "status", fire_state_name(fire->state));
    put_time(out, "due_time", fire->due_time);
    put_time(out, "finished_time", fire->finished_time);
    json_put_member_int(out, "set_count", fire->set_count);
    json_put_key(out, "counts");
    buf_putc(out, '{');
    for (unsigned i = 0; i < STATUS_COUNT; i++)
        json_put_member_int(out, status_name((enum status)i), fire->counts[i]);
    buf_puts(out, "}}");
}

int jobs_notify_fire(struct jobs *jobs, const struct job_row *job, const struct fire_row *fire,
                     struct err *e)
{
    auto_buf struct buf body = {0};

    put_head(&body, "job_finished");
    json_put_key(&body, "job");
    buf_putc(&body, '{');
    json_put_member(&body, "uuid", job->uuid);
    json_put_member(&body, "name", job->name);
    json_put_member(&body, "status", job_state_name(job->state));
    put_project(&body, jobs, job->project);
    json_put_member(&body, "pipeline_name", job->pipeline_name);
    json_put_key(&body, "fire");
    put_fire(&body, fire);
    json_put_key(&body, "best");
    if (best_put(jobs->store, job, fire->id, &body, e) < 0)
        return -1;
    buf_puts(&body, "}}");
    struct telling telling = {.jobs = jobs,
                              .event = "job_finished",
                              .job_uuid = job->uuid,
                              .project = job->project,
                              .is_failure = fire->state != FIRE_SUCCESS,
                              .ended = fire->finished_time,
                              .body = {body.data, body.len}};
    return tell_all(&telling, e);
}

int jobs_ping_webhook(struct jobs *jobs, const char *uuid, struct err *e)
{
    auto_buf struct buf body = {0};
    auto_held_ids struct held_ids found = {0};
    JOBS_LOCKED(jobs);

    put_head(&body, "ping");
    buf_putc(&body, '}');
    if (job_store_webhooks(jobs->store, uuid, held_ids_take_webhook, &found, e) < 0 ||
        job_store_begin(jobs->store, e) < 0)
        return -1;
    int result = add(jobs, "ping", found.items[0], (struct str){body.data, body.len}, e);
    result = jobs_end_transaction(jobs, result, e);
    jobs_wake(jobs);
    return result;
}

/* --- who is told --- */

int jobs_count_webhooks(struct jobs *jobs, size_t *ret_count, struct err *e)
{
    auto_held_ids struct held_ids all = {0};
    int result = job_store_webhooks(jobs->store, NULL, held_ids_take_webhook, &all, e);

    *ret_count = all.count;
    return result;
}

int jobs_add_webhook(struct jobs *jobs, const struct webhook_row *webhook, struct uuid *ret_uuid,
                     struct err *e)
{
    struct webhook_row row = *webhook;
    size_t count;
    JOBS_LOCKED(jobs);

    if (webhook_check_url(row.url, jobs->options.allow_local_webhooks, e) < 0 ||
        webhook_check_events(row.events, e) < 0 || jobs_count_webhooks(jobs, &count, e) < 0)
        return -1;
    if (count >= LIMIT_WEBHOOKS)
        return err_set(e, ERR_LIMIT, "there are %u webhooks already", LIMIT_WEBHOOKS);
    *ret_uuid = uuid_random();
    row.uuid = ret_uuid->text;
    row.created_time = clock_wall();
    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, job_store_add_webhook(jobs->store, &row, e), e);
}

int jobs_remove_webhook(struct jobs *jobs, const char *uuid, struct err *e)
{
    JOBS_LOCKED(jobs);

    if (job_store_begin(jobs->store, e) < 0)
        return -1;
    return jobs_end_transaction(jobs, job_store_remove_webhook(jobs->store, uuid, e), e);
}
