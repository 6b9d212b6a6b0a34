#include "api/service/webhooks.h"

#include "api/service/body.h"
#include "api/service/list_query.h"
#include "api/service/parts.h"
#include "api/service/run_json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "runner/jobs/jobs.h"
#include "runner/notices/webhook.h"
#include "runner/plan/project.h"

/* A store that cannot be written may be so again; too many webhooks are a matter of removing one.
 */
static void answer_refusal(struct exchange *exchange, const struct err *e,
                           const struct problems *problems)
{
    struct err shown = *e;

    if (e->code == ERR_IO)
        shown.code = ERR_UNAVAILABLE;
    if (e->code == ERR_LIMIT)
        shown.code = ERR_CONFLICT;
    exchange_answer_err(exchange, &shown, problems);
}

/* --- webhooks as they are shown --- */

struct showing {
    struct buf *out;
    const char *projects;
};

static void put_optional(struct buf *out, const char *key, const char *text)
{
    json_put_key(out, key);
    json_put_text(out, *text ? text : NULL);
}

static void put_events(struct buf *out, const char *events)
{
    json_put_key(out, "events");
    buf_putc(out, '[');
    for (const char *at = events; *at;) {
        size_t len = strcspn(at, ",");
        if (at > events)
            buf_putc(out, ',');
        json_put_str(out, (struct str){at, len});
        at += len + (at[len] == ',');
    }
    buf_putc(out, ']');
}

static int put_webhook(void *data, const struct webhook_row *webhook, struct err *e)
{
    const struct showing *showing = data;
    struct buf *out = showing->out;

    (void)e;
    if (out->len > 0 && out->data[out->len - 1] == '}')
        buf_putc(out, ',');
    buf_putc(out, '{');
    json_put_member(out, "uuid", webhook->uuid);
    json_put_member(out, "url", webhook->url);
    json_put_member_raw(out, "has_secret", *webhook->secret ? STR("true") : STR("false"));
    put_events(out, webhook->events);
    put_optional(out, "job_uuid", webhook->job_uuid);
    if (*webhook->project)
        run_json_put_project(out, showing->projects, webhook->project);
    else
        put_optional(out, "project", "");
    json_put_member_raw(out, "failures_only", webhook->failures_only ? STR("true") : STR("false"));
    run_json_put_time(out, "created_time", webhook->created_time);
    buf_putc(out, '}');
    return 0;
}

/* One, or all with `uuid` NULL. */
static int put_webhooks(const struct service *service, const char *uuid, struct buf *out,
                        struct err *e)
{
    struct showing showing = {out, service->projects};
    struct job_store *store = jobs_lend(service->jobs, e);

    if (!store)
        return -1;
    int result = job_store_webhooks(store, uuid, put_webhook, &showing, e);
    jobs_give_back(service->jobs, store);
    return result;
}

static void answer_webhook(const struct service *service, struct exchange *exchange, int status,
                           const char *uuid)
{
    auto_buf struct buf out = {0};
    struct err e;

    if (put_webhooks(service, uuid, &out, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, status, &out);
}

void webhooks_get(struct exchange *exchange, void *user)
{
    answer_webhook(user, exchange, 200, exchange_segment(exchange, 0));
}

void webhooks_list(struct exchange *exchange, void *user)
{
    auto_buf struct buf out = {0};
    struct err e;

    buf_puts(&out, "{\"webhooks\":[");
    if (put_webhooks(user, NULL, &out, &e) < 0) {
        answer_refusal(exchange, &e, NULL);
        return;
    }
    buf_puts(&out, "]}");
    exchange_answer_json(exchange, 200, &out);
}

/* --- new webhooks --- */

static const struct body_field fields[] = {
    {"url", JSON_STRING, FIELD_REQUIRED},
    {"secret", JSON_STRING, FIELD_OPTIONAL},
    {"events", JSON_ARRAY, FIELD_OPTIONAL},
    {"job_uuid", JSON_STRING, FIELD_OPTIONAL},
    {"project", JSON_STRING, FIELD_OPTIONAL},
    {"failures_only", JSON_BOOL, FIELD_OPTIONAL},
    {0},
};

/* What a request asks for. */
struct wish {
    char *url, *secret, *job_uuid; /* "": not given; secret and job_uuid */
    struct buf events;
    struct project project;
    bool failures_only;
};

struct reading {
    const struct service *service;
    const struct json *body;
    struct problems *problems;
    struct wish *wish;
};

static void wish_clear(struct wish *wish)
{
    free(wish->url);
    free(wish->secret);
    free(wish->job_uuid);
    buf_clear(&wish->events);
    project_clear(&wish->project);
}

/* A field's text, "" where it has none. free() it. */
static char *read_text(const struct reading *r, const char *name)
{
    json_at at = body_get(r->body, fields, name);

    if (at == JSON_NONE)
        return mem_strdup("");
    char *text = json_strdup(r->body, at);
    if (text && *text)
        return text;
    problems_add(r->problems, r->body, at, text ? "may not be empty" : "may not contain U+0000");
    return text ? text : mem_strdup("");
}

static void read_url(const struct reading *r)
{
    bool allow_local = r->service->options->allow_local_webhooks;
    struct err e;

    r->wish->url = read_text(r, "url");
    if (*r->wish->url && webhook_check_url(r->wish->url, allow_local, &e) < 0)
        problems_add(r->problems, r->body, body_get(r->body, fields, "url"), "%s", e.text);
}

/* Appends an event's name to the list, with a problem where it is none. */
static void read_event(const struct reading *r, json_at at)
{
    auto_free char *name = json_strdup(r->body, at);
    struct err e;

    if (!name || strchr(name, ',')) {
        problems_add(r->problems, r->body, at, "must be the name of an event");
        return;
    }
    if (webhook_check_events(name, &e) < 0)
        problems_add(r->problems, r->body, at, "%s", e.text);
    else if (webhook_wants(buf_text(&r->wish->events), name))
        problems_add(r->problems, r->body, at, "\"%s\" is named twice", name);
    else
        buf_printf(&r->wish->events, "%s%s", r->wish->events.len > 0 ? "," : "", name);
}

static void read_events(const struct reading *r)
{
    static const char *const all[] = {WEBHOOK_EVENTS, NULL};
    json_at events = body_get(r->body, fields, "events");

    if (events == JSON_NONE)
        for (size_t i = 0; all[i]; i++)
            buf_printf(&r->wish->events, "%s%s", i > 0 ? "," : "", all[i]);
    else if (json_count(r->body, events) == 0)
        problems_add(r->problems, r->body, events, "names no event");
    json_each (r->body, events, at)
        read_event(r, at);
}

/* -1: a disk that fails. */
static int read_project(const struct reading *r, struct err *e)
{
    auto_free char *path = read_text(r, "project");

    if (!*path || project_open_beneath(r->service->projects, path, &r->wish->project, e) == 0)
        return 0;
    if (e->code == ERR_IO || e->code == ERR_NO_SPACE)
        return -1;
    problems_add(r->problems, r->body, body_get(r->body, fields, "project"), "%s", e->text);
    return 0;
}

static int note_deleted(void *data, const struct job_row *job, struct err *e)
{
    bool *is_there = data;

    (void)e;
    *is_there = !job->is_deleted;
    return 0;
}

/* -1: the store fails. */
static int read_job(const struct reading *r, struct err *e)
{
    bool is_there = false;

    r->wish->job_uuid = read_text(r, "job_uuid");
    if (!*r->wish->job_uuid)
        return 0;
    struct job_store *store = jobs_lend(r->service->jobs, e);
    if (!store)
        return -1;
    int result = job_store_job(store, r->wish->job_uuid, note_deleted, &is_there, e);
    jobs_give_back(r->service->jobs, store);
    if (result < 0 && e->code != ERR_NOT_FOUND)
        return -1;
    if (!is_there)
        problems_add(r->problems, r->body, body_get(r->body, fields, "job_uuid"),
                     "there is no job \"%s\"", r->wish->job_uuid);
    return 0;
}

static int read_wish(const struct reading *r, struct err *e)
{
    body_check(r->body, fields, r->problems);
    read_url(r);
    r->wish->secret = read_text(r, "secret");
    read_events(r);
    r->wish->failures_only = json_is_true(r->body, body_get(r->body, fields, "failures_only"));
    if (read_project(r, e) < 0 || read_job(r, e) < 0)
        return -1;
    return r->problems->total > 0 ? problems_to_err(r->problems, e) : 0;
}

static int add(const struct service *service, const struct wish *wish, struct uuid *ret_uuid,
               struct err *e)
{
    struct webhook_row row = {
        .url = wish->url,
        .secret = wish->secret,
        .events = buf_text(&wish->events),
        .job_uuid = wish->job_uuid,
        .project = wish->project.dir ? wish->project.dir : "",
        .failures_only = wish->failures_only,
    };

    return jobs_add_webhook(service->jobs, &row, ret_uuid, e);
}

void webhooks_create(struct exchange *exchange, void *user)
{
    auto_json struct json body = {0};
    auto_problems struct problems problems = {0};
    auto_with(wish_clear) struct wish wish = {0};
    struct reading reading = {user, &body, &problems, &wish};
    struct uuid uuid;
    struct err e;

    if (body_parse(exchange, &body) < 0)
        return;
    if (read_wish(&reading, &e) < 0 || add(user, &wish, &uuid, &e) < 0) {
        answer_refusal(exchange, &e, &problems);
        return;
    }
    auto_free char *location = mem_printf("/api/v1/webhooks/%s", uuid.text);
    exchange_add_header(exchange, "Location", location);
    answer_webhook(user, exchange, 201, uuid.text);
}

/* --- what is done with one --- */

void webhooks_delete(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    struct err e;

    if (jobs_remove_webhook(service->jobs, exchange_segment(exchange, 0), &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        exchange_answer(exchange, 204, NULL, NULL);
}

void webhooks_ping(struct exchange *exchange, void *user)
{
    const struct service *service = user;
    const char *uuid = exchange_segment(exchange, 0);
    struct err e;

    if (body_must_be_empty(exchange) < 0)
        return;
    if (jobs_ping_webhook(service->jobs, uuid, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        answer_webhook(service, exchange, 202, uuid);
}

/* --- its log --- */

/* A page: ends before what is one too many, or makes it too long. */
struct log_page {
    struct buf *out;
    uint32_t limit, count;
    int64_t last; /* shown */
    bool has_more;
};

static int put_delivery(void *data, const struct delivery_row *row,
                        const struct webhook_row *webhook, struct err *e)
{
    struct log_page *page = data;
    struct buf *out = page->out;

    (void)webhook;
    (void)e;
    page->has_more |= page->count == page->limit || out->len > LIMIT_LIST_BYTES;
    if (page->has_more)
        return 0;
    page->last = row->id;
    buf_puts(out, page->count++ > 0 ? ",{" : "{");
    json_put_member(out, "uuid", row->uuid);
    json_put_member(out, "event", row->event);
    json_put_member(out, "status", delivery_state_name(row->state));
    json_put_member_int(out, "tries", row->tries);
    run_json_put_time(out, "created_time", row->created_time);
    run_json_put_time(out, "next_time", row->next_time);
    run_json_put_time(out, "done_time", row->done_time);
    json_put_key(out, "last_status");
    if (row->last_status)
        buf_put_int(out, row->last_status);
    else
        buf_puts(out, "null");
    put_optional(out, "last_error", row->last_error);
    json_put_member_raw(out, "body", str_of(row->body));
    buf_putc(out, '}');
    return 0;
}

static int note_id(void *data, const struct webhook_row *webhook, struct err *e)
{
    int64_t *id = data;

    (void)e;
    *id = webhook->id;
    return 0;
}

static int read_log(struct job_store *store, const char *uuid, int64_t before,
                    struct log_page *page, struct err *e)
{
    int64_t webhook = 0;

    if (job_store_webhooks(store, uuid, note_id, &webhook, e) < 0)
        return -1;
    return job_store_deliveries(store, webhook, before, page->limit + 1, put_delivery, page, e);
}

static int put_log(const struct service *service, const char *uuid, int64_t before, uint32_t limit,
                   struct buf *out, struct err *e)
{
    struct log_page page = {.out = out, .limit = limit};
    struct job_store *store = jobs_lend(service->jobs, e);

    if (!store)
        return -1;
    buf_puts(out, "{\"deliveries\":[");
    int result = read_log(store, uuid, before, &page, e);
    jobs_give_back(service->jobs, store);
    buf_putc(out, ']');
    list_query_put_cursor(out, page.has_more ? page.last : 0);
    buf_putc(out, '}');
    return result;
}

void webhooks_deliveries(struct exchange *exchange, void *user)
{
    auto_buf struct buf out = {0};
    uint32_t limit;
    int64_t before;
    struct err e;

    if (list_query_page(exchange, &limit, &before, &e) < 0)
        exchange_answer_problem(exchange, 400, e.text, NULL);
    else if (put_log(user, exchange_segment(exchange, 0), before, limit, &out, &e) < 0)
        answer_refusal(exchange, &e, NULL);
    else
        exchange_answer_json(exchange, 200, &out);
}
